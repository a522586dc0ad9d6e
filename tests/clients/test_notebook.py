"""JupyterLab as `groundfog notebook` opens it, asked by its own HTTP interface."""

import json
import os
import re
import subprocess
import urllib.request
from pathlib import Path

import pytest
from served import wait_until

ROOT = Path(__file__).parents[2]
BIN = ROOT / ".clients" / "notebook" / "bin"
WALKTHROUGH = ROOT / "walkthroughs" / "word_pronunciation.py"
pytestmark = pytest.mark.clients


@pytest.fixture(scope="module")
def lab(cloud, tmp_path_factory):
    """Asks JupyterLab, opened over a copy of a walkthrough: lab("/api/contents/…")."""
    folder = tmp_path_factory.mktemp("notebooks")
    (folder / "walkthrough.py").write_text(WALKTHROUGH.read_text())
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
                folder / "walkthrough.py",
                *options,
            ],
            env=os.environ | {"HOME": str(folder)},
            stdout=writing,
            stderr=writing,
        ) as running,
    ):
        found = wait_until(lambda: re.search(r"http://127.0.0.1:\d+", said.read_text()), "JupyterLab did not start", 90)

        def ask(path, method="GET", body=None):
            asked = urllib.request.Request(
                found[0] + path,
                method=method,
                data=json.dumps(body).encode() if body is not None else None,
                headers={"Authorization": "token secret", "Content-Type": "application/json"},
            )
            with urllib.request.urlopen(asked, timeout=60) as answer:
                return json.load(answer)

        yield ask
        running.terminate()


def test_a_walkthrough_opens_as_a_notebook_and_is_saved_as_the_script_it_was(lab):
    opened = lab("/api/contents/walkthrough.py?type=notebook")
    kinds = [cell["cell_type"] for cell in opened["content"]["cells"]]
    assert kinds[:2] == ["markdown", "code"]
    lab("/api/contents/walkthrough.py", "PUT", {"type": "notebook", "content": opened["content"]})
    saved = lab("/api/contents/walkthrough.py?type=file&content=1")["content"]
    assert saved.rstrip() == WALKTHROUGH.read_text().rstrip()


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
