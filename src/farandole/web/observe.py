"""Where the workflows are, over HTTP: what `app.workflows`, `app.status`, `app.follow` and `app.alerts` tell, as JSON.

/overview                 how many instances there are, by workflow and state, and how many alerts are open
/workflows                instances, those that began last first: ?workflow=…&state=stalled,failed&since=2h&limit=100
/workflows/ID             all of one: its events, what is expected, what may come, and why it does not; ID may be order_id=4711
/workflows/ID/events      the same as server-sent events, whenever it changes, until it is over
/alerts                   those that are open, or ?resolved=true
/metrics                  the figures of this process, see `web/metrics.py`
/healthz, /readyz         as in `farandole run --health`; ready means that the record answers and is followed

Sensitive values are `"***"`, as they are in the record. Who may see the rest is for whoever mounts it to decide.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from farandole.config import parse_duration
from farandole.errors import BrokerError, ConfigurationError, StoreError, UnknownInstance
from farandole.observe.status import Status
from farandole.stores.record import Alert, Standing
from farandole.words import stamp

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

    from farandole.host import App

__all__ = ["observe_app", "observe_routes", "standing_json"]

MOST = 1000
"""The largest `limit`."""
PATIENCE = 5.0
"""Seconds that the record has for an answer."""
ALIVE = 15.0
"""Seconds after which a stream says that it lives, so that nothing between takes it for dead."""


_TIMES = frozenset({"at", "began", "due", "now", "resolved", "since", "time"})


class _Wrong(Exception):
    """A parameter that nobody can use; the message says what to write."""


def observe_app(app: App) -> Starlette:
    """All of it, as an ASGI application to be mounted anywhere: `Mount("/farandole", observe_app(app))`.

    Parameters
    ----------
    app:
        An open host with a record.
    """
    from starlette.applications import Starlette

    return Starlette(routes=observe_routes(app))


def observe_routes(app: App) -> list[Any]:
    """Its routes, for those who add some."""
    from starlette.responses import StreamingResponse
    from starlette.routing import Route

    from farandole.web.metrics import metrics_route

    async def overview(request: Request) -> Any:
        _known(request, ())
        counts = [
            {"workflow": name or None, "state": state, "count": number}
            for (name, state), number in sorted((await app.overview()).items())
        ]
        return {"choreography": app.choreography.name, "counts": counts, "alerts": len(await app.alerts(limit=MOST))}

    async def workflows(request: Request) -> Any:
        asked = _known(request, ("workflow", "state", "since", "limit"))
        states = [state for state in asked.get("state", "").split(",") if state]
        try:
            found = await app.workflows(
                workflow=asked.get("workflow"), state=states, since=_since(asked.get("since")), limit=_limit(asked.get("limit"))
            )
        except ConfigurationError as error:
            raise _Wrong(str(error)) from None
        return {"workflows": [standing_json(one) for one in found]}

    async def one(request: Request) -> Any:
        _known(request, ())
        return status_json(await app.status(await _instance(app, request)))

    async def events(request: Request) -> Any:
        _known(request, ())
        id = await _instance(app, request)
        await app.status(id)  # 404 where nobody knows it
        return StreamingResponse(
            _stream(app, id), media_type="text/event-stream", headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        )

    async def alerts(request: Request) -> Any:
        asked = _known(request, ("resolved", "limit"))
        resolved = asked.get("resolved", "false")
        if resolved not in ("true", "false"):
            raise _Wrong(f"resolved: expected true or false, got: {resolved!a}")
        found = await app.alerts(resolved=resolved == "true", limit=_limit(asked.get("limit")))
        return {"alerts": [alert_json(alert) for alert in found]}

    async def healthz(_: Request) -> Any:
        return {"status": "stopping" if app.is_stopping else "ok"}

    async def readyz(_: Request) -> Any:
        reasons = ["the host is stopping"] if app.is_stopping else await _troubles(app)
        return ({"status": "not ready" if reasons else "ready", "reasons": reasons}, 503 if reasons else 200)

    paths: dict[str, Callable[[Request], Awaitable[Any]]] = {
        "/overview": overview,
        "/workflows": workflows,
        "/workflows/{id:path}/events": events,
        "/workflows/{id:path}": one,
        "/alerts": alerts,
        "/healthz": healthz,
        "/readyz": readyz,
    }
    return [*(Route(path, _answering(answer)) for path, answer in paths.items()), metrics_route(app)]


def _answering(answer: Callable[[Request], Awaitable[Any]]) -> Callable[[Request], Awaitable[Response]]:
    """Every answer is JSON, also that something is unknown, wrong or away."""
    from starlette.responses import JSONResponse, Response

    async def answering(request: Request) -> Response:
        try:
            async with asyncio.timeout(PATIENCE):
                found = await answer(request)
        except UnknownInstance as error:
            return JSONResponse({"error": str(error)}, 404)
        except _Wrong as error:
            return JSONResponse({"error": str(error)}, 422)
        except (StoreError, BrokerError, ConfigurationError) as error:  # the record is away, or there is none
            return JSONResponse({"error": str(error)}, 503)
        except TimeoutError:
            return JSONResponse({"error": f"the record did not answer in {PATIENCE:g} s"}, 503)
        if isinstance(found, Response):
            return found
        body, code = found if isinstance(found, tuple) else (found, 200)
        return JSONResponse(body, code)

    return answering


async def _instance(app: App, request: Request) -> str:
    """The correlation id that a path names; `order_id=4711` is the latest instance of that key."""
    id: str = request.path_params["id"]
    field, equals, value = id.partition("=")
    if not equals:
        return id
    found = await app.record.instances_of(field, value, limit=1)
    if not found:
        raise UnknownInstance(f"no event with {field} = {value!a} is recorded. Is {field} the key of an event?")
    return found[0]


async def _stream(app: App, id: str) -> AsyncIterator[bytes]:
    """Server-sent events: `status` whenever it changes, `over` at the end; a comment now and then, and `trouble` where it breaks off."""
    async with aclosing(app.follow(id)) as statuses:
        coming: asyncio.Task[Status] | None = None
        try:
            while True:
                coming = coming or asyncio.ensure_future(anext(statuses))
                done, _ = await asyncio.wait([coming], timeout=ALIVE)
                if not done:
                    yield b": alive\n\n"
                    continue
                try:
                    status, coming = coming.result(), None
                except StopAsyncIteration:
                    yield b"event: over\ndata: {}\n\n"
                    return
                except StoreError as error:
                    yield b"event: trouble\ndata: " + msgspec.json.encode({"error": str(error)}) + b"\n\n"
                    return
                yield b"event: status\ndata: " + msgspec.json.encode(status_json(status)) + b"\n\n"
        finally:
            if coming is not None:
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)


async def _troubles(app: App) -> list[str]:
    try:
        async with asyncio.timeout(PATIENCE):
            await app.alerts(limit=1)
            await app.record.stood()
    except (StoreError, ConfigurationError, TimeoutError) as error:
        return [f"record: {str(error) or f'no answer in {PATIENCE:g} s'}"]
    return [f"{who}: {trouble}" for who, trouble in app.troubles.items()]


def _known(request: Request, names: tuple[str, ...]) -> Mapping[str, str]:
    asked = dict(request.query_params)
    if strange := [name for name in asked if name not in names]:
        raise _Wrong(f"there is no parameter {strange[0]!a} here. Known are: {', '.join(names) or 'none'}")
    return asked


def _since(text: str | None) -> timedelta | None:
    try:
        return None if text is None else timedelta(seconds=parse_duration(text))
    except (ValueError, OverflowError) as error:
        raise _Wrong(f"since: {error}") from None


def _limit(text: str | None) -> int:
    if text is None:
        return 100
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MOST):
        raise _Wrong(f"limit: expected a number from 1 to {MOST}, got: {text[:20]!a}")
    return int(text)


def standing_json(one: Standing) -> dict[str, Any]:
    """A standing; times in ISO 8601, as everywhere here."""
    told: dict[str, Any] = msgspec.to_builtins(one)
    del told["changes_at"], told["number"]
    told["workflow"] = one.workflow or None
    return dict(_dated(told))


def alert_json(alert: Alert) -> dict[str, Any]:
    """An alert."""
    return dict(_dated(msgspec.to_builtins(alert)))


def status_json(status: Status) -> dict[str, Any]:
    """A status."""
    told = {
        "correlation_id": status.correlation_id,
        "workflow": status.workflow,
        "state": status.state,
        "is_over": status.is_over,
        "since": status.since,
        "began": status.began,
        "due": status.due,
        "now": status.now,
        "reason": status.reason,
        "expected": [msgspec.to_builtins(one) for one in status.expected],
        "possible": [msgspec.to_builtins(one) for one in status.possible],
        "levels": [msgspec.to_builtins(one) for one in status.levels],
        "events": [
            {
                "id": one.id,
                "type": one.type,
                "source": one.source,
                "time": one.time,
                "causes": one.causes,
                "field": one.field,
                "key": one.key,
            }
            for one in status.events
        ],
    }
    return dict(_dated(told))


def _dated(told: Any) -> Any:
    """The same with times as texts."""
    if isinstance(told, dict):
        return {name: stamp(value) if name in _TIMES else _dated(value) for name, value in told.items()}
    return [_dated(one) for one in told] if isinstance(told, (list, tuple)) else told
