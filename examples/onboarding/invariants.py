"""What must be true of the databases and of the books outside once nothing is under way. Each function gives violations in words."""

from __future__ import annotations

from examples.sight import Sight

from .services import FREE

__all__ = ["every_account_is_decided", "expired_leaves_nothing", "nobody_hears_twice", "the_funnel_adds_up", "verified_has_all"]


def every_account_is_decided(sight: Sight) -> list[str]:
    """Verified or expired."""
    return [f"{user}: still new" for user in _users(sight, "new")]


def verified_has_all(sight: Sight) -> list[str]:
    """Who is verified has the credits, and sales know of them, unless the CRM did not answer."""
    balances = dict(sight.rows("credits", "SELECT user_id, credits FROM balances"))
    doubtful = {user for (user,) in sight.rows("crm", "SELECT user_id FROM contacts WHERE state = 'in doubt'")}
    known = _contacts(sight)
    found = []
    for user in _users(sight, "verified"):
        found += [] if balances.get(user) == FREE else [f"{user}: verified, and has {balances.get(user, 0)} credits"]
        found += [] if user in known or user in doubtful else [f"{user}: verified, and sales do not know"]
    return found


def expired_leaves_nothing(sight: Sight) -> list[str]:
    """Who expired has no credits, and no name in the CRM, unless that is written down as somebody's work."""
    balances = {user for (user,) in sight.rows("credits", "SELECT user_id FROM balances")}
    by_hand = {user for (user,) in sight.rows("crm", "SELECT user_id FROM contacts WHERE state = 'to be removed'")}
    expired = set(_users(sight, "expired"))
    found = [f"{user}: expired, and has credits" for user in sorted(expired & balances)]
    return found + [f"{user}: expired, and in the CRM" for user in sorted(expired & _contacts(sight) - by_hand)]


def nobody_hears_twice(sight: Sight) -> list[str]:
    """No mail goes to somebody twice."""
    twice = "SELECT address, words, count(*) FROM mails GROUP BY address, words HAVING count(*) > 1"
    return [f"{address}: {words!r} {many} times" for address, words, many in sight.rows("mails", twice)]


def the_funnel_adds_up(sight: Sight) -> list[str]:
    """Analytics counted what happened."""
    counted = {step: int(users) for step, users in sight.rows("analytics", "SELECT step, users FROM funnel")}
    kept = {"signed up": sum(len(_users(sight, state)) for state in ("new", "verified", "expired"))}
    kept |= {state: len(_users(sight, state)) for state in ("verified", "expired")}
    return [f"{step}: {counted.get(step, 0)} counted, {many} are" for step, many in kept.items() if counted.get(step, 0) != many]


def _users(sight: Sight, state: str) -> list[str]:
    found = sight.rows("accounts", "SELECT user_id FROM accounts WHERE state = :state ORDER BY user_id", state=state)
    return [user for (user,) in found]


def _contacts(sight: Sight) -> set[str]:
    return {user for (user,) in sight.rows("contacts", "SELECT user_id FROM contacts WHERE removed = 0")}
