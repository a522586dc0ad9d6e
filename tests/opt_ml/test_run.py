import os
import subprocess
import sys
from pathlib import Path

import pytest

from groundfog.opt_ml.layout import Layout

PROGRAM = """
import sys
from groundfog.opt_ml import run

def train(layout, stopping):
    wish = layout.hyperparameters()["wish"]
    if wish == "learn":
        (layout.model / "weights").write_text("42")
    elif wish == "wait":
        print("waiting", flush=True)
        assert stopping.wait(30)
        (layout.model / "weights").write_text("best so far")
    elif wish == "blame":
        raise run.ClientFault("wish must be one of learn, wait")
    else:
        raise ValueError("x" * 3000)

run.train(train)
"""


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path / "ml")
    layout.lay_out()
    return layout


def start(layout: Layout, wish: str) -> subprocess.Popen[str]:
    layout.configure({"wish": wish}, {}, {})
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "SAGEMAKER_BASE_DIR": str(layout.root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_function_that_returns_is_a_success(layout: Layout) -> None:
    program = start(layout, "learn")
    program.communicate()
    assert program.returncode == 0
    assert (layout.model / "weights").read_text() == "42"
    assert not layout.failure.exists()


def test_sigterm_asks_the_function_to_return(layout: Layout) -> None:
    program = start(layout, "wait")
    assert program.stdout is not None and program.stdout.readline() == "waiting\n"
    program.terminate()
    program.communicate()
    assert program.returncode == 0
    assert (layout.model / "weights").read_text() == "best so far"


def test_what_the_user_can_put_right_is_a_client_error_without_a_traceback(layout: Layout) -> None:
    program = start(layout, "blame")
    _, errors = program.communicate()
    assert program.returncode == 1
    assert layout.failure.read_text() == "ClientError: wish must be one of learn, wait"
    assert "Traceback" not in errors and "wish must be" in errors


def test_any_other_exception_is_named_in_the_failure_file_and_traced_in_the_log(layout: Layout) -> None:
    program = start(layout, "crash")
    _, errors = program.communicate()
    assert program.returncode == 1
    assert layout.failure.read_text() == ("ValueError: " + "x" * 3000)[:1024]
    assert "Traceback" in errors
