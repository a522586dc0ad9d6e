"""What a reader may count on: files that can be read through, functions that fit a page, no drawers."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GENERATED = {"record_pb2.py", "record_pb2.pyi"}
SOURCES = [
    file
    for folder in ("groundfog", "walkthroughs", "benchmarks", "tests", "docs")
    for file in sorted((ROOT / folder).rglob("*.py"))
    if file.name not in GENERATED
]
DRAWERS = {"utils", "util", "helpers", "helper", "common", "core", "base", "manager", "misc", "lib"}


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_file_can_be_read_through(file: Path):
    text = file.read_text()
    assert len(text.splitlines()) <= 600, "look for the seam"
    long = [
        f"{node.name}: {lines} lines"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or 0) - node.lineno + 1) > 80
    ]
    assert not long


def test_there_is_no_drawer():
    names = {part for file in SOURCES for part in file.relative_to(ROOT).with_suffix("").parts}
    assert not names & DRAWERS


@pytest.mark.parametrize(
    "file",
    [file for file in SOURCES if file.is_relative_to(ROOT / "groundfog")],
    ids=lambda f: str(f.relative_to(ROOT)),
)
def test_a_module_says_what_it_is_for(file: Path):
    assert ast.get_docstring(ast.parse(file.read_text())), "a module's first line says what it is for"


def test_only_the_settings_read_the_environment():
    """But for the command, whose commands hand it on; the treaty, which is told by it what it is; and what runs on
    another machine, which Ray tells by it what it may use."""
    beyond = ("settings.py", "cli", "opt_ml", "engine/launch/ray/node.py")
    reading = [
        str(file.relative_to(ROOT))
        for file in (ROOT / "groundfog").rglob("*.py")
        if "os.environ" in file.read_text()
        and not any(file.is_relative_to(ROOT / "groundfog" / room) for room in beyond)
    ]
    assert not reading
