"""What data looks like: JSON Schemas of messages, what is sensitive in them, and whether readers understand writers. Pure."""

from __future__ import annotations

from farandole.schema.compatibility import breaks
from farandole.schema.of_class import schema_of
from farandole.schema.sensitive import sensitive_paths

__all__ = ["breaks", "schema_of", "sensitive_paths"]
