# ruff: noqa: T201
"""What the tests run behind the treaty: `python -m probe_program WISH...`, standard library only."""

import importlib
import json
import os
import resource
import signal
import socket
import sys
import threading
import time
from pathlib import Path

from pipe_wishes import read_channels, read_when_told, wait_for_an_epoch_that_never_comes  # noqa: F401

HERE = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))


def succeed() -> None:
    print("to standard output")
    print("to standard error", file=sys.stderr)
    (HERE / "model" / "weights").write_text("42")


def end(code: str) -> None:
    raise SystemExit(int(code))


def fail(text: str) -> None:
    (HERE / "output" / "failure").write_text(text)
    raise SystemExit(1)


def wait_for_the_end() -> None:
    def write_and_leave(*_: object) -> None:
        (HERE / "model" / "weights").write_text("best so far")
        print("asked to end")
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, write_and_leave)
    print("waiting")
    while True:
        time.sleep(10)


def not_listen() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("waiting")
    while True:
        time.sleep(10)


def kill_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def write_badly() -> None:
    out = sys.stdout.buffer
    out.write(b"bar 1\rbar 2\rbar 3\r\n")
    out.write(b"\xff\xfe bytes\n")
    out.write(b"x" * 150_000 + b"\n")
    out.write(b"no end")
    out.flush()


def show(*_: str) -> None:
    print(
        json.dumps(
            {
                "arguments": sys.argv[1:],
                "environment": dict(os.environ),
                "module": __name__,
                "loaded": [name for name in ("sqlite3", "torch") if name in sys.modules],
                "folder": str(Path.cwd()),
            }
        )
    )


def find(*modules: str) -> None:
    found = []
    for module in modules:
        try:
            importlib.import_module(module)
            found.append(module)
        except ImportError:
            pass
    print(json.dumps({"modules": found, "prefix": sys.prefix, "path": os.environ["PATH"]}))


def read(path: str) -> None:
    print(Path(path).read_text())


def learn() -> None:
    """What a channel and a hyperparameter hold becomes the model; there is some output too."""
    given = json.loads((HERE / "input" / "config" / "hyperparameters.json").read_text())
    words = sorted(path.read_text() for path in (HERE / "input" / "data" / "train").rglob("*") if path.is_file())
    (HERE / "model" / "weights").write_text(given["greeting"] + " " + " ".join(words))
    (HERE / "output" / "data" / "notes").write_text(os.environ["TRAINING_JOB_NAME"])


def take_a_second() -> None:
    print("begun")
    time.sleep(1)
    (HERE / "model" / "weights").write_text("it took a second")
    print("done")


def resume() -> None:
    """Count the runs in a checkpoint; wait in the first."""
    file = HERE / "checkpoints" / "runs"
    runs = int(file.read_text()) + 1 if file.exists() else 1
    file.write_text(str(runs))
    print("run", runs)
    if runs == 1:
        time.sleep(1000)
    (HERE / "model" / "weights").write_text(f"after {runs} runs")


def try_to_get_out(*targets: str) -> None:
    """Prints what worked of what should not."""
    worked = []
    for target in targets:
        try:
            entries = [entry.name for entry in Path(target).iterdir()]
        except OSError:
            continue
        worked.append(f"listed {target}: {entries}")
    for path in ("/opt/ml/input/config/new", "/opt/ml/input/data/train/file", "/usr/new", "/new", "/etc/new"):
        try:
            Path(path).write_text("x")
            worked.append(f"wrote {path}")
        except OSError:
            pass
    for address in (("127.0.0.1", int(os.environ.get("PORT", "1"))), ("192.0.2.1", 80)):
        try:
            socket.create_connection(address, timeout=0.3).close()
            worked.append(f"connected to {address}")
        except OSError as error:
            if isinstance(error, TimeoutError):
                worked.append(f"packets leave for {address}")
    others = [entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    if len(others) > 3:
        worked.append(f"sees processes {others}")
    for identity in (os.setuid, os.setgid):
        try:
            identity(0)
            worked.append("became root")
        except OSError:
            pass
    status = Path("/proc/self/status").read_text()
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    for name in ("CapEff", "CapPrm", "CapBnd" if os.environ.get("AS_ROOT") else "CapInh", "CapAmb"):
        if int(facts[name], 16):
            worked.append(f"has {name} {facts[name]}")
    if facts["NoNewPrivs"].strip() != "1":
        worked.append("may gain privileges")
    if os.getuid() == 0:
        worked.append("is root")
    if resource.getrlimit(resource.RLIMIT_CORE)[0]:
        worked.append("may dump core")
    print("worked:", json.dumps(worked))


def leave_a_thread() -> None:
    def say() -> None:
        time.sleep(0.3)
        print("the thread is done")

    threading.Thread(target=say).start()


def leave_links() -> None:
    (HERE / "model" / "folder").symlink_to("/etc")
    (HERE / "output").rename(HERE / "elsewhere")
    (HERE / "output").symlink_to("/etc")


def show_itself() -> None:
    resources = json.loads((HERE / "input" / "config" / "resourceconfig.json").read_text())
    files = sorted(path.name for path in (HERE / "input" / "data" / "train").iterdir())
    print(resources["current_host"], "of", *resources["hosts"], "has", *files)


def fail_when_told(reason: str) -> None:
    print("waiting")
    _wait_to_be_told()
    fail(reason)


def leave_when_told() -> None:
    """When asked to end, only then."""
    signal.signal(signal.SIGTERM, lambda *_: print("asked to end"))
    print("waiting")
    _wait_to_be_told()


def _wait_to_be_told() -> None:
    while not (HERE / "checkpoints" / "told").exists():
        time.sleep(0.02)


def by_host(*wishes: str) -> None:
    """One wish for each host, `end 3` for instance; the last is for all that follow."""
    resources = json.loads((HERE / "input" / "config" / "resourceconfig.json").read_text())
    number = resources["hosts"].index(resources["current_host"])
    wish, *arguments = wishes[min(number, len(wishes) - 1)].split()
    globals()[wish](*arguments)


def write(*files: str) -> None:
    """`name=text` into the model folder."""
    for file in files:
        name, _, text = file.partition("=")
        (HERE / "model" / name).parent.mkdir(parents=True, exist_ok=True)
        (HERE / "model" / name).write_text(text)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
