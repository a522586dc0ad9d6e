# ruff: noqa: T201
"""Tries what a program must not be able to do, and prints as a JSON list what worked: the module, or a user's script.

What to try it on comes from the environment: FORBIDDEN, paths by colons; PORTS, of listeners on this machine, by
commas; ABSTRACT, the name of a socket; AS_ROOT, where the server is root. The standard library is all that it needs.
"""

import ctypes
import json
import os
import platform
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

HERE = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
FORBIDDEN = [Path(path) for path in os.environ.get("FORBIDDEN", "").split(":") if path]
PORTS = [int(port) for port in os.environ.get("PORTS", "").split(",") if port]
AS_ROOT = bool(os.environ.get("AS_ROOT"))
_NEWUSER, _NEWNS, _MS_REMOUNT, _MS_BIND, _PTRACE_ATTACH = 0x10000000, 0x00020000, 32, 4096, 16
_IO_URING_SETUP = 425
libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    worked = [what for attempt in ATTEMPTS for what in attempt()]
    leave_links()
    print("worked:", json.dumps(worked), flush=True)


def looks_where_it_must_not() -> Iterator[str]:
    # On the way to the interpreter there are folders with nothing else in them.
    on_the_way = {*Path(sys.prefix).parents, *Path(sys.base_prefix).parents}
    for path in (*FORBIDDEN, *map(Path, ("/root", "/home", "/var/lib", "/boot", "/sys/fs/cgroup"))):
        if path not in on_the_way and works(lambda path=path: list(path.iterdir())):
            yield f"listed {path}"
    for path in (Path("/etc/shadow"), Path("/etc/passwd"), Path("/proc/kcore"), Path("/dev/mem"), Path("/dev/kmsg")):
        if works(lambda path=path: path.open("rb").read(1)):
            yield f"read {path}"


def writes_where_it_must_not() -> Iterator[str]:
    folders = ("/opt/ml/input/config", "/opt/ml/input/data/train", "/usr", "/etc", "/", "/dev", sys.prefix)
    files = (
        *(Path(folder) / "new" for folder in folders),
        Path("/opt/ml/input/data/train/file"),
        Path("/opt/ml/input/config/hyperparameters.json"),
        Path("/etc/hosts"),
        Path("/proc/sys/kernel/core_pattern"),
        Path("/proc/sysrq-trigger"),
        Path(json.__file__),
    )
    for file in files:
        if works(lambda file=file: file.write_text("x")):
            yield f"wrote {file}"
    if works(lambda: Path("/opt/ml/input/data/train/file").chmod(0o777)):
        yield "changed the mode of an input"


def reaches_what_it_must_not() -> Iterator[str]:
    for address in (*(("127.0.0.1", port) for port in PORTS), *(("::1", port) for port in PORTS), ("192.0.2.1", 80)):
        try:
            socket.create_connection(address, timeout=0.5).close()
            yield f"connected to {address}"
        except TimeoutError:
            yield f"packets leave for {address}"
        except OSError:
            pass
    for name in ("\0" + os.environ.get("ABSTRACT", "nobody"), *map(str, FORBIDDEN)):
        if works(lambda name=name: socket.socket(socket.AF_UNIX).connect(name)):
            yield f"connected to {name!r}"
    if works(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0x300)):
        yield "may listen to others' packets"
    if works(lambda: socket.getaddrinfo("example.com", 80)):
        yield "resolves names"


def touches_other_processes() -> Iterator[str]:
    others = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    commands = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in others]
    if any(b"groundfog\0serve" in command or b"agent" in command for command in commands):
        yield f"sees {commands}"
    if AS_ROOT and works(lambda: Path("/proc/1/environ").read_bytes()):
        yield "read another's environment"
    if AS_ROOT and libc.ptrace(_PTRACE_ATTACH, 1, None, None) == 0:
        yield "traces another process"
    if AS_ROOT and works(lambda: os.kill(1, signal.SIGTERM)):
        yield "sent a signal to another's process"


def gains_power() -> Iterator[str]:
    for become in (os.setuid, os.setgid):
        if works(lambda become=become: become(0)):
            yield "became root"
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    for name in ("CapEff", "CapPrm", "CapBnd" if AS_ROOT else "CapInh", "CapAmb"):
        if int(status[name], 16):
            yield f"has {name} {status[name]}"
    if status["NoNewPrivs"].strip() != "1":
        yield "may gain privileges"
    if os.getuid() == 0 or resource.getrlimit(resource.RLIMIT_CORE)[0]:
        yield "is root, or may dump core"
    yield from _by_setuid()
    for kind, name in ((stat.S_IFBLK, "disk"), (stat.S_IFCHR, "memory")):
        if works(lambda kind=kind, name=name: os.mknod(f"/tmp/{name}", kind | 0o666, os.makedev(1, 1))):
            yield f"made a device, {name}"


def _by_setuid() -> Iterator[str]:
    copy = HERE / "model" / "id"
    shutil.copy("/usr/bin/id", copy)
    copy.chmod(0o6755)
    if subprocess.run([copy, "-u"], capture_output=True, text=True).stdout.strip() != str(os.getuid()):
        yield "a file with the setuid bit changes who runs it"


def asks_the_kernel_for_too_much() -> Iterator[str]:
    """In a user namespace of its own it could mount, and what was mounted for it must stay as it is."""
    child = os.fork()
    if child == 0:
        own = libc.unshare(_NEWUSER | _NEWNS) == 0
        rewritten = libc.mount(b"none", b"/opt/ml/input", None, _MS_REMOUNT | _MS_BIND, None) == 0
        removed = libc.umount2(b"/opt/ml/input", 0) == 0
        os._exit(own + 2 * rewritten + 4 * removed)
    if changed := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        yield f"made a namespace, or changed its mounts ({changed})"
    if works(lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)):
        yield "may speak to the machine below"
    if (
        platform.machine() in ("x86_64", "aarch64")
        and libc.syscall(_IO_URING_SETUP, 1, ctypes.create_string_buffer(120)) >= 0
    ):
        yield "has io_uring"


def leave_links() -> None:
    """For whoever packs what is left."""
    for folder in ("model", "checkpoints", "output/data"):
        for number, target in enumerate(("/etc/shadow", "/", "../../../../../../../etc/shadow", *map(str, FORBIDDEN))):
            (HERE / folder / f"link-{number}").symlink_to(target)
    os.mkfifo(HERE / "model" / "fifo")
    (HERE / "model" / "weights").write_text("weights")


def works(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except OSError:
        return False
    return True


ATTEMPTS = (
    looks_where_it_must_not,
    writes_where_it_must_not,
    reaches_what_it_must_not,
    touches_other_processes,
    gains_power,
    asks_the_kernel_for_too_much,
)

if __name__ == "__main__":
    main()
