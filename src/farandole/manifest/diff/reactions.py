"""What changed about reactions: identity, triggers, arrows, ways on, compensations, and how they run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from farandole.graph import Branch, Graph, Reaction
from farandole.manifest.diff.change import Change, Scope, Weight, pairs
from farandole.words import exactly, listed

__all__ = ["reactions"]


def reactions(scope: Scope) -> Iterator[Change]:
    """Everything that is different about reactions; those of services that came or went whole are told with these."""
    gone = [r for r in scope.old.reaction.values() if r.id not in scope.new.reaction and r.service in scope.new.service]
    come = [r for r in scope.new.reaction.values() if r.id not in scope.old.reaction and r.service in scope.old.service]
    renamed = dict(_renames(gone, come))
    for reaction in gone:
        if reaction.id in renamed:
            yield _renamed(scope, reaction, renamed[reaction.id])
            yield from _pair(scope, reaction, renamed[reaction.id])
        else:
            yield _removed(scope, reaction)
    for reaction in come:
        if reaction not in renamed.values():
            yield _added(scope, reaction)
    for id, before in scope.old.reaction.items():
        if id in scope.new.reaction:
            yield from _pair(scope, before, scope.new.reaction[id])
    yield from _compensations(scope)


# --- came, went, renamed


def _renames(gone: list[Reaction], come: list[Reaction]) -> Iterator[tuple[str, Reaction]]:
    """Which of those that came seems to be which of those that went: of one service, on the same events, and nobody else like it."""
    for before in gone:
        alike = [now for now in come if _alike(before, now)]
        rivals = [other for other in gone if alike and _alike(other, alike[0])]
        if len(alike) == 1 and len(rivals) == 1:
            yield before.id, alike[0]


def _alike(a: Reaction, b: Reaction) -> bool:
    same_kind = (a.service, a.trigger.kind, a.compensates) == (b.service, b.trigger.kind, b.compensates)
    return same_kind and set(a.trigger.receives) == set(b.trigger.receives)


def _renamed(scope: Scope, before: Reaction, now: Reaction) -> Change:
    why = "its inbox rows stay under the old name: what waits there is never handled, and what comes again is handled twice"
    if before.trigger.kind == "command":
        why = "idempotency keys are kept under the old name: a command that is sent again is carried out twice"
    elif before.group != now.group:
        why += f". Its group {before.group} is left behind with its position; {now.group} begins at the beginning"
    return Change(
        "breaking",
        "reaction-renamed",
        now.id,
        f"{scope.reaction(before.id)} seems to be {scope.reaction(now.id)} now, without formerly=",
        why,
        f'Say formerly="{before.id.rpartition(".")[2]}" where it is declared; or, if it is another one, deploy the removal first',
        (now.service,),
        now.place,
    )


def _removed(scope: Scope, before: Reaction) -> Change:
    on = scope.names(before.trigger.receives)
    if before.trigger.kind == "command":
        return Change("fine", "reaction-removed", before.id, f"{scope.reaction(before.id)} (on {on}) is gone", place=before.place)
    why = "what waits in its inbox, parked or dead, stays there" + _left(scope, before)
    fix = "See first what waits there: farandole status, farandole dead list"
    what = f"{scope.reaction(before.id)} (on {on}) is gone"
    return Change("risky", "reaction-removed", before.id, what, why, fix, (before.service,), before.place)


def _left(scope: Scope, before: Reaction) -> str:
    """Whether its consumer group is without members now."""
    if before.group is None or before.group in _groups(scope.new):
        return ""
    return f"; its consumer group {before.group} has no members any more, so it falls behind until it is deleted"


def _added(scope: Scope, now: Reaction) -> Change:
    what = f"{scope.reaction(now.id)} is new: {_arrow(scope, now)}"
    if now.trigger.kind != "command" and now.group is not None and now.group not in _groups(scope.old):
        why = f"its consumer group {now.group} is new and begins at the beginning of its topics: it handles what is kept there"
        return Change("fine", "reaction-added", now.id, what, why, place=now.place)
    return Change("fine", "reaction-added", now.id, what, place=now.place)


def _arrow(scope: Scope, reaction: Reaction) -> str:
    effects = [scope.name(tp) for tp in reaction.effects_of_all_ways]
    return f"{scope.names(reaction.trigger.receives)} -> {' | '.join(effects) or 'nothing'}"


def _groups(graph: Graph) -> set[str]:
    return {reaction.group for reaction in graph.reactions if reaction.group}


# --- the same reaction, then and now


def _pair(scope: Scope, before: Reaction, now: Reaction) -> Iterator[Change]:
    yield from _trigger(scope, before, now)
    yield from _arrows(scope, before, now)
    yield from _running(scope, before, now)
    yield from _declared(scope, before, now)


def _of(now: Reaction, weight: Weight, kind: str, what: str, why: str = "", fix: str = "") -> Change:
    return Change(weight, kind, now.id, what, why, fix, (now.service,) if weight != "fine" else (), now.place)


def _trigger(scope: Scope, before: Reaction, now: Reaction) -> Iterator[Change]:
    name, old, new = scope.reaction(now.id), before.trigger, now.trigger
    if old.kind != new.kind:
        why = "instances that wait were begun under the other rule" if {"all", "count", "deadline"} & {old.kind, new.kind} else ""
        yield _of(
            now, "risky", "trigger-kind-changed", f"{name} is set off by {_KINDS[new.kind]} now, not by {_KINDS[old.kind]}", why
        )
    for tp, came in pairs(old.receives, new.receives):
        if came:
            yield _of(now, "fine", "trigger-added", f"{name} reacts to {scope.name(tp)} too")
        else:
            why = "what comes of that type, and what is parked of it, is left alone"
            yield _of(now, "risky", "trigger-removed", f"{name} no longer reacts to {scope.name(tp)}", why)
    for word in ("after", "unless"):
        if getattr(old, word) != getattr(new, word):
            what = f"{name} runs {word} {_some(scope, getattr(new, word))} now, not {word} {_some(scope, getattr(old, word))}"
            yield _of(now, "risky", f"{word}-changed", what, "deadlines that run were begun under the other rule")
    if old.failing != new.failing:
        what = f"{name} is set off where its process fails with {_some(scope, new.failing)} now, not with {_some(scope, old.failing)}"
        yield _of(now, "risky", "failing-changed", what, "a step may stay done, or be undone")
    for word in ("by", "expected"):
        a, b = getattr(old, word), getattr(new, word)
        if a != b:
            said = "tells instances apart by" if word == "by" else "counts up to"
            what = f"{name} {said} {_field(b)} now, not {said.rpartition(' ')[2]} {_field(a)}"
            weight: Weight = "breaking" if word == "by" else "risky"
            yield _of(
                now, weight, f"{word}-changed", what, "instances that wait are not found again", "Give the reaction a new name"
            )
    if old.within != new.within:
        shorter = new.within is not None and (old.within is None or new.within < old.within)
        what = f"{name} waits {exactly(new.within)} now, not {exactly(old.within)}"
        yield _of(now, "risky" if shorter else "fine", "within-changed", what, "what was in time is late now" if shorter else "")


def _arrows(scope: Scope, before: Reaction, now: Reaction) -> Iterator[Change]:
    name = scope.reaction(now.id)
    for tp, came in pairs(before.emits, now.emits):
        others = [r.id for r in scope.new.producers.get(tp, ()) if r.id != now.id]
        heard = scope.readers_now.get(tp, ())
        if came:
            on = f"; {scope.names(heard)} {'react' if len(heard) > 1 else 'reacts'}" if heard else ""
            yield _of(now, "fine", "emit-added", f"{name} may emit {scope.name(tp)} now{on}")
        elif heard and others:
            why = f"it still comes from {listed(map(scope.reaction, others))}, but no longer from here"
            yield _of(now, "risky", "emit-removed", f"{name} no longer emits {scope.name(tp)}", why)
        else:  # that a type lost its last source is told with the type
            yield _of(now, "fine", "emit-removed", f"{name} no longer emits {scope.name(tp)}")
    if before.may_emit_nothing != now.may_emit_nothing:
        if now.may_emit_nothing:
            what, why = f"{name} may emit nothing now", "the flow may end here, where it went on before"
            yield _of(now, "risky" if now.emits else "fine", "may-emit-nothing", what, why if now.emits else "")
        else:
            yield _of(now, "fine", "always-emits", f"{name} always emits something now")
    yield from _together(scope, now, name, before, now)
    for tp, came in pairs(before.many, now.many):
        what = f"{name} emits {'several' if came else 'one'} {scope.name(tp)} at once{' now' if came else ' at most now'}"
        yield _of(now, "risky" if came else "fine", "many-changed", what, "readers may expect one" if came else "")
    for tp, came in pairs(before.delayed, now.delayed):
        what = f"{name} emits {scope.name(tp)} {'only after some time' if came else 'at once'} now"
        yield _of(now, "risky" if came else "fine", "delayed-changed", what, "what waits for it waits longer" if came else "")
    yield from _branch(scope, now, "exhausted", before.exhausted, now.exhausted)
    yield from _branch(scope, now, "late", before.late, now.late)


def _together(scope: Scope, now: Reaction, name: str, old: Reaction | Branch, new: Reaction | Branch) -> Iterator[Change]:
    """Alternatives of several types at once; single ones are told as arrows."""
    a, b = ([frozenset(answer) for answer in one.alternatives if len(answer) > 1] for one in (old, new))
    for answer in dict.fromkeys((*b, *a)):
        if (answer in a) != (answer in b):
            what = f"{name} {'may emit' if answer in b else 'no longer emits'} {scope.names(sorted(answer))} together{' now' * (answer in b)}"
            yield _of(now, "fine", "emit-together", what)
    alone = {*old.emits} & {*new.emits}
    a, b = ([frozenset(answer) for answer in one.alternatives if len(answer) == 1 and alone & {*answer}] for one in (old, new))
    for answer in dict.fromkeys((*b, *a)):
        if (answer in a) != (answer in b):
            what = (
                f"{name} {'may emit' if answer in b else 'no longer emits'} {scope.names(answer)} alone{' now' * (answer in b)}"
            )
            why = "" if answer in b else "it comes with others only"
            yield _of(now, "risky" if answer in b else "fine", "emit-alone", what, why or "what came with it may not come")


def _branch(scope: Scope, now: Reaction, word: str, old: Branch | None, new: Branch | None) -> Iterator[Change]:
    """A way on when retries are used up, or when something comes too late."""
    name = f"{scope.reaction(now.id)}.{word}"
    when = "when its retries are used up" if word == "exhausted" else "when something comes too late"
    if old is None and new is None:
        return
    if new is None:
        yield _of(now, "risky", f"{word}-removed", f"{name} is gone", f"nothing is said any more {when}: the flow stays there")
    elif old is None:
        yield _of(now, "fine", f"{word}-added", f"{name} is new: {' | '.join(map(scope.name, new.emits)) or 'nothing'} {when}")
    else:
        for tp, came in pairs(old.emits, new.emits):
            weight: Weight = "fine" if came else "risky"
            yield _of(
                now, weight, f"{word}-changed", f"{name} {'may emit' if came else 'no longer emits'} {scope.name(tp)} {when}"
            )


def _running(scope: Scope, before: Reaction, now: Reaction) -> Iterator[Change]:
    name = scope.reaction(now.id)
    if before.outside != now.outside:
        if now.outside:
            why = "it may be slow, fail, and happen twice; it leaves the batches"
            yield _of(now, "risky", "outside-changed", f"{name} calls the outside now", why)
        else:
            yield _of(now, "fine", "outside-changed", f"{name} no longer calls the outside")
    if before.group != now.group and before.id == now.id:
        why = (
            f"{now.group} begins where it stood, or at the beginning: the inbox drops what is known, but not what is older than its "
            f"window; what {before.group} had not read is read by {now.group}"
        )
        yield _of(now, "risky", "group-changed", f"{name} is fed by group {now.group} now, not by {before.group}", why)
    if before.parks != now.parks:
        why = "" if now.parks else "after a failure the order of a key is given up"
        what = f"{name} {'keeps later events of a key waiting' if now.parks else 'lets later events of a key pass'} behind a failed one now"
        yield _of(now, "fine" if now.parks else "risky", "parks-changed", what, why)
    if before.horizon != now.horizon:
        window = scope.new.service[now.service].window if now.service in scope.new.service else None
        beyond = window is not None and now.horizon > window
        what = f"{name} tries for {exactly(now.horizon)} at most now, not for {exactly(before.horizon)}"
        yield _of(
            now, "risky" if beyond else "fine", "retries-changed", what, "longer than its inbox remembers" if beyond else ""
        )


def _declared(scope: Scope, before: Reaction, now: Reaction) -> Iterator[Change]:
    name = scope.reaction(now.id)
    if before.id == now.id and before.name != now.name:
        yield _of(
            now,
            "fine",
            "reaction-renamed-formerly",
            f"{name} is called {now.name} now, and was {before.name}; formerly= keeps its identity",
        )
    elif before.id == now.id and before.formerly != now.formerly:
        yield _of(now, "fine", "formerly-changed", f"{name} says formerly={now.formerly} now, not {before.formerly}")
    if before.process != now.process:
        what = f"{name} is a handler of {now.process or 'no process'} now, not of {before.process or 'none'}"
        yield _of(now, "breaking", "process-changed", what, "instances that run are not found again", "Let these end first")
    if before.service != now.service:
        yield _of(
            now,
            "breaking",
            "service-changed",
            f"{name} belongs to {now.service} now, not to {before.service}",
            "its rows are elsewhere",
        )
    old, new = before.effects, now.effects
    if old != new:
        parts = [
            f"{field.name} {_value(getattr(new, field.name, None))}, not {_value(getattr(old, field.name, None))}"
            for field in fields(new or old)  # type: ignore[arg-type]
            if getattr(new, field.name, None) != getattr(old, field.name, None)
        ]
        less = new is None or (old is not None and (set(old.locks) - set(new.locks) or (new.outside == "once" != old.outside)))
        why = "what protected it is less than it was" if less else ""
        what = f"{name} has other effects: {'; '.join(parts) or 'none said'}"
        yield _of(now, "risky" if less else "fine", "effects-changed", what, why)
    for move in (one for one in now.moves if one not in before.moves):
        states = f"from {listed(move.valid, 'or')} " if move.valid else ""
        yield _of(
            now, "fine", "move-added", f"{name} moves {move.entity} {states}to {move.to or 'the same state'} now{_by(move.by)}"
        )
    for move in (one for one in before.moves if one not in now.moves):
        states = f"from {listed(move.valid, 'or')} " if move.valid else ""
        what = f"{name} no longer moves {move.entity} {states}to {move.to or 'the same state'}{_by(move.by)}"
        yield _of(now, "risky", "move-removed", what, "whoever waits for that state may wait for ever" if move.to else "")
    for tp, came in pairs(before.relies_on, now.relies_on):
        what = f"{name} {'relies on' if came else 'no longer relies on'} {scope.name(tp)} having been handled before"
        yield _of(now, "fine", "relies-on-changed", what)
    if before.doc != now.doc:
        yield _of(now, "fine", "doc-changed", f"{name} is described in other words")


# --- compensations


def _compensations(scope: Scope) -> Iterator[Change]:
    """Told of the reaction that is undone: who undoes it now."""
    for action in sorted({*scope.old.compensations, *scope.new.compensations}):
        before = {(r.id, r.undoes or "") for r in scope.old.compensations.get(action, ())}
        now = {(r.id, r.undoes or "") for r in scope.new.compensations.get(action, ())}
        name = scope.reaction(action)
        for id, undoes in sorted(now - before):
            place = scope.new.reaction[id].place
            what = f"{scope.reaction(id)} undoes {name} now" + (f", after {scope.name(undoes)}" if undoes else "")
            yield Change("fine", "compensation-added", action, what, place=place)
        left = action in scope.new.reaction
        for id, undoes in sorted(before - now):
            what = f"{scope.reaction(id)} no longer undoes {name}" + (f" after {scope.name(undoes)}" if undoes else "")
            place = scope.old.reaction[id].place
            service = action.rpartition(".")[0]
            if left and not now:
                why = f"nothing undoes {name} when the flow fails behind it"
                yield Change(
                    "breaking", "compensation-lost", action, what, why, "Let some reaction compensate it", (service,), place
                )
            elif left and undoes not in {other for _, other in now}:
                why = f"{scope.name(undoes)} is undone by nobody"
                yield Change("breaking", "compensation-lost", action, what, why, "Let some reaction undo it", (service,), place)
            else:
                yield Change("fine", "compensation-removed", action, what, place=place)


# --- words

_KINDS = {
    "event": "one event",
    "command": "a command",
    "all": "a join of all",
    "any": "the first of several",
    "count": "a counted join",
    "deadline": "a deadline",
    "process": "a step of a process",
}


def _some(scope: Scope, types: tuple[str, ...]) -> str:
    return listed(map(scope.name, types), "or")


def _field(name: str | None) -> str:
    return f"`{name}`" if name else "the events' keys"


def _value(value: object) -> str:
    return (", ".join(map(str, value)) or "none") if isinstance(value, tuple) else str(value or "not said")


def _by(field: str | None) -> str:
    return f", told apart by `{field}`" if field else ""
