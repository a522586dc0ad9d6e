"""Where the table of benchmarks/g2p is written."""

import pytest
from table import write_into


def test_replaces_what_stands_between_the_marks(tmp_path):
    page = tmp_path / "README.md"
    page.write_text("before\n<!-- g2p -->\nold\n<!-- end of g2p -->\nafter\n")
    write_into(page, "g2p", "| new |")
    write_into(page, "g2p", "| newer \\1 |")
    assert page.read_text() == "before\n<!-- g2p -->\n| newer \\1 |\n<!-- end of g2p -->\nafter\n"


def test_says_where_the_marks_are_missing(tmp_path):
    page = tmp_path / "README.md"
    page.write_text("nothing\n")
    with pytest.raises(SystemExit, match=r"README\.md has no lines <!-- g2p -->"):
        write_into(page, "g2p", "| new |")
