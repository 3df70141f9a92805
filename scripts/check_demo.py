"""Reads what `farandole demo --json` printed, and fails unless every invariant holds and nothing is left open."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def faults(result: dict[str, object]) -> list[str]:
    """What is wrong with the result, in words; nothing if it is fine."""
    invariants = result.get("invariants")
    if not isinstance(invariants, dict) or not invariants:
        return ["the result has no invariants"]
    found = [f"the invariant {name!r} does not hold" for name, holds in invariants.items() if holds is not True]
    if result.get("open") != 0:
        found.append(f"expected no open workflow, got: {result.get('open')!r}")
    if not result.get("placed"):
        found.append("no order was placed")
    return found


def main() -> int:
    """Check the file named on the command line."""
    result = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    print(json.dumps(result, indent=2))
    found = faults(result)
    for fault in found:
        print(f"FAULT: {fault}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
