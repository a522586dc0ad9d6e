"""Keeps whatever runs under it on this machine, and writes down where it wanted to go."""

import os
import socket

resolve = socket.getaddrinfo


def here_alone(host, *more, **named):
    if host in ("127.0.0.1", "localhost", "::1", None):
        return resolve(host, *more, **named)
    with open(os.environ["LEFT"], "a") as left:  # noqa: PTH123
        left.write(f"{host}\n")
    raise socket.gaierror(socket.EAI_NONAME, "kept on this machine by the tests")


socket.getaddrinfo = here_alone
