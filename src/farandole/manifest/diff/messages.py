"""What changed about messages: types, owners, versions, topics, keys, and each field with those whom it reaches."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from farandole.graph import Graph, Message, family_of
from farandole.manifest.diff.change import Change, Scope, Weight
from farandole.manifest.diff.fields import beside_fields, changed_fields, differences, only, properties, same
from farandole.schema.compatibility import breaks
from farandole.words import listed

__all__ = ["messages"]

Schema = Mapping[str, Any] | None


def messages(scope: Scope) -> Iterator[Change]:
    """Everything that is different about messages."""
    for tp in sorted({*scope.old.types, *scope.new.types}):
        told: set[str] = set()
        before, now = scope.old.owned.get(tp), scope.new.owned.get(tp)
        yield from _type(scope, tp, before, now)
        yield from _flow(scope, tp)
        for change in _fields(scope, tp):
            told.update(change.affected if change.weight != "fine" else ())
            yield change
        yield from _unreadable(scope, tp, told)
    yield from _readers(scope)


# --- the declaration of the owner


def _type(scope: Scope, tp: str, before: Message | None, now: Message | None) -> Iterator[Change]:
    name = scope.name(tp)
    if before is None:
        if now is None:
            yield from _named_only(scope, tp)
            return
        yield Change(
            "fine", f"{now.kind}-added", tp, f"{now.kind} {name} is new, from {scope.name(now.service)}", place=now.place
        )
        return
    if now is None:
        yield _gone(scope, tp, before)
        return
    owners = scope.owners_before[tp], scope.owners_now[tp]
    if owners[0] != owners[1]:
        yield Change(
            "risky",
            "owner-changed",
            tp,
            f"{name} comes from {scope.names(sorted(owners[1]))} now, not from {scope.names(sorted(owners[0]))}",
            "while both are deployed, its events have two sources, and no order between them",
            f"Stop {scope.names(sorted(owners[0] - owners[1])) or 'the other'} before {scope.names(sorted(owners[1] - owners[0])) or 'this one'} begins",
            tuple(sorted(owners[0] ^ owners[1])),
            now.place,
        )
    yield from _attributes(scope, before, now)


def _named_only(scope: Scope, tp: str) -> Iterator[Change]:
    """A type that nobody here owns, but somebody reads or names."""
    was, is_ = tp in scope.old.types, tp in scope.new.types
    if was != is_:
        yield Change(
            "fine",
            "type-named" if is_ else "type-forgotten",
            tp,
            f"{tp}, which belongs to others, is {'read now' if is_ else 'no longer read'}",
        )


def _gone(scope: Scope, tp: str, before: Message) -> Change:
    name, kind = scope.name(tp), before.kind
    heirs = [other for other in scope.new.owned if family_of(other) == family_of(tp) and other not in scope.old.owned]
    waiting = scope.readers_now.get(tp, ())
    instead = f"; {scope.names(heirs)} is there instead" if heirs else ""
    if kind == "command":
        return Change(
            "breaking",
            "command-removed",
            tp,
            f"command {name} is gone{instead}",
            "whoever sends it gets an error",
            "Keep its handler until nobody sends it",
            place=before.place,
        )
    outside = before.public
    weight: Weight = "breaking" if waiting or outside else "risky" if scope.readers_before.get(tp) else "fine"
    who = [*(["consumers outside of the choreography"] if outside else []), *map(scope.name, waiting)]
    why = f"{listed(who)} still {'read' if outside or len(who) > 1 else 'reads'} it" if who else ""
    if weight == "risky":
        why = f"until {scope.names(scope.readers_before[tp])} {'is' if len(scope.readers_before[tp]) == 1 else 'are'} deployed, they wait for it"
    fix = "Emit both for a while" if heirs else "Keep it until nobody reads it" if weight != "fine" else ""
    affected = tuple(sorted({*waiting, *scope.readers_before.get(tp, ())}))
    return Change(weight, "event-removed", tp, f"event {name} is gone{instead}", why, fix, affected, before.place)


def _attributes(scope: Scope, before: Message, now: Message) -> Iterator[Change]:
    tp, name = now.type, scope.name(now.type)
    readers = scope.readers(tp)

    def change(weight: Weight, kind: str, what: str, why: str = "", fix: str = "") -> Change:
        return Change(weight, kind, tp, what, why, fix, readers if weight != "fine" else (), now.place)

    if before.kind != now.kind:
        yield change(
            "breaking",
            "kind-changed",
            f"{name} is {_a(now.kind)} now, not {_a(before.kind)}",
            "commands do not travel; events do",
        )
    if before.topic != now.topic and before.kind == "event":
        why = "events of one key lie on two topics, so their order is lost; readers that are not deployed anew hear nothing"
        fix = "Deploy every reader first, and move when nothing is under way; or make a new event of it"
        yield change("breaking", "topic-changed", f"{name} moves from topic {before.topic} to {now.topic}", why, fix)
    if before.key != now.key and before.kind == "event":
        why = (
            "events of before and after are ordered by different values, so that order is lost, and joins do not find their parts"
        )
        yield change(
            "breaking",
            "key-changed",
            f"{name} is ordered by {_key(now)} now, not by {_key(before)}",
            why,
            "Make a new event of it",
        )
    if before.version != now.version:
        was, is_ = (".".join(map(str, message.version)) for message in (before, now))
        lower = now.version < before.version
        why = "readers take it for older than it is" if lower else ""
        yield change("risky" if lower else "fine", "version-changed", f"{name} is version {is_} now, not {was}", why)
    if before.public != now.public:
        why = "" if now.public else "consumers outside of the choreography were promised it"
        what = f"{name} is {'now' if now.public else 'no longer'} public"
        yield change("fine" if now.public else "risky", "public-changed", what, why)
    for path in sorted({*before.sensitive} - {*now.sensitive}):
        if re.split(r"[.\[]", path)[0] not in (properties(now.schema) or {path}):
            continue  # the field is gone, and told as such
        why = "its value will show in logs, traces, pages and dead letters"
        yield change(
            "risky", "sensitive-removed", f"`{path}` of {name} is no longer marked sensitive", why, "Be sure that it is meant"
        )
    for path in sorted({*now.sensitive} - {*before.sensitive}):
        yield change("fine", "sensitive-added", f"`{path}` of {name} is marked sensitive now")
    for former in (one for one in before.former if one not in now.former):
        why = "what was written as it, or waits for it, is no longer understood"
        yield change(
            "risky", "former-removed", f"{name} no longer stands for {former}", why, "Keep it while such events are kept"
        )
    for former in (one for one in now.former if one not in before.former):
        yield change("fine", "former-added", f"{name} stands for {former} too")
    if before.doc != now.doc:
        yield change("fine", "doc-changed", f"{name} is described in other words")
    if not same(before.examples, now.examples):
        yield change("fine", "examples-changed", f"{name} has other examples")


# --- who says it and who hears it


def _flow(scope: Scope, tp: str) -> Iterator[Change]:
    """A type that lost its last source, or its last reader; or a new one that nobody hears."""
    name = scope.name(tp)
    owned = scope.new.owned.get(tp)
    if owned is not None and owned.kind == "command":
        return
    wanted = scope.readers_now.get(tp, ())
    ends = [workflow.name for workflow in scope.new.workflows if tp in (*workflow.outcomes, *workflow.starts)]
    if scope.old.producers.get(tp) and not scope.new.producers.get(tp) and (wanted or ends):
        who = [scope.name(service) for service in wanted] + [f"workflow {flow}" for flow in ends]
        why = f"{listed(who)} {'wait' if len(who) > 1 else 'waits'} for it, and nobody emits it"
        yield Change(
            "breaking", "source-lost", tp, f"{name} is no longer emitted by anybody", why, "Let some reaction emit it", wanted
        )
    heard = wanted or ends or (owned is not None and owned.public)
    if scope.new.producers.get(tp) and not heard:
        if scope.readers_before.get(tp) and scope.old.producers.get(tp):
            lost = scope.readers_before[tp]
            yield Change("risky", "unheard", tp, f"{name} is no longer read by anybody", "it is emitted for nothing", "", lost)
        elif not scope.old.producers.get(tp):
            why = "whoever reads it should be there first"
            place = owned.place if owned else None
            yield Change("risky", "unheard", tp, f"{name} is emitted now, and nobody reads it", why, place=place)


# --- fields


@dataclass
class _Reach:
    """Whom a change of one field reaches, by service."""

    stuck: dict[str, list[str]] = field(default_factory=dict)
    """Readers as they are now that cannot read what is written now."""
    stale: dict[str, list[str]] = field(default_factory=dict)
    """Readers as they are now that cannot read what was written before."""
    lagging: dict[str, list[str]] = field(default_factory=dict)
    """Readers of before, still deployed, that cannot read what is written now."""


def _fields(scope: Scope, tp: str) -> Iterator[Change]:
    """One change for each top field of the owner's declaration that is different."""
    before, now = scope.old.owned.get(tp), scope.new.owned.get(tp)
    if before is None or now is None or same(before.schema, now.schema):
        return
    changed = list(changed_fields(before.schema, now.schema))
    for name in changed:
        yield _field(scope, now, name, before.schema, now.schema)
    if not same(beside_fields(before.schema), beside_fields(now.schema)):
        what = f"the schema of {scope.name(tp)} is different"
        reach = _reach(scope, tp, before.schema, now.schema, None)
        yield _weighed(scope, now, "schema-changed", what, reach, "", public=_narrowed(before.schema, now.schema))


