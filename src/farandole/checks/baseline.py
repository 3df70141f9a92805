"""The ratchet: findings that were there when it was written pass, new ones fail, and those that are gone are to be struck off."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from farandole.checks.base import Finding
from farandole.errors import ConfigurationError

__all__ = ["FILE", "Baseline", "read_baseline"]

FILE = "farandole-baseline.json"
_VERSION = 1
_REMEDY = "Write it anew with: farandole check --write-baseline"


@dataclass(frozen=True, slots=True)
class Baseline:
    """How many findings are known of each rule and subject. Lines move, these do not."""

    counts: dict[tuple[str, str], int] = field(default_factory=dict)

    @classmethod
    def of(cls, findings: Iterable[Finding]) -> Baseline:
        """What these findings leave to be known."""
        return cls(dict(Counter((finding.rule, finding.subject) for finding in findings)))

    def text(self) -> str:
        """As a file: one line for each subject, sorted, so that two branches merge well."""
        lines = [
            f"  {json.dumps({'rule': rule, 'subject': subject, 'count': count}, ensure_ascii=False)}"
            for (rule, subject), count in sorted(self.counts.items())
        ]
        inside = ",\n".join(lines)
        return f'{{"version": {_VERSION}, "known": [\n{inside}\n]}}\n' if lines else f'{{"version": {_VERSION}, "known": []}}\n'


def read_baseline(path: Path) -> Baseline:
    """Read what is known; nothing where there is no such file.

    Raises
    ------
    ConfigurationError
        The file cannot be read, or is no baseline.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Baseline()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from None
    try:
        document = json.loads(text)
        if document["version"] != _VERSION:
            raise ConfigurationError(f"{path}: version {document['version']!r} is not known here. {_REMEDY}")
        counts = {(_text(line["rule"]), _text(line["subject"])): int(line["count"]) for line in document["known"]}
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ConfigurationError(f"{path} is no baseline ({type(error).__name__}: {error}). {_REMEDY}") from None
    return Baseline(counts)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a text, got {value!r}")
    return value
