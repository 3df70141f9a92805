"""Why a rehearsal was cut short, and what reaches out of one, with what to use instead.

Cut
├── Deadlock       everything waits, and nothing will ever come
├── OutOfTime      it goes on beyond its limit of virtual time
├── EndlessLoop    something runs on and on while no time passes
└── OutsideWorld   something reached out: a thread, a socket, a process, a signal, a real pause
"""

from __future__ import annotations

__all__ = ["FAKE", "REFUSED", "Cut", "Deadlock", "EndlessLoop", "OutOfTime", "OutsideWorld"]


class Cut(BaseException):
    """The run was cut. No `except Exception` of a handler keeps it, so that nobody takes it for a failure to be tried again."""


class Deadlock(Cut):
    """Nothing is ready and no timer is set: it would wait for ever."""


class OutOfTime(Cut):
    """The run goes on beyond its limit of virtual time."""


class EndlessLoop(Cut):
    """Something runs on and on while no time passes."""


class OutsideWorld(Cut):
    """Something reached out of the rehearsal; the message names the place and what to use instead."""


FAKE = "Put it behind something that the service provides, and provide a fake in the rehearsal"
_ASYNC = f"Write `async def`, without asyncio.to_thread. Where it must block: {FAKE[0].lower()}{FAKE[1:]}"

_NETWORK = """
    create_connection create_server create_unix_connection create_unix_server create_datagram_endpoint connect_accepted_socket
    getaddrinfo getnameinfo sendfile start_tls sock_accept sock_connect sock_recv sock_recv_into sock_recvfrom sock_recvfrom_into
    sock_sendall sock_sendfile sock_sendto
"""

REFUSED: dict[str, tuple[str, str]] = {
    "run_in_executor": ("a thread", _ASYNC),
    **dict.fromkeys(_NETWORK.split(), ("the network", FAKE)),
    **dict.fromkeys(
        ("subprocess_exec", "subprocess_shell", "connect_read_pipe", "connect_write_pipe"), ("another process", FAKE)
    ),
    **dict.fromkeys(("add_reader", "add_writer"), ("a file descriptor", FAKE)),
    "add_signal_handler": ("a signal of the operating system", "Leave signals to what starts the program: `farandole run`"),
}
"""For each method of a loop that reaches outside: what it reaches for, and what to do instead."""