def _field(scope: Scope, now: Message, name: str, old: Schema, new: Schema) -> Change:
    was, is_ = name in (properties(old) or ()), name in (properties(new) or ())
    of = scope.name(now.type)
    if not is_:
        kind, what = "field-removed", f"field `{name}` of {of} is gone{_renamed(old, new, name)}"
    elif not was:
        required = name in ((only(new, name) or {}).get("required") or ())
        kind, what = "field-added", f"field `{name}` of {of} is new" + (", and required" if required else "")
    else:
        assert old is not None
        assert new is not None
        kind, what = "field-changed", f"field {listed(differences(old, new, name))} in {of}"
    reach = _reach(scope, now.type, old, new, name)
    narrowed = _narrowed(only(old, name), only(new, name))
    return _weighed(scope, now, kind, what, reach, _radius(scope, now.type, name), public=narrowed, added=not was)


def _renamed(old: Schema, new: Schema, name: str) -> str:
    """Where one field went and one like it came: that it seems to be the same."""
    before, now = properties(old) or {}, properties(new) or {}
    gone, come = [one for one in before if one not in now], [one for one in now if one not in before]
    if gone == [name] and len(come) == 1 and same(before[name], now[come[0]]):
        return f"; it seems to be `{come[0]}` now, but on the wire that is another field"
    return ""


