"""Stands in for Docker's client: a container is a process with `/opt/ml` elsewhere, which outlives it as Docker's do.

The images are five: `trains`, `waits`, `processes`, the keeper's once it was imported, and what cannot be pulled. A
keeper keeps nothing here but the lives of those that share its process namespace, which end with it. What was asked for
is in `asked.jsonl` beside it, and a file in `containers` for each that there is.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
TRAINS = """
import os, pathlib, sys
root = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
code = sorted(path.name for path in (root / "code").iterdir())
print("the image was asked to", sys.argv[1:], "and finds", code, (root / "input/config/hyperparameters.json").exists())
(root / "model" / "weights").write_text(os.environ["WISH"])
"""
PROCESSES = """
import json, os, pathlib, sys
root = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
told = json.loads((root / "config/processingjobconfig.json").read_text())["ProcessingJobName"]
words = (root / "processing/in/words").read_text()
print("the image was asked to", sys.argv[1:], "by", told)
(root / "processing/out/backward").write_text(words[::-1])
(root / "output/message").write_text("turned round")
"""
WAITS = """
import os, pathlib, signal, sys, time
def stop(*_):
    pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"], "model", "saved").touch()
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
print("waiting", flush=True)
while True: time.sleep(0.05)
"""
SCRIPTS = {"trains": TRAINS, "processes": PROCESSES, "waits": WAITS}
FLAGS = ("--rm", "--interactive", "--read-only", "--all", "--force", "--volumes")
KEEPER = "localhost/groundfog-keeper:1"
IMPORTED, CONTAINERS = HERE / "imported", HERE / "containers"


def main(arguments: list[str]) -> int:
    with (HERE / "asked.jsonl").open("a") as asked:
        asked.write(json.dumps(arguments) + "\n")
    given, names, rest = parse(arguments[1:])
    match arguments[0]:
        case "image":
            return not IMPORTED.exists()
        case "import":
            IMPORTED.write_bytes(sys.stdin.buffer.read())
            return 0
        case "ps":
            sys.stdout.write("".join(f"{name}\n" for name in there_are(given["--filter"][0].removeprefix("label="))))
            return 0
        case "rm":
            return max([kill(name) for name in [names, *rest]])
    return run(given, names, rest)


def run(given: dict[str, list[str]], image: str, command: list[str]) -> int:
    keeper = given.get("--pid", [""])[0].removeprefix("container:")
    if name_of(image) not in SCRIPTS and not (image == KEEPER and IMPORTED.exists()):
        return refuse(f"pull access denied for {image}")
    if keeper and not (CONTAINERS / keeper).exists():
        return refuse(f"No such container: {keeper}")
    CONTAINERS.mkdir(exist_ok=True)
    record = CONTAINERS / given["--name"][0]
    return keep(record, given) if image == KEEPER else work(record, given, image, command)


def name_of(image: str) -> str:
    return image.rpartition("/")[2].partition(":")[0]


def refuse(why: str) -> int:
    sys.stderr.write(f"docker: Error response from daemon: {why}\n")
    return 125


def keep(record: Path, given: dict[str, list[str]]) -> int:
    """For as long as its standard input is open; as the kernel does, it takes along who shares its namespace."""
    note(record, os.getpid(), given)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    signal.signal(signal.SIGTERM, lambda *_: os.close(0))
    with contextlib.suppress(OSError):
        sys.stdin.buffer.read()
    for other in CONTAINERS.iterdir():
        if json.loads(other.read_text())["keeper"] == record.name:
            kill(other.name)
    record.unlink()
    return 0


def work(record: Path, given: dict[str, list[str]], image: str, command: list[str]) -> int:
    root = next(volume.split(":")[0] for volume in given["--volume"] if volume.endswith(":/opt/ml"))
    lines = Path(given["--env-file"][0]).read_text().splitlines()
    variables = {**dict(line.split("=", 1) for line in lines), "SAGEMAKER_BASE_DIR": root}
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPTS[name_of(image)], *command], env=variables, start_new_session=True
    )
    note(record, process.pid, given)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    ended = process.wait()
    record.unlink(missing_ok=True)
    return ended if ended >= 0 else 128 - ended


def parse(arguments: list[str]) -> tuple[dict[str, list[str]], str, list[str]]:
    given: dict[str, list[str]] = {}
    rest = iter(arguments)
    for option in rest:
        if not option.startswith("--"):
            return given, option, list(rest)
        if option not in FLAGS:
            given.setdefault(option, []).append(next(rest))
    return given, "", []


def note(record: Path, pid: int, given: dict[str, list[str]]) -> None:
    keeper = given.get("--pid", [""])[0].removeprefix("container:")
    new = HERE / f"{record.name}.new"
    new.write_text(json.dumps({"pid": pid, "label": given["--label"][0], "keeper": keeper}))
    new.rename(record)


def there_are(label: str) -> list[str]:
    records = CONTAINERS.iterdir() if CONTAINERS.exists() else []
    return [record.name for record in records if json.loads(record.read_text())["label"] == label]


def kill(name: str) -> int:
    try:
        os.kill(json.loads((CONTAINERS / name).read_text())["pid"], signal.SIGKILL)
        (CONTAINERS / name).unlink()
    except OSError:
        return 1
    return 0


def install(folder: Path) -> Path:
    """As `docker` in the folder, for PATH."""
    folder.mkdir(parents=True, exist_ok=True)
    docker = folder / "docker"
    docker.write_text(f"#!{sys.executable} -IS\n{Path(__file__).read_text()}")
    docker.chmod(0o755)
    return docker


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
