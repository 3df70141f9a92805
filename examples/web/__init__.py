"""The shop on the web: orders are placed over HTTP and followed live. `python -m examples.web` runs it."""

from .api import create

__all__ = ["create"]
