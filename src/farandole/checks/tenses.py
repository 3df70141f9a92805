"""English tenses, as far as names of messages need them: past participles, verbs that begin a command, technical words."""

from __future__ import annotations

import re

__all__ = ["is_imperative", "is_past", "technical", "words_of"]

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Participles that do not end in -ed. With the prefixes below also rebuilt, unpaid, overridden, withdrawn …
_IRREGULAR = _set(
    """
    arisen awoken awakened beaten become been begun bled bent bet bid bitten blown born borne bound bought bred broken brought built burnt burst
    caught chosen clung come cost crept cut dealt done drawn dreamt driven drunk dug eaten fallen fed felt fled flown flung forbidden
    forgiven forgotten forsaken fought found frozen given gone got gotten ground grown heard held hewn hidden hit hung hurt kept knelt
    knit known laid lain leant leapt learnt led left lent let lit lost made meant met mown paid proven put quit read rid ridden
    risen run rung said sawn seen sent set sewn shaken shed shone shorn shot shown shrunk shut slain slept slid slit smelt sold sought
    sown sped spent spilt split spoilt spoken spread sprung spun stolen stood stricken stridden struck strung stuck stung sunk sung
    swept swollen sworn swum swung taken taught thought thrown thrust told torn trodden understood upset wed wept woken won worn
    wound woven written wrung broadcast cast forecast
    """
)
_PREFIXES = ("re", "un", "over", "under", "out", "with", "up", "mis", "pre", "fore", "off", "on", "in", "co", "de", "dis", "sub")
# These look like participles and are none; those in -eed are none but for a few.
_NO_PARTICIPLES = _set(
    """
    shred sled embed imbed hundred naked sacred wicked kindred hatred biped infrared newlywed present relent comet inlet outlet outset
    subset onset inset income outcome input output offset
    """
)
_EED = _set("agreed disagreed freed guaranteed decreed refereed teed treed")
# The same word now and then: `Put`, `Set`, `Read` may begin a command as well.
_SAME = _set(
    """
    bet bid broadcast burst cast come become cost cut forecast found ground hit hurt let put quit read rid run set shed shut split spread
    thrust wed wound
    """
)
# Endings of nouns. A verb with one of them is in the list of exceptions.
_NOUN = re.compile(r".+(tion|sion|ment|ance|ence|ness|ity|ism|ship|acy|ery|dom|hood|ure|age|ist|tor)$")
_VERBS_LIKE_NOUNS = _set(
    """
    mention position reposition question function station condition recondition provision commission decommission auction caution
    partition petition portion ration section transition action sanction mission pension envision audition
    implement document comment supplement complement compliment experiment segment fragment increment decrement augment invoice
    balance rebalance finance refinance enhance advance dance glance distance instance experience reference sequence evidence silence
    influence commence fence sentence license audience
    ship reship query deliver measure capture recapture secure insure reinsure ensure assure configure reconfigure procure feature figure
    picture structure restructure nurture venture lecture manufacture puncture texture endure cure reassure closure
    manage page engage encourage discourage damage package repackage stage message image salvage leverage envisage voyage average
    triage storage enlist list assist resist insist consist persist exist twist blacklist whitelist allowlist denylist relist unlist
    monitor refactor factor vector tutor author doctor mirror refer prefer transfer witness harness
    """
)
_THINGS = _set("row record table column entity object data db database dto model tuple document instance")
_STORING = _set("inserted upserted updated deleted saved stored persisted modified changed created written loaded removed added")
_MEANINGLESS = _set("inserted upserted updated modified saved persisted processed handled touched mutated")


_LEADING = _set("mark set make get keep let declare consider report notify announce send ask list import export show hide")


def words_of(name: str) -> list[str]:
    """The words of a name, lower-case: `SMSSent`, `order.placed` and `order_placed` alike."""
    return [word.lower() for word in _WORD.findall(name)]


def is_past(word: str) -> bool:
    """Whether a word is a past participle: `placed`, `sent`, `rebuilt`; not `bed`, `need`, `hundred`."""
    if word in _NO_PARTICIPLES:
        return False
    if word.endswith("ed") and word not in _IRREGULAR:
        return len(word) > 3 and (not word.endswith("eed") or word in _EED)
    return _has_root(word, _IRREGULAR)


def _has_root(word: str, roots: frozenset[str]) -> bool:
    """Whether it is one of these, or one with a prefix."""
    return word in roots or any(word.startswith(prefix) and word[len(prefix) :] in roots for prefix in _PREFIXES)


def is_imperative(words: list[str]) -> bool:
    """Whether a command's name may begin with a verb. Only what surely does not is refused: `OrderPlaced`, `PaymentRequest`, `ChargingCard`."""
    if not words:
        return True
    first, last = words[0], words[-1]
    if is_past(first) and not _has_root(first, _SAME):
        return False
    if len(first) > 5 and first.endswith("ing") and first not in ("string", "spring"):
        return False
    if _NOUN.fullmatch(first) and first not in _VERBS_LIKE_NOUNS:
        return False
    # `MarkPaid` is fine, `OrderPaid` is not; longer ones may be either: `NotifyOrderShipped`.
    return not (len(words) == 2 and is_past(last) and not _has_root(last, _SAME) and first not in _LEADING)


def technical(words: list[str]) -> str:
    """What is wrong with a name that speaks of storage instead of business: `RowInserted`, `Updated`, `OrderUpdated`; "" if nothing is."""
    acts = [word for word in words if word in _STORING]
    if acts and (len(words) == 1 or any(word in _THINGS for word in words)):
        return "says what a database did, not what happened"
    empty = next((word for word in words if word in _MEANINGLESS), "")
    return f'says "{empty}", which leaves open what happened' if empty else ""