def _reach(scope: Scope, tp: str, old: Schema, new: Schema, name: str | None) -> _Reach:
    """Whom it reaches that the owner's schema is `new` instead of `old`: as far as this field goes, or (None) as a whole."""

    def reasons(writer: Schema, graph: Graph, service: str) -> list[str]:
        reader = graph.declared(service, tp)
        if writer is None or reader is None or reader.schema is None:
            return []
        return breaks(only(writer, name) or {}, only(reader.schema, name) or {}) if name else breaks(writer, reader.schema)

    found = _Reach()
    for service in scope.readers(tp):
        known = reasons(old, scope.old, service) if service in scope.readers_before.get(tp, ()) else []
        if service in scope.readers_now.get(tp, ()):
            _note(found.stuck, service, reasons(new, scope.new, service), known)
            _note(found.stale, service, reasons(old, scope.new, service), known)
        if service in scope.readers_before.get(tp, ()):
            _note(found.lagging, service, reasons(new, scope.old, service), known)
    return found


def _note(found: dict[str, list[str]], service: str, reasons: Iterable[str], known: Sequence[str]) -> None:
    if fresh := [reason for reason in reasons if reason not in known]:
        found[service] = fresh


def _narrowed(old: Schema, new: Schema) -> bool:
    """Whether somebody who reads as the owner wrote before may fail on what is written now."""
    return old is not None and new is not None and bool(breaks(new, old))


