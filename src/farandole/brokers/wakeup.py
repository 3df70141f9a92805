"""How a waiting consumer learns that something came from another process of this machine: by datagrams.

Datagrams are a courtesy: whoever misses one finds out by polling. Nothing here raises where sockets do not work.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path

__all__ = ["Wakeup"]

_LONGEST_PATH = 103  # bytes that every system takes as the address of a socket
_LONGEST_NAME = 25  # of these: for a slash, a process number and a token


class Wakeup:
    """A socket of ours in a folder beside the file, and the others' in it.

    Parameters
    ----------
    file:
        The shared file; the folder is `<file>-wake`.
    name:
        Ours, unlike all others.
    arrived:
        Called with what others told since the last call.
    """

    def __init__(self, file: Path, name: str, arrived: Callable[[set[bytes]], None]) -> None:
        self._folder = folder_of(file)
        self._name = name
        self._arrived = arrived
        self._socket: socket.socket | None = None
        self._handle: int | None = None  # of the folder, where its path is too long for a socket
        self._peers: list[str] = []
        self._seen = -1

    def open(self) -> None:
        """Begin to listen, where sockets work."""
        if not hasattr(socket, "AF_UNIX"):
            return
        ours = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if len(os.fsencode(self._folder)) + _LONGEST_NAME > _LONGEST_PATH:
                self._handle = os.open(self._folder, os.O_RDONLY)
            ours.setblocking(False)
            ours.bind(self._address(self._name))
            asyncio.get_running_loop().add_reader(ours, self._receive)
        except (OSError, NotImplementedError):  # polling remains
            ours.close()
            self._forget()
            return
        self._socket = ours

    def tell(self, what: bytes) -> None:
        """One datagram to each of the others. Addresses that nobody listens at any more are removed."""
        if self._socket is None:
            return
        for peer in self._others():
            try:
                self._socket.sendto(what, self._address(peer))
            except BlockingIOError:  # its queue is full: it will wake anyway
                continue
            except OSError:  # it died without closing
                with contextlib.suppress(OSError):
                    (self._folder / peer).unlink()

    def close(self) -> None:
        """Stop listening. Twice is fine."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
            self._forget()

    def _forget(self) -> None:
        with contextlib.suppress(OSError):
            (self._folder / self._name).unlink()
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _address(self, name: str) -> str:
        """The path of a socket; through a handle on the folder where it would be too long (on Linux; elsewhere polling remains)."""
        return str(self._folder / name) if self._handle is None else f"/proc/self/fd/{self._handle}/{name}"

    def _others(self) -> list[str]:
        try:
            changed = self._folder.stat().st_mtime_ns
            if changed != self._seen:
                self._peers = sorted(path.name for path in self._folder.iterdir() if path.name != self._name)
                self._seen = changed
        except OSError:
            self._peers = []
        return self._peers

    def _receive(self) -> None:
        told: set[bytes] = set()
        with contextlib.suppress(OSError):
            while self._socket is not None:
                told.add(self._socket.recv(16))
        if told:
            self._arrived(told)


def folder_of(file: Path) -> Path:
    """Where the sockets of a file live: beside it."""
    return Path(f"{file}-wake")
