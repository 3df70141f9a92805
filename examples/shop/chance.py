"""Chance that repeats: the same seed and labels give the same number, in whatever order and process they are drawn."""

from __future__ import annotations

from hashlib import blake2b

__all__ = ["chance", "pick"]


def chance(seed: int, *labels: object) -> float:
    """A number in [0, 1) that looks random."""
    digest = blake2b(repr((seed, *labels)).encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / (1 << 53)


def pick(low: int, high: int, seed: int, *labels: object) -> int:
    """A whole number from `low` to `high`, both included."""
    return low + int(chance(seed, *labels) * (high - low + 1))
