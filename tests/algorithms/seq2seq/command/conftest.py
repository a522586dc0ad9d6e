"""A small table of pairs, and the model that `groundfog seq2seq train` makes of it."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from groundfog.cli import main

Run = Callable[..., Result]

QUICK = ["--rnn-num-hidden", "48", "--num-embed-source", "24", "--num-embed-target", "24", "--learning-rate", "0.01"]

LEARNT = [*QUICK, "--max-num-epochs", "12"]


def run_command(*arguments: object, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["seq2seq", *map(str, arguments)], input=stdin)


@pytest.fixture(scope="session")
def run() -> Run:
    return run_command


def spelled(count: int, seed: int) -> list[tuple[str, str]]:
    """Words, and their letters in capitals with blanks between them."""
    draw = random.Random(seed)
    words = ["".join(draw.choices("abcdef", k=draw.randint(1, 5))) for _ in range(count)]
    return [(word, " ".join(word.upper())) for word in words]


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("data") / "pairs.tsv"
    file.write_text("".join(f"{word}\t{letters}\n" for word, letters in spelled(1000, seed=1)))
    return file


@pytest.fixture(scope="session")
def trained(table: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    output = tmp_path_factory.mktemp("trained") / "model"
    return run_command("train", table, "--output", output, *LEARNT), output


@pytest.fixture(scope="session")
def model(trained: tuple[Result, Path]) -> Path:
    result, folder = trained
    assert result.exit_code == 0, result.output
    return folder
