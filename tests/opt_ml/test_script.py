"""A script run by the toolkit's rules: `/opt/ml` is a folder here."""

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from served import wait_until

from groundfog.opt_ml import script_process
from groundfog.opt_ml.layout import Layout
from groundfog.opt_ml.script_process import LONGEST_MESSAGE, ScriptFailed, explain, last_words

OPT_ML = Path(__file__).parents[2] / "groundfog" / "opt_ml"
IN_ANY_PYTHON = [
    *("script", "script_environment", "script_process", "install", "entrypoint", "layout", "run"),
    *("distribution", "mpi"),
]


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path)
    made.lay_out()
    return made


def start(layout: Layout, program: str, text: str, **hyperparameters: str) -> "subprocess.Popen[str]":
    layout.code.joinpath(program).parent.mkdir(parents=True, exist_ok=True)
    layout.code.joinpath(program).write_text(text)
    layout.configure({**hyperparameters, "sagemaker_program": program}, {"train": {}}, {"hosts": ["algo-1"]})
    return subprocess.Popen(
        [sys.executable, "-m", "groundfog.opt_ml.script"],
        env={**os.environ, "SAGEMAKER_BASE_DIR": str(layout.root), "HOME": str(layout.root / "home")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(layout: Layout, program: str, text: str, **hyperparameters: str) -> tuple[int, str, str]:
    with start(layout, program, text, **hyperparameters) as started:
        out, said = started.communicate(timeout=60)
    return started.returncode, out, said


def test_a_script_runs_in_its_folder_with_its_arguments(layout: Layout) -> None:
    layout.code.joinpath("neighbour.py").write_text("NAME = 'neighbour'")
    text = "import os, sys, neighbour; print(os.getcwd(), sys.argv, neighbour.NAME, os.environ['SM_CHANNEL_TRAIN'])"
    code, out, _ = run(layout, "deep/train.py", text, epochs="3")
    channel = layout.channel("train")
    assert (code, out) == (0, f"{layout.code} ['deep/train.py', '--epochs', '3'] neighbour {channel}\n")
    assert (layout.root / "output" / "success").exists()
    assert not layout.failure.exists()


def test_the_source_of_a_package_runs_as_a_module(layout: Layout) -> None:
    layout.code.joinpath("setup.py").touch()
    code, out, _ = run(layout, "train.py", "import sys; print(__spec__.name, sys.argv[1:])", b="2")
    assert (code, out) == (0, "train ['-b', '2']\n")


def test_anything_else_is_for_the_shell(layout: Layout) -> None:
    code, out, _ = run(layout, "go.sh", "#!/bin/sh\necho $SM_HP_WORDS; echo $#", words="two words; exit 3")
    assert (code, out) == (0, "two words; exit 3\n2\n")


def test_a_failure_is_told_in_the_toolkits_words(layout: Layout) -> None:
    code, _, said = run(layout, "train.py", "print('on the way')\nraise ValueError('no luck')", epochs="3")
    failure = layout.failure.read_text()
    command = f"{sys.executable} train.py --epochs 3"
    assert code == 1
    assert failure == f'ExecuteUserScriptError:\nExitCode 1\nErrorMessage "ValueError: no luck"\nCommand "{command}"'
    assert "Traceback (most recent call last):" in said
    assert not (layout.root / "output" / "success").exists()


def test_a_script_that_has_said_why_keeps_the_last_word(layout: Layout) -> None:
    text = (
        "import pathlib, os, sys; pathlib.Path(os.environ['SM_OUTPUT_DIR'], 'failure').write_text('mine'); sys.exit(7)"
    )
    code, _, said = run(layout, "train.py", text)
    assert (code, layout.failure.read_text()) == (1, "mine")
    assert "ExitCode 7" in said


def test_a_script_that_was_killed_says_so(layout: Layout) -> None:
    run(layout, "train.py", "import os; os.kill(os.getpid(), 9)")
    assert "ExitCode 137" in layout.failure.read_text()
    assert "OutOfMemory" in layout.failure.read_text()


@pytest.mark.parametrize("apart", [True, False])
def test_a_script_that_reaches_nobody_is_told_of_the_wall_where_there_is_one(
    apart: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolver = tmp_path / "resolv.conf"
    if not apart:
        resolver.touch()
    monkeypatch.setattr(script_process, "RESOLVER", resolver)
    said = ["NameResolutionError: [Errno -3] Temporary failure in name resolution", "OSError: no such model on the hub"]
    assert ("--network open" in explain(1, said)) == apart
    assert explain(1, said[1:]) == ""


def test_a_script_that_is_not_there_is_named_with_what_is(layout: Layout) -> None:
    layout.code.joinpath("other.py").touch()
    with start(layout, "train.py", "") as started:
        layout.code.joinpath("train.py").unlink()
        started.communicate(timeout=60)
    assert started.returncode == 1
    assert layout.failure.read_text() == (
        "ClientError: The script train.py is not in the source directory, which holds other.py."
    )


def test_a_stop_reaches_the_script(layout: Layout) -> None:
    text = """
import pathlib, os, signal, sys, time
def stop(*_): pathlib.Path(os.environ["SM_MODEL_DIR"], "saved").touch(); sys.exit(0)
signal.signal(signal.SIGTERM, stop)
pathlib.Path(os.environ["SM_MODEL_DIR"], "ready").touch()
while True: time.sleep(0.05)
"""
    with start(layout, "train.py", text) as started:
        wait_until(lambda: (layout.model / "ready").exists(), "the script did not start")
        started.send_signal(signal.SIGTERM)
        started.communicate(timeout=60)
    assert started.returncode == 0
    assert (layout.model / "saved").exists()


def test_a_script_may_install_what_it_then_imports(layout: Layout) -> None:
    text = """
import os, pathlib, subprocess, sys
site = pathlib.Path(os.environ["PYTHONPATH"].split(":")[2])
assert site.is_relative_to(os.environ["PIP_PREFIX"]), site
(site / "installed_meanwhile.py").write_text("NAME = 'meanwhile'")
import installed_meanwhile
print(installed_meanwhile.NAME)
"""
    code, out, said = run(layout, "train.py", text)
    assert (code, out) == (0, "meanwhile\n"), said


TORCHRUN = [
    "E1121 22:00:41.723000 4 torch/distributed/elastic/multiprocessing/api.py:1002] failed (exitcode: 1)",
    "Traceback (most recent call last):",
    '  File "torch/distributed/run.py", line 1032, in <module>',
    "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: ",
    "train.py FAILED",
]
TRACEBACK = [
    "Traceback (most recent call last):",
    '  File "train.py", line 1, in <module>',
    "    raise KeyError(1)",
    "KeyError: 1",
]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], ""),
        (["just", "text"], "just\ntext"),
        (
            ["1%", "ImportError: no cuda", "train.py: error: unrecognized"],
            "ImportError: no cuda\ntrain.py: error: unrecognized",
        ),
        (["before", *TRACEBACK], "KeyError: 1"),
        ([*TRACEBACK, "", "During handling", *TRACEBACK[:-1], "ValueError: 2", "more"], "ValueError: 2\nmore"),
        (TRACEBACK[:1], "Traceback (most recent call last):"),
        (
            ["[rank0]: ready", *(f"[rank1]: {line}" for line in TRACEBACK), *TRACEBACK[:-1], "ChildFailed: x"],
            "KeyError: 1",
        ),
        ([*TRACEBACK, *TORCHRUN], "KeyError: 1"),
        (["1%", "train.py: error: unrecognized", "FileNotFoundError: train", *TORCHRUN], "FileNotFoundError: train"),
        (["1%", *TORCHRUN], "\n".join(TORCHRUN[-2:])),
        (["[1,0]<stderr>:ready", *(f"[1,1]<stderr>:{line}" for line in TRACEBACK), "mpirun aborts"], "KeyError: 1"),
        ([*(f"[1]<stderr>:{line}" for line in TRACEBACK), "Process 1 exit with status code 1."], "KeyError: 1"),
    ],
)
def test_the_last_words_are_the_exception_and_what_follows(lines: list[str], words: str) -> None:
    assert last_words(lines) == words


def test_of_long_last_words_the_end_is_kept_so_that_the_command_is_seen() -> None:
    words = last_words(["ValueError: " + "x" * 5000 + "end"])
    assert len(words) == LONGEST_MESSAGE + 3
    assert words.endswith("end")
    assert len(str(ScriptFailed(["python", "train.py"], 1, words))) < 1024


@pytest.mark.parametrize("name", IN_ANY_PYTHON)
def test_what_runs_in_a_users_python_is_plain_enough_for_an_old_one(name: str) -> None:
    ast.parse((OPT_ML / f"{name}.py").read_text(), feature_version=(3, 9))
