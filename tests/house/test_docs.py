"""Documentation that lies fails here: commands, options, settings, targets and links have to exist."""

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from groundfog.cli import main as command
from groundfog.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES = [
    page
    for pattern in ("*.md", "docs/**/*.md", "walkthroughs/*.md", "groundfog/**/*.md")
    for page in sorted(ROOT.glob(pattern))
    if "_build" not in page.parts
]
CODE = re.compile(r"```\w*\n(.*?)```|`([^`\n]+)`", re.DOTALL)


def code(page: Path) -> list[str]:
    return [block or inline for block, inline in CODE.findall(page.read_text())]


def ids(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_command_and_option_exists(page: Path):
    for text in code(page):
        for words in re.findall(r"(?:^|[\s/(])groundfog ([a-z]\w*(?: [^\n|`;&)]*)?)", text, re.MULTILINE):
            ours = words.split(" -- ")[0]
            meant = asked_for(ours)
            options = {option for parameter in meant.params for option in parameter.opts + parameter.secondary_opts}
            for option in re.findall(r"--[a-z][\w-]*", ours):
                assert option in options | {"--help"}, f"groundfog {ours}: {option}"


def asked_for(words: str) -> click.Command:
    """The command, or the command of a group, whose name these words begin with."""
    found: click.Command = command
    for word in words.split():
        if not isinstance(found, click.Group) or not re.fullmatch(r"[a-z]\w*", word):
            break
        inner = found.get_command(click.Context(found), word)
        assert inner is not None, f"groundfog {words}: there is no {word}"
        found = inner
    return found


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_setting_exists(page: Path):
    for name in re.findall(r"GROUNDFOG_([A-Z_]+)", page.read_text()):
        assert name.lower() in Settings.__dataclass_fields__


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_make_target_exists(page: Path):
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for text in code(page):
        assert set(re.findall(r"(?:^|\s)make ([a-z][\w-]*)", text)) <= targets


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_link_leads_somewhere(page: Path):
    for link in re.findall(r"\]\(([^)#\s]+)(?:#[\w-]*)?\)", page.read_text()):
        if "://" not in link:
            assert (page.parent / link).exists(), link


def test_the_readme_shows_what_the_demo_prints():
    shown = re.search(r"<!-- demo -->\n```text\n(.+)```\n<!-- end of demo -->", (ROOT / "README.md").read_text(), re.S)
    assert shown
    for word in ("car", "cat", "tapeworm", "tapdance", "supercalifragilistic", "expialidocious", "word error rate"):
        assert word in shown[1]


def test_the_readmes_python_runs(tmp_path: Path):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        ran = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr


def test_the_readmes_shell_runs(server):
    """What a reader pastes after `groundfog serve`, line by line; the server is the tests' own."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    pasted = [
        line for line in lines if line and not re.match(r"make |.*groundfog serve|.*pip install|python your_", line)
    ]
    assert any("groundfog env" in line for line in pasted)
    script = "set -e\n" + "\n".join(pasted).replace(
        ".venv/bin/groundfog env", f"{sys.executable} -m groundfog env --home {server.home}"
    )
    script = script.replace("aws ", ".clients/aws/bin/aws ")
    if ".clients/aws" in script and not (ROOT / ".clients/aws/bin/aws").exists():
        pytest.skip("the AWS command line is not installed: `make test` installs it")
    ran = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
