"""Interfaces of network namespaces, made by rtnetlink as `ip` would, were it everywhere: man 7 rtnetlink."""

import os
import socket
import struct

INTERFACE = "eth0"
"""By which a host finds the others of its job."""
_MTU = 65521
_NEWLINK, _NEWADDR = 16, 20
_REQUEST, _NEW = 0x1 | 0x4, 0x400 | 0x200
_IFNAME, _IFMTU, _MASTER, _LINKINFO, _NS_FD = 3, 4, 10, 18, 28
_INFO_KIND, _INFO_DATA, _VETH_PEER = 1, 2, 1
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_UP = 1


def address(number: int) -> str:
    """Of a job's host, counted from 1."""
    return f"10.0.{number >> 8}.{number & 255}"


def make_cable(far_end: str, hub: int) -> None:
    """Both ends take packets as large as they come: there is no wire between."""
    mtu = _attribute(_IFMTU, struct.pack("=I", _MTU))
    peer = _link() + _name(far_end) + mtu + _attribute(_NS_FD, struct.pack("=I", hub))
    make(INTERFACE, "veth", _attribute(_INFO_DATA, _attribute(_VETH_PEER, peer)), mtu)


def make(name: str, kind: str, data: bytes = b"", further: bytes = b"") -> None:
    info = _attribute(_LINKINFO, _attribute(_INFO_KIND, kind.encode()) + data)
    _ask_kernel(_NEWLINK, _NEW, _link() + _name(name) + further + info)


def set_up(name: str, *, plugged_into: str = "") -> None:
    bridge = _attribute(_MASTER, struct.pack("=I", socket.if_nametoindex(plugged_into))) if plugged_into else b""
    _ask_kernel(_NEWLINK, 0, _link(socket.if_nametoindex(name), _UP) + bridge)


def add_address(number: int) -> None:
    at = socket.inet_aton(address(number))
    about = struct.pack("=BBBBi", socket.AF_INET, 16, 0, 0, socket.if_nametoindex(INTERFACE))
    _ask_kernel(_NEWADDR, _NEW, about + _attribute(_IFA_LOCAL, at) + _attribute(_IFA_ADDRESS, at))


def _link(index: int = 0, flags: int = 0) -> bytes:
    return struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, flags, flags)


def _name(name: str) -> bytes:
    return _attribute(_IFNAME, name.encode() + b"\0")


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def _ask_kernel(kind: int, flags: int, body: bytes) -> None:
    """Raises OSError where it refuses."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        kernel.send(struct.pack("=IHHII", 16 + len(body), kind, _REQUEST | flags, 1, 0) + body)
        (error,) = struct.unpack_from("=i", kernel.recv(1 << 16), 16)
    if error:
        raise OSError(-error, os.strerror(-error))
