"""Texts in Mermaid's language, escaped by its own means: `#59;` for a semicolon, so that they neither end a statement nor begin one."""

from __future__ import annotations

__all__ = ["escaped"]

_PLAIN = frozenset(" .,:()[]/+*=?!'_-…✗↻↯")


def escaped(text: str) -> str:
    """Letters, digits and a few signs as they are, all else as numbers."""
    if text.lower().lstrip(":").startswith(("wrap:", "nowrap:")):  # would be read as an instruction
        text = text.replace(":", "\N{RATIO}", 1)
    written = "".join(char if char.isalnum() or char in _PLAIN else f"#{ord(char)};" for char in text)
    if written.strip().lower() == "end":  # would end what nobody began
        written = f"#{ord(written.strip()[0])};{written.strip()[1:]}"
    return written or "-"
