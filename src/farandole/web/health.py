"""Whether a process lives, whether it can work, and how far it is behind: for orchestrators and autoscalers.

/healthz   200 as long as all parts of the host run (a part that died stops the host)
/readyz    200 when broker and databases answer; 503 with the reasons when they do not. "resting" names what breakers leave alone: the process
           can do the rest of its work
/metrics   the figures of this process, see `web/metrics.py`
/lag       {"total": 12, "services": {"payments": {"shop.payments": 12}}}: events not yet acknowledged, per lane
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from farandole.errors import ConfigurationError, FarandoleError
from farandole.words import clock

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from farandole.host import App

__all__ = ["health_app", "serve"]

PATIENCE = 3.0
"""Seconds that broker and databases have for an answer."""
_LAST = 2
"""Seconds that what is being answered has when the host stops; streams have no end of their own."""


def health_app(app: App) -> Starlette:
    """The four answers, as an ASGI application to be mounted anywhere.

    Parameters
    ----------
    app:
        The open host.
    """
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from farandole.web.metrics import metrics_route

    async def healthz(_: Request) -> JSONResponse:
        return JSONResponse({"status": "stopping" if app.is_stopping else "ok"})

    async def readyz(_: Request) -> JSONResponse:
        reasons = ["the host is stopping"] if app.is_stopping else await _troubles(app)
        told = {"status": "not ready" if reasons else "ready", "reasons": reasons}
        if resting := app.resting:
            told["resting"] = [
                f"{service}: {dependency} until {clock(until)} UTC"
                for service, these in resting.items()
                for dependency, until in these.items()
            ]
        return JSONResponse(told, 503 if reasons else 200)

    async def lag(_: Request) -> JSONResponse:
        try:
            async with asyncio.timeout(PATIENCE):
                services = await app.lag()
        except (FarandoleError, TimeoutError) as error:
            return JSONResponse({"error": str(error) or f"no answer in {PATIENCE:g} s"}, 503)
        return JSONResponse({"total": sum(sum(lanes.values()) for lanes in services.values()), "services": services})

    routes = [Route("/healthz", healthz), Route("/readyz", readyz), Route("/lag", lag), metrics_route(app)]
    return Starlette(routes=routes)


async def _troubles(app: App) -> list[str]:
    async def ask(name: str, question: Any) -> str | None:
        try:
            async with asyncio.timeout(PATIENCE):
                await question
        except (FarandoleError, TimeoutError) as error:
            return f"{name}: {str(error) or f'no answer in {PATIENCE:g} s'}"
        return None

    # Of a database, a question that costs the same however much waits in it.
    asked = [ask("broker", app.lag())] + [ask(name, store.receipt("", "")) for name, store in app.stores.items()]
    return [trouble for trouble in await asyncio.gather(*asked) if trouble is not None]


@asynccontextmanager
async def serve(
    app: App, place: str, make: Callable[[App], Starlette] = health_app, flag: str = "--health"
) -> AsyncIterator[None]:
    """Answer at a place, `8080` or `0.0.0.0:8080`, for as long as the `with` lasts.

    Parameters
    ----------
    make:
        Makes what answers.
    flag:
        What errors call it.

    Raises
    ------
    ConfigurationError
        The place is no port, is taken, or the libraries are not installed.
    """
    try:
        import uvicorn
    except ImportError:
        raise ConfigurationError(f'{flag} needs starlette and uvicorn. Install them: pip install "farandole[web]"') from None
    host, _, port = place.rpartition(":")
    if not (port.isascii() and port.isdigit() and 0 <= int(port) < 65536):
        raise ConfigurationError(f"{flag}: expected a port, or address:port, got: {place!r}")

    class Server(uvicorn.Server):
        """Signals are the host's."""

        def capture_signals(self) -> Any:
            return contextlib.nullcontext()

    try:
        listening = socket.create_server((host or "127.0.0.1", int(port)))
    except OSError as error:
        raise ConfigurationError(
            f"{flag}: {host or '127.0.0.1'}:{port}: {os.strerror(error.errno or 0)}. Choose another port"
        ) from None
    server = Server(
        uvicorn.Config(make(app), log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=_LAST)
    )
    task = asyncio.create_task(server.serve([listening]), name="health")
    try:
        yield
    finally:
        server.should_exit = True
        await task
        listening.close()
