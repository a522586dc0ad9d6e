"""The filter of system calls, run as the kernel would."""

import errno
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundfog.engine.sandbox.calls import _ARCHITECTURES, _SAME_EVERYWHERE, refusals

ALLOWED = 0x7FFF0000
NEWUSER, NEWNET, VM = 0x10000000, 0x40000000, 0x100


def answer(machine: str, call: int, first: int = 0, audit: int | None = None) -> int:
    """What classic BPF says: the five instructions that the filter is made of."""
    audit = _ARCHITECTURES[machine].audit if audit is None else audit
    data = struct.pack("=IIQQQQQQQ", call, audit, 0, first, 0, 0, 0, 0, 0)
    steps = list(struct.iter_unpack("=HBBI", refusals(machine)))
    at = loaded = 0
    while True:
        code, then, otherwise, value = steps[at]
        at += 1
        if code == 0x06:
            return value
        if code == 0x20:
            (loaded,) = struct.unpack_from("=I", data, value)
        else:
            holds = {0x15: loaded == value, 0x35: loaded >= value, 0x45: bool(loaded & value)}[code]
            at += then if holds else otherwise


@pytest.fixture(params=sorted(_ARCHITECTURES))
def machine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_user_namespaces_are_refused_and_others_left_to_the_kernel(machine: str) -> None:
    numbers = _ARCHITECTURES[machine].numbers
    for name in ("clone", "unshare"):
        assert answer(machine, numbers[name], NEWUSER | NEWNET) & 0xFFFF == errno.EPERM
        assert answer(machine, numbers[name], NEWNET | VM) == ALLOWED
    assert answer(machine, _SAME_EVERYWHERE["clone3"]) & 0xFFFF == errno.ENOSYS


def test_vsock_is_refused_and_other_sockets_are_not(machine: str) -> None:
    call = _ARCHITECTURES[machine].numbers["socket"]
    assert answer(machine, call, socket.AF_VSOCK) & 0xFFFF == errno.EAFNOSUPPORT
    for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, socket.AF_NETLINK):
        assert answer(machine, call, family) == ALLOWED


def test_calls_of_another_architecture_are_refused(machine: str) -> None:
    assert answer(machine, 0, audit=0x40000003) & 0xFFFF == errno.ENOSYS
    assert answer(machine, 0x40000000 + 1) & 0xFFFF == errno.ENOSYS


@given(call=st.integers(0, 500), first=st.integers(0, 2**32 - 1))
def test_a_call_that_is_not_named_is_allowed(call: int, first: int) -> None:
    for machine, architecture in _ARCHITECTURES.items():
        named = {*architecture.numbers.values(), *_SAME_EVERYWHERE.values()}
        if call not in named:
            assert answer(machine, call, first) == ALLOWED


def test_an_unknown_processor_has_no_filter() -> None:
    assert refusals("pdp11") == b""
