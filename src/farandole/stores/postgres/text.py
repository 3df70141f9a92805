"""Text that PostgreSQL takes: it knows no U+0000."""

from __future__ import annotations

__all__ = ["clean", "escape", "unescape"]

_MARK = "\ue000"
"""A private character: before `0` it stands for U+0000, before `1` for itself."""


def escape(text: str) -> str:
    """A text that must come back as it was."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace(_MARK, _MARK + "1").replace("\0", _MARK + "0")


def unescape(text: str) -> str:
    """What `escape` was given."""
    return text if _MARK not in text else text.replace(_MARK + "0", "\0").replace(_MARK + "1", _MARK)


def clean(text: str | None) -> str | None:
    """A text for people, such as the message of an error."""
    return None if text is None else text.replace("\0", "\\0").encode("utf-8", "replace").decode()
