"""Stands in for Docker's client: a container is a process with `/opt/ml` elsewhere, which outlives it as Docker's do.

The images are three: `trains`, `waits` and what cannot be pulled. What was asked for is in `asked.jsonl` beside it.
"""

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
WAITS = """
import os, pathlib, signal, sys, time
def stop(*_):
    pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"], "model", "saved").touch()
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
print("waiting", flush=True)
while True: time.sleep(0.05)
"""
FLAGS = ("--rm", "--init")


def main(arguments: list[str]) -> int:
    with (HERE / "asked.jsonl").open("a") as asked:
        asked.write(json.dumps(arguments) + "\n")
    if arguments[0] == "rm":
        return kill(arguments[-1])
    given, image, command = parse(arguments[1:])
    if image.rpartition("/")[2].partition(":")[0] not in ("trains", "waits"):
        sys.stderr.write(f"docker: Error response from daemon: pull access denied for {image}\n")
        return 125
    root = next(volume.split(":")[0] for volume in given["--volume"] if volume.endswith(":/opt/ml"))
    lines = Path(given["--env-file"][0]).read_text().splitlines()
    variables = {**dict(line.split("=", 1) for line in lines), "SAGEMAKER_BASE_DIR": root}
    script = TRAINS if "trains" in image else WAITS
    process = subprocess.Popen([sys.executable, "-c", script, *command], env=variables, start_new_session=True)
    (HERE / given["--name"][0]).write_text(str(process.pid))
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    return process.wait()


def parse(arguments: list[str]) -> tuple[dict[str, list[str]], str, list[str]]:
    given: dict[str, list[str]] = {}
    rest = iter(arguments)
    for option in rest:
        if not option.startswith("-"):
            return given, option, list(rest)
        if option not in FLAGS:
            given.setdefault(option, []).append(next(rest))
    raise SystemExit("no image")


def kill(name: str) -> int:
    try:
        os.kill(int((HERE / name).read_text()), signal.SIGKILL)
    except (OSError, ValueError):
        return 1
    return 0


def install(folder: Path) -> Path:
    """As `docker` in the folder, for PATH."""
    folder.mkdir(parents=True, exist_ok=True)
    docker = folder / "docker"
    docker.write_text(f"#!{sys.executable}\n{Path(__file__).read_text()}")
    docker.chmod(0o755)
    return docker


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
