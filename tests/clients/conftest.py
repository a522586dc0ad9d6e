"""Amazon's own SDKs, unmodified, in environments of their own (`make test-clients` builds them)."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from served import Server
from test_word_pronunciation import VOCABULARY, record

HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parents[1] / ".clients"
LIGHT = """
# The stories are about what the SDKs say and hear: environments without the frameworks are quick to build.
[[image]]
repository = "*pytorch-*"
toolkit = "pytorch"
packages = []

[[image]]
repository = "sagemaker-scikit-learn"
toolkit = "sklearn"
packages = []
"""


@dataclass(frozen=True)
class Told:
    """What a script said, on standard error too, and the addresses beyond this machine that it asked for."""

    text: str
    complaints: str
    left: str

    @property
    def result(self) -> Any:
        """The script's last line, which is JSON."""
        last = self.text.strip().splitlines()[-1]
        return json.loads(last[last.index("{") :])  # an SDK that draws on the terminal ends without a line break


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("cloud")
    (home / "images.toml").write_text(LIGHT)
    running = Server(home, ("--warm", "1")).start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("numbers")
    (folder / "numbers.txt").write_text("1\n2\n3\n4\n")
    return folder


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A folder for each of seq2seq's channels."""
    lines = b"".join(record(source=[4, 5 + number], target=[5 + number, 4]) for number in range(6))
    vocabulary = json.dumps(VOCABULARY).encode()
    for file, body in {
        "train/a.rec": lines,
        "validation/b.rec": lines,
        "vocab/vocab.src.json": vocabulary,
        "vocab/vocab.trg.json": vocabulary,
    }.items():
        place = tmp_path / "toy" / file
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(body)
    return tmp_path / "toy"


@pytest.fixture
def tell(cloud: Server, tmp_path: Path) -> Callable[..., Told]:
    """tell("sdk2", "v2/session.py", argument, ...) runs a script by `groundfog exec` with that environment's Python."""

    def script(environment: str, name: str, *arguments: object) -> Told:
        python, left = ENVIRONMENTS / environment / "bin" / "python", tmp_path / "left"
        if not python.exists():
            pytest.fail(f"{python} is not there: run make test-clients")
        left.touch()
        done = subprocess.run(
            [sys.executable, "-m", "groundfog", "exec", "--home", str(cloud.home), "--"]
            + [str(part) for part in (python, HERE / name, *arguments)],
            env=os.environ | {"PYTHONPATH": str(HERE / "watch"), "LEFT": str(left), "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=900,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
        return Told(text=done.stdout, complaints=done.stderr, left=left.read_text())

    return script
