"""`python -m examples.onboarding`: five people join, or not."""

from __future__ import annotations

import sys

from examples.running import Play, main

from .scenario import example


async def tell(play: Play) -> list[str]:
    """Everybody's end, what two of them set off, and what analytics make of it."""
    lines = ["Five people sign up. How it ended:"]
    for user_id, name, address, state, reason in play.rows("accounts", "SELECT * FROM accounts ORDER BY user_id"):
        mails = play.rows("mails", "SELECT words FROM mails WHERE address = :to", to=address)
        credits = play.one("credits", "SELECT credits FROM balances WHERE user_id = :id", id=user_id)
        late = f", and {play.notes[user_id]}" if user_id in play.notes else ""
        end = f"{state}{f': {reason}' if reason else ''}{late}"
        lines.append(f"  {name:<5} {end:<54}{len(mails)} mails, {credits} credits")
    lines += ["", "What Cleo set off (u-4), who never followed the link:"]
    lines += [f"  {line}" for line in await play.chain("u-4")]
    steps = ", ".join(f"{users} {step}" for step, users in play.rows("analytics", "SELECT * FROM funnel ORDER BY users DESC"))
    return [*lines, "", f"{steps}."]


sys.exit(main(example, tell))