def _weighed(
    scope: Scope, now: Message, kind: str, what: str, reach: _Reach, radius: str, *, public: bool = False, added: bool = False
) -> Change:
    """The change with its weight, from those whom it reaches."""
    weight: Weight = "breaking" if reach.stuck or reach.stale or (public and now.public) else "risky" if reach.lagging else "fine"
    behind = [service for service in reach.lagging if service not in reach.stuck]
    why, fix = [], []
    if reach.stuck:
        why.append(f"{scope.names(reach.stuck)} cannot read what is written now ({_first(reach.stuck)})")
        fix.append(f"Let {scope.names(reach.stuck)} do without it first, and deploy {_them(reach.stuck)}")
    if reach.stale:
        command = now.kind == "command"
        which = "what is sent as before" if command else "events that were written before"
        then = "it would be refused" if command else "they would become dead letters"
        why.append(f"{scope.names(reach.stale)} cannot read {which} ({_first(reach.stale)}): {then}")
        fix.append("Give the field a default" if added else f"Let {scope.names(reach.stale)} understand both")
    if public and now.public:
        why.append(f"{scope.name(now.type)} is public: consumers outside of the choreography may rely on it")
        fix.append("Make a new major version, and emit both for a while")
    if behind:
        why.append(f"{scope.names(behind)} as deployed until now cannot read it ({_first(reach.lagging)})")
        others = [service for service in behind if service != now.service]
        if now.kind == "command":
            fix.append(f"Deploy {scope.name(now.service)} before those who send it in the new way")
        elif others:
            fix.append(f"Deploy {scope.names(others)} before {scope.name(now.service)}")
        else:
            fix.append(f"Deploy {scope.name(now.service)} when nothing of {scope.name(now.type)} is under way")
    affected = tuple(sorted({*reach.stuck, *reach.stale, *reach.lagging}))
    return Change(weight, kind, now.type, what, "; ".join([*why, *filter(None, [radius])]), ". ".join(fix), affected, now.place)


def _radius(scope: Scope, tp: str, name: str) -> str:
    """Who has a field, in words: "`email` is in the reader classes of mail and crm"."""
    of_own, of_owner = list[str](), list[str]()
    owners = {graph.owned[tp].service for graph in (scope.old, scope.new) if tp in graph.owned}
    if set(scope.readers(tp)) <= owners:
        return ""
    for service in scope.readers(tp):
        own = scope.new.read.get((service, tp)) or scope.old.read.get((service, tp))
        if own is None:
            of_owner += [service] if service not in owners else []
        elif name in (properties(own.schema) or ()):
            of_own.append(service)
    parts = []
    if of_own:
        parts.append(f"it is in the reader class{'es' if len(of_own) > 1 else ''} of {scope.names(of_own)}")
    if of_owner:
        parts.append(f"{scope.names(of_owner)} {'use' if len(of_owner) > 1 else 'uses'} the owner's class")
    return ", and ".join(parts) or ("no reader class has it" if scope.readers(tp) else "nobody reads this event")


# --- readers


