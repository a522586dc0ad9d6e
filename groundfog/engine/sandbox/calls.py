"""System calls that a program behind the wall does without: what a way out of it would begin with.

User namespaces, in which anybody may do what is root's elsewhere; mounts; vsock, which no network namespace separates;
and corners of the kernel that programs of ours and of users have no need of, and attackers like. The filter is one of
seccomp, in the classic BPF that the kernel runs before each call: https://docs.kernel.org/userspace-api/seccomp_filter.html
"""

import errno
import platform
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
"""Where these lie in what the kernel shows of a call: of the argument, the lower half."""
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000
_NEWUSER = 0x10000000
_FOREIGN = 0x40000000
"""From here on, x86 counts the calls of another of its worlds."""
_SAME_EVERYWHERE = {
    "io_uring_setup": 425,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsmount": 432,
    "clone3": 435,
    "mount_setattr": 442,
}


@dataclass(frozen=True)
class _Architecture:
    audit: int
    numbers: dict[str, int]


_ARCHITECTURES = {
    "x86_64": _Architecture(
        0xC000003E,
        {
            "socket": 41,
            "clone": 56,
            "pivot_root": 155,
            "mount": 165,
            "umount2": 166,
            "add_key": 248,
            "request_key": 249,
            "keyctl": 250,
            "unshare": 272,
            "perf_event_open": 298,
            "open_by_handle_at": 304,
            "setns": 308,
            "bpf": 321,
            "userfaultfd": 323,
        },
    ),
    "aarch64": _Architecture(
        0xC00000B7,
        {
            "umount2": 39,
            "mount": 40,
            "pivot_root": 41,
            "unshare": 97,
            "socket": 198,
            "add_key": 217,
            "request_key": 218,
            "keyctl": 219,
            "clone": 220,
            "perf_event_open": 241,
            "open_by_handle_at": 265,
            "setns": 268,
            "bpf": 280,
            "userfaultfd": 282,
        },
    ),
}


def refusals(machine: str | None = None) -> bytes:
    """The filter for this machine's processor, as bubblewrap takes it; empty for one that is not known."""
    architecture = _ARCHITECTURES.get(machine or platform.machine())
    return b"" if architecture is None else b"".join(_program(architecture))


def _program(architecture: _Architecture) -> Iterator[bytes]:
    yield _step(_LOAD, _ARCHITECTURE)
    yield from _unless(_EQUAL, architecture.audit, _refuse(errno.ENOSYS))
    yield _step(_LOAD, _NUMBER)
    yield from _if(_AT_LEAST, _FOREIGN, _refuse(errno.ENOSYS))
    for name, number in {**architecture.numbers, **_SAME_EVERYWHERE}.items():
        yield from _if(_EQUAL, number, *_answer(name))
    yield _step(_RETURN, _ALLOW)


def _answer(name: str) -> Iterator[bytes]:
    """To a call of this name."""
    match name:
        case "clone" | "unshare":
            yield _step(_LOAD, _FIRST_ARGUMENT)
            yield from _if(_ANY_BIT, _NEWUSER, _refuse(errno.EPERM))
            yield _step(_RETURN, _ALLOW)
        case "socket":
            yield _step(_LOAD, _FIRST_ARGUMENT)
            yield from _if(_EQUAL, socket.AF_VSOCK, _refuse(errno.EAFNOSUPPORT))
            yield _step(_RETURN, _ALLOW)
        case "clone3":
            # Its flags lie in memory, where a filter cannot look; who meets this answer falls back on clone.
            yield _refuse(errno.ENOSYS)
        case _:
            yield _refuse(errno.EPERM)


def _if(test: int, value: int, *body: bytes) -> Iterator[bytes]:
    yield _step(test, value, otherwise=len(body))
    yield from body


def _unless(test: int, value: int, *body: bytes) -> Iterator[bytes]:
    yield _step(test, value, then=len(body))
    yield from body


def _refuse(error: int) -> bytes:
    return _step(_RETURN, _REFUSE | error)


def _step(code: int, value: int, *, then: int = 0, otherwise: int = 0) -> bytes:
    """One instruction, and how many to jump over."""
    return struct.pack("=HBBI", code, then, otherwise, value)
