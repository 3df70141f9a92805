"""What changed about services, workflows and cycles."""

from __future__ import annotations

from collections.abc import Iterator

from farandole.graph import AllowedCycle, Graph, Service, Workflow
from farandole.graph.paths import components
from farandole.manifest.diff.change import Change, Scope, Weight, pairs
from farandole.words import exactly, listed

__all__ = ["cycles", "services", "workflows"]


# --- services


def services(scope: Scope) -> Iterator[Change]:
    """Services that came, went, seem renamed, or say something else of themselves."""
    gone = [service for id, service in scope.old.service.items() if id not in scope.new.service]
    come = [service for id, service in scope.new.service.items() if id not in scope.old.service]
    heirs = {before.id: now for before in gone for now in come if _alike(scope, before, now)}
    for before in gone:
        if before.id in heirs:
            now = heirs[before.id]
            what = f"service {scope.name(before.id)} seems to be {scope.name(now.id)} now"
            why = "its inbox, its groups and their positions, and its events' topic go by the name: all begin anew"
            fix = "Keep the name; or stop the old one, and let the new one begin with an empty database, knowingly"
            yield Change("breaking", "service-renamed", now.id, what, why, fix, (before.id, now.id), now.place)
        else:
            names = [reaction.name for reaction in scope.old.of_service.get(before.id, ())]
            what = f"service {scope.name(before.id)} is gone" + (f", with {listed(names)}" if names else "")
            why = "what waits in its inbox and outbox stays there" if names else ""
            yield Change(
                "risky",
                "service-removed",
                before.id,
                what,
                why,
                "See that it has nothing left: farandole status",
                (),
                before.place,
            )
    for now in come:
        if now not in heirs.values():
            names = [reaction.name for reaction in scope.new.of_service.get(now.id, ())]
            what = f"service {scope.name(now.id)} is new" + (f", with {listed(names)}" if names else "")
            yield Change("fine", "service-added", now.id, what, place=now.place)
    for id, before in scope.old.service.items():
        if id in scope.new.service:
            yield from _service(scope, before, scope.new.service[id])


def _alike(scope: Scope, before: Service, now: Service) -> bool:
    a = {reaction.name for reaction in scope.old.of_service.get(before.id, ())}
    b = {reaction.name for reaction in scope.new.of_service.get(now.id, ())}
    return bool(a) and a == b


def _service(scope: Scope, before: Service, now: Service) -> Iterator[Change]:
    name = scope.name(now.id)

    def change(weight: Weight, kind: str, what: str, why: str = "") -> Change:
        return Change(weight, kind, now.id, what, why, "", (now.id,) if weight != "fine" else (), now.place)

    if before.version != now.version:
        yield change("fine", "service-version", f"{name} is version {now.version} now, not {before.version}")
    if before.team != now.team:
        yield change("fine", "team-changed", f"{name} belongs to {now.team or 'nobody'} now, not to {before.team or 'nobody'}")
    for field, came in pairs(before.cleared, now.cleared):
        what = f"{name} {'may' if came else 'may no longer'} read the sensitive `{field}`"
        yield change("risky" if came else "fine", "clearance-changed", what, "somebody should have agreed to it" if came else "")
    if before.window != now.window:
        less = now.window < before.window
        what = f"the inbox of {name} remembers {exactly(now.window)} now, not {exactly(before.window)}"
        yield change(
            "risky" if less else "fine",
            "window-changed",
            what,
            "what comes again later than that is handled twice" if less else "",
        )
    if before.depth != now.depth:
        less = now.depth < before.depth
        what = f"{name} takes part in chains of {now.depth} causes at most now, not {before.depth}"
        yield change("risky" if less else "fine", "depth-changed", what, "longer ones are cut off" if less else "")
    if before.complete != now.complete:
        why = "" if now.complete else "what causes what can no longer be checked there"
        what = f"{name} {'declares' if now.complete else 'no longer declares'} its reactions"
        yield change("fine" if now.complete else "risky", "completeness-changed", what, why)
    if before.doc != now.doc:
        yield change("fine", "doc-changed", f"{name} is described in other words")


# --- workflows


def workflows(scope: Scope) -> Iterator[Change]:
    """Workflows that came, went, or begin or end elsewhere."""
    for name in sorted({*scope.old.workflow, *scope.new.workflow}):
        before, now = scope.old.workflow.get(name), scope.new.workflow.get(name)
        if before is None and now is not None:
            what = f"workflow {name} is new: {scope.names(now.starts)} -> {listed(map(scope.name, now.outcomes), 'or')}"
            yield Change("fine", "workflow-added", name, what, place=now.place)
        elif now is None and before is not None:
            why = "nobody sees any more whether its instances end"
            yield Change("risky", "workflow-removed", name, f"workflow {name} is gone", why, place=before.place)
        elif before is not None and now is not None:
            yield from _workflow(scope, before, now)


