from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundfog.engine.environments import index
from groundfog.engine.environments.index import Index
from groundfog.engine.environments.source import wanted


def test_nothing_is_wanted_of_a_folder_that_asks_for_nothing(tmp_path: Path) -> None:
    assert wanted(tmp_path) is None
    (tmp_path / "requirements.txt").write_text("\n  # nothing\n\n")
    assert wanted(tmp_path) is None


def test_plain_requirements_are_the_same_layer_wherever_they_stand(tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
        (folder / "requirements.txt").write_text("six==1.17.0\n# a comment\n")
        (folder / f"{folder.name}.py").touch()
    first, second = map(wanted, folders)
    assert first is not None
    assert first == second
    assert first.arguments == ("-r", "requirements.txt")


@pytest.mark.parametrize(
    "line",
    [
        "-r more.txt",
        "--find-links wheels",
        "./wheels/a.whl",
        "wheels/a-1.whl",
        ".",
        "../code",
        "a @ file:///opt/ml/code/a",
    ],
)
def test_what_leads_to_other_files_is_another_layer_when_they_change(line: str, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(f"six\n{line}\n")
    (tmp_path / "more.txt").write_text("a")
    before = wanted(tmp_path)
    (tmp_path / "more.txt").write_text("b")
    assert before != wanted(tmp_path)


def test_a_package_is_installed_itself_and_is_another_with_every_change(tmp_path: Path) -> None:
    (tmp_path / "setup.py").touch()
    before = wanted(tmp_path)
    assert before is not None
    assert before.arguments == (".",)
    (tmp_path / "train.py").touch()
    assert before != wanted(tmp_path)


def test_a_link_is_no_list_of_requirements(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").symlink_to("/etc/passwd")
    assert wanted(tmp_path) is None


@given(st.text())
def test_any_text_may_stand_there(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.mktemp("code")
    (folder / "requirements.txt").write_bytes(text.encode("utf-8", "surrogatepass"))
    assert wanted(folder) == wanted(folder)


def test_pip_is_told_what_the_servers_owner_told_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "_FILES", ())
    (tmp_path / "simple").mkdir()
    (tmp_path / "wheels").mkdir()
    (tmp_path / "pip.conf").write_text(
        f"[global]\nindex-url = file://{tmp_path}/simple\nno-such = 1\n[install]\nfind-links =\n    {tmp_path}/wheels\n"
    )
    environment = {"PIP_CONFIG_FILE": str(tmp_path / "pip.conf"), "PIP_NO_INDEX": "1", "SECRET": "1", "PIP_PREFIX": "/"}
    own = tmp_path / "a home" / "wheels"
    found = Index.of_this_machine({**environment, "https_proxy": "http://proxy:3128"}, own)
    assert found.variables == {
        "PIP_INDEX_URL": f"file://{tmp_path}/simple",
        "PIP_FIND_LINKS": f"{tmp_path}/wheels file://{tmp_path}/a%20home/wheels",
        "PIP_NO_INDEX": "1",
        "https_proxy": "http://proxy:3128",
    }
    assert set(found.readable) == {str(tmp_path), f"{tmp_path}/wheels", str(own)}
