"""The watcher: where each workflow instance is, kept beside the events, and alerts where something does not come."""

from farandole.observe.watch.telling import Sink, Teller, sinks_of
from farandole.observe.watch.watcher import Watcher

__all__ = ["Sink", "Teller", "Watcher", "sinks_of"]
