# ruff: noqa: T201
"""What the tests do with pipes: wishes of `probe_program`, standard library only."""

import json
import os
import time
from pathlib import Path

HERE = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
DATA = HERE / "input" / "data"


def read_channels() -> None:
    """All that there is, over two epochs, becomes the model: bytes as Latin-1."""
    config = json.loads((HERE / "input" / "config" / "inputdataconfig.json").read_text())
    read = {name: _epochs(name) if how["TrainingInputMode"] == "Pipe" else _files(name) for name, how in config.items()}
    resources = json.loads((HERE / "input" / "config" / "resourceconfig.json").read_text())
    (HERE / "model" / resources["current_host"]).write_text(json.dumps({"read": read, "config": config}))


def _epochs(channel: str) -> list[str]:
    return [(DATA / f"{channel}_{epoch}").read_bytes().decode("latin-1") for epoch in range(2)]


def _files(channel: str) -> dict[str, str]:
    files = (path for path in (DATA / channel).rglob("*") if path.is_file())
    return {str(path.relative_to(DATA / channel)): path.read_text() for path in files}


def read_when_told() -> None:
    """A beginning, and the rest once somebody has put a file among the checkpoints; the model says how much it was."""
    with (DATA / "train_0").open("rb") as file:
        read = len(file.read(10))
        print("reading")
        while not (HERE / "checkpoints" / "go").exists():
            time.sleep(0.01)
        while block := file.read(1 << 16):
            read += len(block)
    (HERE / "model" / "length").write_text(str(read))


def wait_for_an_epoch_that_never_comes() -> None:
    (DATA / "train_0").read_bytes()
    print("waiting")
    with (DATA / "train_1").open("rb") as file:
        file.read(1)
        time.sleep(1000)
