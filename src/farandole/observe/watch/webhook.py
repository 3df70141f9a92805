"""Alerts to a webhook: one POST of JSON with a text that chats show, and the alerts as data."""

from __future__ import annotations

import asyncio
import http.client
import ssl
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

import msgspec

from farandole.errors import ConfigurationError, FarandoleError
from farandole.stores.record import Alert

__all__ = ["Webhook"]

PATIENCE = 10.0
"""Seconds for a connection, and for each part of the answer."""
LISTED = 50
"""So many alerts are in one message as data; `count` says how many there are."""


class Webhook:
    """POSTs to a URL. What is in it besides the host is a secret: nobody ever sees it.

    Parameters
    ----------
    url:
        `https://…`, or `http://…`. A user and password in it are sent as HTTP Basic authentication.
    choreography:
        Its name, which is in the message.

    Raises
    ------
    ConfigurationError
        It names no host.
    """

    def __init__(self, url: str, choreography: str = "") -> None:
        try:
            parts = urlsplit(url)
            self._port = parts.port
        except ValueError:
            raise ConfigurationError("alerts: the URL of a webhook cannot be read. Write it as https://host/path") from None
        if parts.scheme not in ("http", "https") or not parts.hostname or any(not " " < char < "\x7f" for char in url):
            raise ConfigurationError("alerts: the URL of a webhook names no host, or has blanks. Write it as https://host/path")
        self.name = f"{parts.scheme}://{parts.hostname}/…"
        self._secure = parts.scheme == "https"
        self._host = parts.hostname
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._choreography = choreography
        self._headers = {"Content-Type": "application/json", "User-Agent": "farandole"}
        if parts.username is not None:
            from base64 import b64encode

            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"

    def __repr__(self) -> str:
        return f"<Webhook {self.name}>"

    async def tell(self, alerts: Sequence[Alert], text: str) -> None:
        """POST it.

        Raises
        ------
        FarandoleError
            The host did not take it.
        """
        body = msgspec.json.encode(
            {
                "text": text,
                "choreography": self._choreography,
                "status": "resolved" if alerts[0].resolved is not None else "open",
                "rule": alerts[0].rule,
                "workflow": alerts[0].workflow,
                "count": len(alerts),
                "alerts": alerts[:LISTED],
            }
        )
        try:
            status = await asyncio.to_thread(self._post, body)
        except (OSError, http.client.HTTPException) as error:
            # An error's text may quote the URL.
            raise FarandoleError(f"the webhook {self.name} took no alert: {type(error).__name__}") from None
        if not 200 <= status < 300:
            raise FarandoleError(f"the webhook {self.name} took no alert: it answered {status}")

    def _post(self, body: bytes) -> int:
        connection = (
            http.client.HTTPSConnection(self._host, self._port, timeout=PATIENCE, context=ssl.create_default_context())
            if self._secure
            else http.client.HTTPConnection(self._host, self._port, timeout=PATIENCE)
        )
        try:
            connection.request("POST", self._path, body, self._headers)
            return connection.getresponse().status
        finally:
            connection.close()