def _readers(scope: Scope) -> Iterator[Change]:
    """Reader classes that came, went or changed; what they mean to what is written was told above, or is told as unreadable."""
    for key in sorted({*scope.old.read, *scope.new.read}):
        service, tp = key
        before, now = scope.old.read.get(key), scope.new.read.get(key)
        who = f"the reader class {scope.name(tp)} of {scope.name(service)}"
        if before is None or now is None:
            there = now or before
            assert there is not None
            kind = "reader-removed" if now is None else "reader-added"
            yield Change("fine", kind, tp, f"{who} is {'gone' if now is None else 'new'}", affected=(service,), place=there.place)
            continue
        told = [f"field {clause}" for clause in _clauses(before.schema, now.schema)]
        for word in ("version", "topic", "key", "kind", "public", "former", "sensitive"):
            a, b = getattr(before, word), getattr(now, word)
            if a != b:
                told.append(f"{word} is {_text(b)}, not {_text(a)}")
        if before.doc != now.doc or not same(before.examples, now.examples):
            told.append("it is described in other words")
        if not same(beside_fields(before.schema), beside_fields(now.schema)):
            told.append("its schema is different")
        if told:
            moved = before.topic != now.topic or before.key != now.key
            why = "it listens elsewhere, or orders by another value" if moved else ""
            yield Change(
                "risky" if moved else "fine", "reader-changed", tp, f"{who}: {', '.join(told)}", why, "", (service,), now.place
            )


def _clauses(old: Schema, new: Schema) -> Iterator[str]:
    for name in changed_fields(old, new):
        if name not in (properties(new) or ()):
            yield f"`{name}` is gone"
        elif name not in (properties(old) or ()):
            yield f"`{name}` is new"
        elif old is not None and new is not None:
            yield listed(differences(old, new, name))


def _unreadable(scope: Scope, tp: str, told: set[str]) -> Iterator[Change]:
    """Readers that cannot read what is or was written, and did not say so before; whatever the reason."""
    before, now = scope.old.owned.get(tp), scope.new.owned.get(tp)
    written = [message for message in (now, before) if message is not None and message.schema is not None]
    for service in scope.readers_now.get(tp, ()):
        reader = scope.new.declared(service, tp)
        if service in told or reader is None or reader.schema is None:
            continue
        known: list[str] = []
        if before is not None and before.schema is not None and service in scope.readers_before.get(tp, ()):
            was = scope.old.declared(service, tp)
            if was is not None and now is not None and same(was.schema, reader.schema) and same(before.schema, now.schema):
                continue  # nothing that could be told apart has changed
            known = breaks(before.schema, was.schema) if was is not None and was.schema is not None else []
        for writer in written:
            assert writer.schema is not None
            fresh = [reason for reason in breaks(writer.schema, reader.schema) if reason not in known]
            if fresh:
                by = f"what {scope.name(writer.service)} {'writes' if writer is now else 'wrote before'}"
                yield Change(
                    "breaking",
                    "unreadable",
                    tp,
                    f"{scope.name(service)} cannot read {scope.name(tp)}",
                    f"its class does not take {by}: {'; '.join(fresh)}",
                    "Read only what is sent, with defaults for what may be absent",
                    tuple(sorted({service, writer.service})),
                    reader.place,
                )
                break


# --- words


def _first(reach: Mapping[str, Sequence[str]]) -> str:
    """The reasons, each once, and no more of them than a line takes."""
    reasons = list(dict.fromkeys(reason for several in reach.values() for reason in several))
    return "; ".join(reasons[:3]) + (f"; and {len(reasons) - 3} more" if len(reasons) > 3 else "")


def _them(reach: Mapping[str, object]) -> str:
    return "it" if len(reach) == 1 else "them"


def _a(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def _key(message: Message) -> str:
    return f"`{message.key}`" if message.key else "nothing"


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return (
            ".".join(map(str, value))
            if all(isinstance(one, int) for one in value) and value
            else (", ".join(map(str, value)) or "none")
        )
    return "none" if value is None else str(value)
