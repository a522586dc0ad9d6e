"""On the server's machine: the socket of a model server that is on a node."""

import asyncio
import contextlib
import os
import socket

from groundfog.engine.launch.ray.mirror import Mirror

_BLOCK = 1 << 16


async def serve(mirror: Mirror, port: int, word: str) -> asyncio.Server:
    """Where whoever reads the host's directory looks for it; each connection goes on to the node."""

    async def join(come: asyncio.StreamReader, go: asyncio.StreamWriter) -> None:
        try:
            there, forth = await asyncio.open_connection(mirror.address, port)
        except OSError:
            go.close()
            return
        forth.write(word.encode())
        await asyncio.gather(_pump(come, forth), _pump(there, go))
        forth.close()
        go.close()

    return await asyncio.start_unix_server(join, sock=_socket(mirror))


def _socket(mirror: Mirror) -> socket.socket:
    place = mirror.layout.socket
    place.unlink(missing_ok=True)
    folder = os.open(place.parent, os.O_PATH | os.O_CLOEXEC)
    try:
        listening = socket.socket(socket.AF_UNIX)
        # By way of the folder's descriptor: the path of a socket must be short.
        listening.bind(f"/proc/self/fd/{folder}/{place.name}")
    finally:
        os.close(folder)
    return listening


async def _pump(come: asyncio.StreamReader, go: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while block := await come.read(_BLOCK):
            go.write(block)
            await go.drain()
    with contextlib.suppress(OSError):
        go.write_eof()
