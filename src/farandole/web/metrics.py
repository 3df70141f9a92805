"""/metrics: the figures of a process, as Prometheus reads them. A route to be put into any Starlette app, as `web/health.py` does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from farandole.errors import ConfigurationError
from farandole.observe.metrics import Metrics
from farandole.observe.metrics.prometheus import exposition

if TYPE_CHECKING:
    from starlette.routing import Route

    from farandole.host import App

__all__ = ["metrics_route"]


def metrics_route(app: App) -> Route:
    """Answers with the figures of this app; with 503, and what to do, where nobody counts.

    Parameters
    ----------
    app:
        The open host; `metrics` has to listen to it: `farandole.open(…, observe=["metrics"])`.
    """
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse, Response
    from starlette.routing import Route

    metrics = next((one for one in app.listeners if isinstance(one, Metrics)), None)

    async def answer(request: Request) -> Response:
        if metrics is None:
            return PlainTextResponse(
                'nobody counts here. Say observe = ["metrics"] in the configuration, or to farandole.open\n', 503
            )
        try:
            text, content_type = exposition(await metrics.samples(), metrics.fixed, request.headers.get("accept", ""))
        except ConfigurationError as error:
            return PlainTextResponse(f"{error}\n", 503)
        return Response(text, headers={"content-type": content_type})

    return Route("/metrics", answer)
