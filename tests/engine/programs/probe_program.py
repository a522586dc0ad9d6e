# ruff: noqa: T201
"""What the tests run behind the treaty: `python -m probe_program WISH...`, standard library only."""

import importlib
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

from meeting_wishes import meet  # noqa: F401
from metric_wishes import count_epochs  # noqa: F401
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


def fail_with_a_folder() -> None:
    """In the place of the file that says why; the first time, be lost."""
    (HERE / "output" / "failure" / "deep").mkdir(parents=True, exist_ok=True)
    runs = HERE / "checkpoints" / "runs"
    if not runs.exists():
        runs.touch()
        print("waiting")
        time.sleep(1000)
    print("no words")
    raise SystemExit(3)


def consume() -> None:
    """Take the input of a processing job away, leave half a result, and wait to be lost."""
    letter = HERE / "processing" / "in" / "letter"
    print("read", letter.read_text())
    letter.unlink()
    (HERE / "processing" / "out" / "half").write_text("half")
    time.sleep(1000)


def use_boto3() -> None:
    """Ask who we are, and store the key pair, with nothing but what the environment says; then wait to be let go."""
    import boto3

    sts, s3 = boto3.client("sts"), boto3.client("s3")
    print(sts.get_caller_identity()["Arn"])
    role = "arn:aws:iam::000000000000:role/groundfog"
    lent = sts.assume_role(RoleArn=role, RoleSessionName="further", DurationSeconds=3600)["Credentials"]
    own = [os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")]
    further = [lent[name] for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")]
    s3.put_object(Bucket="bucket", Key="keys", Body=json.dumps([own, further]).encode())
    while not s3.list_objects_v2(Bucket="bucket", Prefix="go").get("Contents"):
        time.sleep(0.1)


def share() -> None:
    """Memory and a lock, between processes."""
    import multiprocessing
    from multiprocessing import shared_memory

    memory = shared_memory.SharedMemory(create=True, size=1 << 20)
    with multiprocessing.get_context("fork").Lock():
        memory.buf[0] = 7
    print("shared", memory.buf[0])
    memory.close()
    memory.unlink()


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


def fail_again(*reasons: str) -> None:
    """When asked to end, for the first reason; the next time at once, for the second, unless one is told already."""
    file = HERE / "checkpoints" / "runs"
    if file.exists():
        if not (HERE / "output" / "failure").exists():
            fail(reasons[1])
        raise SystemExit(1)
    file.touch()
    signal.signal(signal.SIGTERM, lambda *_: fail(reasons[0]))
    print("waiting")
    while True:
        time.sleep(10)


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


def compute(megabytes: str) -> None:
    """Until it is asked to end, with so much in its memory."""
    held = b"x" * (int(megabytes) << 20)
    while held:
        sum(range(100_000))


def write(*files: str) -> None:
    """`name=text` into the model folder."""
    for file in files:
        name, _, text = file.partition("=")
        (HERE / "model" / name).parent.mkdir(parents=True, exist_ok=True)
        (HERE / "model" / name).write_text(text)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
