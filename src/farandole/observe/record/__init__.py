"""The record of a choreography: what reads its events from the broker, hides what is sensitive, and keeps them where they are found."""

from farandole.observe.record.memory import MemoryRecord
from farandole.observe.record.reading import Reading
from farandole.observe.record.recorder import Recorder, subscription_of
from farandole.observe.record.retention import retention_of

__all__ = ["MemoryRecord", "Reading", "Recorder", "retention_of", "subscription_of"]