def _workflow(scope: Scope, before: Workflow, now: Workflow) -> Iterator[Change]:
    name = f"workflow {now.name}"
    for word, said in (("starts", "begins with"), ("succeeds", "ends well with"), ("fails", "ends badly with")):
        for tp, came in pairs(getattr(before, word), getattr(now, word)):
            what = f"{name} {said if came else f'no longer {said}'} {scope.name(tp)}" + (" too" if came else "")
            why = "" if came else "who waits for it, in `app.outcome` or a page, waits longer" if word != "starts" else ""
            yield Change("fine" if came else "risky", f"workflow-{word}", now.name, what, why, place=now.place)
    if before.within != now.within:
        less = now.within is not None and (before.within is None or now.within < before.within)
        what = f"{name} should take {_at_most(now.within)} now, not {_at_most(before.within)}"
        why = "instances that were in time count as late" if less else ""
        yield Change("risky" if less else "fine", "workflow-within", now.name, what, why, place=now.place)
    yield from _expectations(before, now)
    if before.doc != now.doc:
        yield Change("fine", "doc-changed", now.name, f"{name} is described in other words", place=now.place)


def _expectations(before: Workflow, now: Workflow) -> Iterator[Change]:
    old, new = ({one.name: one for one in flow.expects} for flow in (before, now))
    for key in sorted({*old, *new}):
        if old.get(key) == new.get(key):
            continue
        if key not in new:
            what, why = f"no longer expects {key}", "nobody is alerted any more where it does not come"
        elif key not in old:
            what, why = f"expects {key} within {exactly(new[key].within)}", ""
        elif old[key].within != new[key].within:
            what, why = f"expects {key} within {exactly(new[key].within)} now, not {exactly(old[key].within)}", ""
        else:
            what, why = f"means other events by {key}", ""
        weight: Weight = "risky" if key not in new else "fine"
        yield Change(weight, "workflow-expects", now.name, f"workflow {now.name} {what}", why, place=now.place)


def _at_most(value: float | None) -> str:
    return "any time" if value is None else f"{exactly(value)} at most"


# --- cycles


def cycles(scope: Scope) -> Iterator[Change]:
    """Types that can cause themselves now and could not before, and the other way round; and which cycles are allowed."""
    before, now = _round(scope.old), _round(scope.new)
    for component in now:
        if component not in before:
            yield _cycle(scope, component, grown=any(component & other for other in before))
    for component in before:
        if not any(component & other for other in now):
            yield Change(
                "fine",
                "cycle-gone",
                min(component),
                f"{scope.names(sorted(component))} no longer go{_es(component)} round in a cycle",
            )
        elif component not in now and not any(component < other for other in now):
            yield Change("fine", "cycle-smaller", min(component), f"the cycle of {scope.names(sorted(component))} is smaller now")
    old, new = ({frozenset(cycle.types): cycle for cycle in graph.cycles} for graph in (scope.old, scope.new))
    for types in sorted({*old, *new}, key=sorted):
        yield from _allowed(scope, old.get(types), new.get(types))


def _cycle(scope: Scope, component: frozenset[str], *, grown: bool) -> Change:
    allowed = [cycle for cycle in scope.new.cycles if set(cycle.types) <= component]
    reactions = [r for r in scope.new.reactions if {*r.causes} & component and {*r.effects_of_all_ways} & component]
    through = listed(scope.reaction(reaction.id) for reaction in reactions)
    what = f"{scope.names(sorted(component))} can cause {'itself' if len(component) == 1 else 'each other'} {'in a larger cycle' if grown else 'now'}, through {through}"
    services = tuple(sorted({reaction.service for reaction in reactions}))
    place = reactions[0].place if reactions else None
    if allowed:
        why = f"allowed, {allowed[0].at_most} times round at most"
        return Change("risky", "cycle-new", min(component), what, why, "", services, place)
    why = "events may go round without end"
    return Change(
        "breaking", "cycle-new", min(component), what, why, "Break it, or allow it: allow_cycle(..., at_most=3)", services, place
    )


def _allowed(scope: Scope, before: AllowedCycle | None, now: AllowedCycle | None) -> Iterator[Change]:
    cycle = now or before
    assert cycle is not None
    name, subject = scope.names(cycle.types), min(cycle.types, default="")
    if before is None or now is None:
        what = f"the cycle through {name} is {'allowed now' if now else 'no longer allowed'}"
        what += f", {cycle.at_most} times round at most" if now else ""
        yield Change(
            "risky" if now else "fine",
            "cycle-allowed" if now else "cycle-disallowed",
            subject,
            what,
            cycle.reason,
            place=cycle.place,
        )
        return
    if before.at_most != now.at_most:
        what = f"the cycle through {name} may go round {now.at_most} times now, not {before.at_most}"
        yield Change(
            "risky" if now.at_most > before.at_most else "fine", "cycle-at-most", subject, what, now.reason, place=now.place
        )
    if before.reason != now.reason:
        yield Change(
            "fine",
            "doc-changed",
            subject,
            f"the cycle through {name} has another reason: {now.reason or 'none'}",
            place=now.place,
        )


def _round(graph: Graph) -> list[frozenset[str]]:
    """The types that can cause themselves, those together that can cause each other."""
    number = {tp: index for index, tp in enumerate(graph.types)}
    effects: list[set[int]] = [set() for _ in graph.types]
    for edge in graph.edges:
        effects[number[edge.cause]].add(number[edge.effect])
    found: dict[int, set[str]] = {}
    for tp, component in zip(graph.types, components([sorted(several) for several in effects]), strict=True):
        found.setdefault(component, set()).add(tp)
    return [frozenset(types) for types in found.values() if len(types) > 1 or number[min(types)] in effects[number[min(types)]]]


def _es(component: frozenset[str]) -> str:
    return "es" if len(component) == 1 else ""
