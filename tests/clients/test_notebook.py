"""JupyterLab as `groundfog notebook` opens it, asked by its own HTTP interface."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import urllib.request
from pathlib import Path

import pytest
from served import wait_until

ROOT = Path(__file__).parents[2]
BIN = ROOT / ".clients" / "notebook" / "bin"
WALKTHROUGHS = ROOT / "walkthroughs"
pytestmark = pytest.mark.clients


@pytest.fixture(scope="module")
def lab(cloud, tmp_path_factory):
    """Asks JupyterLab, opened over copies of the walkthroughs: lab("/api/contents/…")."""
    folder = tmp_path_factory.mktemp("notebooks")
    for file in WALKTHROUGHS.glob("*.py"):
        shutil.copy(file, folder)
    said = folder / "said.txt"
    options = ("--no-browser", "--allow-root", "--port=0", "--IdentityProvider.token=secret")
    with (
        said.open("w") as writing,
        subprocess.Popen(
            [
                BIN / "groundfog",
                "notebook",
                "--home",
                cloud.home,
                folder / "word_pronunciation.py",
                *options,
            ],
            env=os.environ | {"HOME": str(folder)},
            stdout=writing,
            stderr=writing,
        ) as running,
    ):
        url = wait_until(lambda: listening(said.read_text()), "JupyterLab did not start", 180)

        def ask(path, method="GET", body=None):
            asked = urllib.request.Request(
                url + path,
                method=method,
                data=json.dumps(body).encode() if body is not None else None,
                headers={"Authorization": "token secret", "Content-Type": "application/json"},
            )
            with urllib.request.urlopen(asked, timeout=60) as answer:
                return json.load(answer)

        yield ask
        running.terminate()


def listening(said):
    """Its address, once it answers there: it is said before."""
    if found := re.search(r"http://127.0.0.1:\d+", said):
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{found[0]}/api", timeout=10):
            return found[0]
    return None


@pytest.mark.parametrize("name", ["word_pronunciation.py", "speech_recognition.py"])
def test_a_walkthrough_opens_as_a_notebook_and_is_saved_as_the_script_it_was(lab, name):
    opened = lab(f"/api/contents/{name}?type=notebook")
    kinds = [cell["cell_type"] for cell in opened["content"]["cells"]]
    assert kinds[:2] == ["markdown", "code"]
    lab(f"/api/contents/{name}", "PUT", {"type": "notebook", "content": opened["content"]})
    saved = lab(f"/api/contents/{name}?type=file&content=1")["content"]
    assert saved.rstrip() == (WALKTHROUGHS / name).read_text().rstrip()


def test_python_files_open_as_notebooks_with_a_kernel(lab):
    def setting(plugin, name):
        return lab(f"/lab/api/settings/@jupyterlab/{plugin}")["schema"]["properties"][name]["default"]

    assert setting("docmanager-extension:plugin", "defaultViewers") == {"python": "Jupytext Notebook"}
    assert setting("notebook-extension:tracker", "autoStartDefaultKernel") is True


def test_a_cell_is_run_with_everything_set(cloud, tmp_path):
    """By the same kernel, without a browser."""
    cell = 'import boto3\nopen("account", "w").write(boto3.client("sts", endpoint_url="https://sts.amazonaws.com")'
    (tmp_path / "cell.py").write_text(f"# %%\n{cell}.get_caller_identity()['Account'])\n")
    subprocess.run(
        [
            BIN / "groundfog",
            "exec",
            "--home",
            cloud.home,
            "--",
            BIN / "jupytext",
            "--set-kernel",
            "python3",
            "--execute",
            "--to",
            "ipynb",
            "cell.py",
        ],
        cwd=tmp_path,
        env=os.environ | {"HOME": str(tmp_path), "PATH": f"{BIN}:{os.environ['PATH']}"},
        check=True,
        capture_output=True,
        timeout=120,
    )
    assert (tmp_path / "account").read_text() == "000000000000"
