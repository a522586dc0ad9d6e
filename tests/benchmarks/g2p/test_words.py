"""Which words teachers are asked for."""

from pathlib import Path

import pytest
import words


def test_they_are_not_in_the_dictionary_and_names_come_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    listed = tmp_path / "english"
    listed.write_text("cat\ncats\nGroundfog\nfog's\né\nx\nSmith\n")
    monkeypatch.setattr(words, "GENERAL", listed)
    monkeypatch.setattr(words, "_census", lambda: iter(["SMITH", "CAT"]))
    found = words.beyond({"CAT": [["K", "AE1", "T"]]})
    assert found[0] == "SMITH"
    assert sorted(found[1:]) == ["CATS", "GROUNDFOG"]
    assert words.beyond({"CAT": []}) == found


def test_who_lacks_the_list_is_told_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(words, "GENERAL", tmp_path / "missing")
    monkeypatch.setattr(words, "_census", lambda: iter(()))
    with pytest.raises(SystemExit, match="apt-get install wamerican-huge"):
        words.beyond({})
