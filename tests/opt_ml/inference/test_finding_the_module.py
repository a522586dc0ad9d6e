"""Where a user's module may lie, and what is said where it does not."""

import sys
from pathlib import Path

import pytest

from groundfog.opt_ml.inference import module
from groundfog.opt_ml.layout import Layout


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "modules", {**sys.modules})


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path)
    made.lay_out()
    return made


def put(file: Path, where: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"WHERE = {where!r}\n")


def test_nothing_is_found_where_nothing_is(layout: Layout) -> None:
    assert module.load(layout) is None


@pytest.mark.parametrize("named", [{}, {"SAGEMAKER_PROGRAM": "", "SAGEMAKER_SUBMIT_DIRECTORY": ""}])
def test_inference_py_in_the_models_code_needs_no_name(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, named: dict[str, str]
) -> None:
    """The SDK sends empty names where the user gave none."""
    for name, value in named.items():
        monkeypatch.setenv(name, value)
    put(layout.model / "code" / "inference.py", "usual")
    found = module.load(layout)
    assert found is not None
    assert found.WHERE == "usual"


@pytest.mark.parametrize("program", ["serve_it.py", "serve_it", "deep/serve_it.py"])
def test_a_program_is_found_by_its_name(layout: Layout, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    monkeypatch.setenv("SAGEMAKER_PROGRAM", program)
    monkeypatch.setenv("SAGEMAKER_SUBMIT_DIRECTORY", str(layout.model / "elsewhere"))
    put(layout.model / "elsewhere" / f"{program.removesuffix('.py')}.py", "named")
    found = module.load(layout)
    assert found is not None
    assert found.WHERE == "named"


def test_an_archive_of_its_own_was_unpacked_to_the_code_folder(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAGEMAKER_SUBMIT_DIRECTORY", "s3://bucket/sourcedir.tar.gz")
    put(layout.code / "inference.py", "unpacked")
    found = module.load(layout)
    assert found is not None
    assert found.WHERE == "unpacked"


def test_neighbours_can_be_imported(layout: Layout) -> None:
    put(layout.model / "code" / "a_neighbour_of_inference.py", "beside")
    (layout.model / "code" / "inference.py").write_text("from a_neighbour_of_inference import WHERE\n")
    found = module.load(layout)
    assert found is not None
    assert found.WHERE == "beside"


def test_a_named_program_that_is_not_there_is_told_with_where_it_was_looked_for(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAGEMAKER_PROGRAM", "gone.py")
    with pytest.raises(FileNotFoundError, match=r"names gone.py, and there is none in .*/model/code or .*/code"):
        module.load(layout)
