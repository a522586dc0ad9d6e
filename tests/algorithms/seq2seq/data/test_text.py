"""Pairs from files: what is written is read, however it was meant; what is broken is told with its file and line."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groundfog.algorithms.seq2seq import InputFault
from groundfog.algorithms.seq2seq.data.text import LONGEST_LINE, hold_out, read_parallel, read_table

Write = Callable[..., Path]
PAIRS = [("car", "K AA1 R"), ("cat", "K AE1 T")]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(content: str | bytes, name: str = "pairs.tsv") -> Path:
        file = tmp_path / name
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    return written


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("pairs.tsv", "car\tK AA1 R\ncat\tK AE1 T\n"),
        ("pairs.tsv", "car\tK AA1 R\r\ncat\tK AE1 T\r\n"),
        ("pairs.tsv", "\ufeffcar\tK AA1 R\ncat\tK AE1 T"),
        ("pairs.tsv", "\n\ncar\t K AA1 R \n  \ncat\tK AE1 T\n\n"),
        ("pairs.tsv", "source\ttarget\ncar\tK AA1 R\ncat\tK AE1 T\n"),
        ("pairs.txt", "Word\tPronunciation\ncar\tK AA1 R\ncat\tK AE1 T\n"),
        ("pairs.csv", "car,K AA1 R\ncat,K AE1 T\n"),
        ("pairs.csv", "car;K AA1 R\ncat;K AE1 T\n"),
        ("pairs.csv", 'source,target\n"car","K AA1 R"\n\ncat,K AE1 T\n'),
        ("pairs", "car,K AA1 R\ncat,K AE1 T\n"),
        ("pairs.tsv", "id\ttarget\tsource\n1\tK AA1 R\tcar\n2\tK AE1 T\tcat\n"),
    ],
)
def test_a_table_is_read_as_it_was_meant(write: Write, name: str, content: str) -> None:
    assert read_table(write(content, name)).pairs == PAIRS


def test_it_says_what_was_assumed(write: Write) -> None:
    read = read_table(write("source,target\ncar,K AA1 R\n", "words.csv"))
    assert read.about == "words.csv: 1 pairs, comma-separated, with a header line, source to target"
    assert "no header line, column 1 to column 2" in read_table(write("car\tK AA1 R\n")).about


def test_columns_are_chosen_by_number_and_by_name(write: Write) -> None:
    content = "id\tenglish\tgerman\n1\tthe car\tdas Auto\n"
    for columns in (("2", "3"), ("english", "german"), ("English", "3")):
        assert ("the car", "das Auto") in read_table(write(content), columns=columns).pairs
    assert read_table(write(content), columns=("german", "english")).pairs == [("das Auto", "the car")]
    assert len(read_table(write(content), columns=("2", "3")).pairs) == 2
    assert len(read_table(write(content), columns=("2", "3"), header=True).pairs) == 1


def test_a_header_that_is_none_stays_a_pair(write: Write) -> None:
    assert read_table(write("word\tpronunciation\n"), header=False).pairs == [("word", "pronunciation")]
    assert read_table(write("a\tb\nc\td\n"), header=True).pairs == [("c", "d")]


def test_quotes_mean_something_in_csv_alone(write: Write) -> None:
    quoted = '"say ""hi"", now","two\nlines"\n'
    assert read_table(write(quoted, "pairs.csv")).pairs == [('say "hi", now', "two\nlines")]
    assert read_table(write('"a"\t""b\n')).pairs == [('"a"', '""b')]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "pairs.tsv is empty"),
        ("\n \n", "pairs.tsv is empty"),
        ("source\ttarget\n", "holds no pairs but its header line"),
        ("car\tK\ncat\n", "line 2 has 1 column and the first line has 2"),
        ("car\tK\n\ncat\tK\tT\n", "line 3 has 3 columns and the first line has 2"),
        ("a\tb\tc\n", "line 1 has 3 columns; say which two make a pair, as --columns 1,2"),
        ("car\n", "line 1 has one column and a pair has two"),
        ("car\tK\n\tT\n", "line 2: the source is empty; .* --skip-faulty"),
        ("car\tK\ncat\t \n", "line 2: the target is empty; .* --skip-faulty"),
        (b"car\tK\ncaf\xe9\tT\n", r"line 2 is not in UTF-8 \(byte 4 is 0xe9\); save the file as UTF-8"),
        ("car\tK\n".encode("utf-16"), "pairs.tsv is in UTF-16; save it as UTF-8"),
        ("car\tK\n".encode("utf-16-le"), "line 1 holds a NUL byte"),
        ("car\tK\ncat\tT\0\n", "line 2 holds a NUL byte"),
        ("car\tK\n" + "x" * (LONGEST_LINE + 5) + "\tT\n", "line 2 is longer than 1,000,000 bytes"),
    ],
)
def test_what_is_broken_is_told_with_its_line(write: Write, content: str | bytes, said: str) -> None:
    with pytest.raises(InputFault, match=said) as told:
        read_table(write(content))
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('"car,K\ncat,T\n', "line 1: a quote is wrong"),
        ('car,K\n"cat"s,T\n', "line 2: a quote is wrong"),
        ("car,K\ncat,K,T\n", "line 2 has 3 columns"),
        ('"a\nb",c\n"d",\n', "line 3: the target is empty"),
    ],
)
def test_what_is_broken_in_csv_is_told_with_its_line(write: Write, content: str, said: str) -> None:
    with pytest.raises(InputFault, match=said):
        read_table(write(content, "pairs.csv"))


def test_a_column_that_is_not_there_is_named(write: Write) -> None:
    with pytest.raises(InputFault, match="line 1 has no column german: it has english, french"):
        read_table(write("english\tfrench\na\tb\n"), columns=("english", "german"))
    with pytest.raises(InputFault, match="line 1 has no column 3: it has 2 columns"):
        read_table(write("a\tb\n"), columns=("1", "3"))


def test_lines_at_fault_can_be_left_out(write: Write) -> None:
    content = b"car\tK AA1 R\ncat\nx\ty\tz\n\xff\t\xff\nempty\t\n" + b"z" * (LONGEST_LINE * 3) + b"\tT\ncat\tK AE1 T\n"
    read = read_table(write(content), skip_faulty=True)
    assert read.pairs == PAIRS
    assert read.about.endswith(", 5 faulty lines left out")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputFault, match=r"nowhere.tsv cannot be read: No such file"):
        read_table(tmp_path / "nowhere.tsv")


def test_two_files_go_side_by_side(write: Write) -> None:
    source, target = write("car\ncat\n", "words"), write("\ufeffK AA1 R\r\nK AE1 T", "phonemes")
    assert read_parallel(source, target).pairs == PAIRS


@pytest.mark.parametrize("name", ["a.csv", "a.txt"])
def test_a_separator_is_what_stands_between_cells_not_in_their_quotes(write: Write, name: str) -> None:
    assert read_table(write('"car; cat; dog",K\n', name)).pairs == [("car; cat; dog", "K")]
    assert read_table(write('car;"K, AA1, R"\n', name)).pairs == [("car", "K, AA1, R")]
    assert read_table(write('5" disk;D\n', name)).pairs == [('5" disk', "D")]


def test_two_files_of_different_length_are_refused(write: Write) -> None:
    with pytest.raises(InputFault, match=r"b.txt ends after 1 lines and a.txt goes on"):
        read_parallel(write("car\ncat\n", "a.txt"), write("K\n", "b.txt"))


def test_an_empty_side_of_two_files_is_told_or_left_out(write: Write) -> None:
    source, target = write("car\n\ncat\n", "a.txt"), write("K AA1 R\nx\nK AE1 T\n", "b.txt")
    with pytest.raises(InputFault, match=r"a.txt, line 2 and b.txt, line 2: the source is empty"):
        read_parallel(source, target)
    assert read_parallel(source, target, skip_faulty=True).pairs == PAIRS
    with pytest.raises(InputFault, match="hold no pairs"):
        read_parallel(write("\n", "a.txt"), write("\n", "b.txt"), skip_faulty=True)


# At the beginning of a file U+FEFF is a byte order mark, and no part of the text.
_side = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff"), min_size=1, max_size=15
).filter(lambda text: text == text.strip() and text)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pairs=st.lists(st.tuples(_side, _side), min_size=1, max_size=6), end=st.sampled_from(["\n", "\r\n"]))
def test_whatever_is_written_is_read(tmp_path: Path, pairs: list[tuple[str, str]], end: str) -> None:
    table, comma = tmp_path / "pairs.tsv", tmp_path / "pairs.csv"
    table.write_bytes("".join(f"{source}\t{target}{end}" for source, target in pairs).encode())
    assert read_table(table, header=False).pairs == pairs
    written = io.StringIO()
    csv.writer(written, lineterminator=end, quoting=csv.QUOTE_ALL).writerows(pairs)
    comma.write_bytes(written.getvalue().encode())
    read = read_table(comma, header=False, columns=("1", "2"))
    assert read.pairs == pairs
    for place, name in enumerate(("source", "target")):
        (tmp_path / name).write_bytes("".join(f"{pair[place]}{end}" for pair in pairs).encode())
    assert read_parallel(tmp_path / "source", tmp_path / "target").pairs == pairs


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.lists(
        st.sampled_from([b"a", b"\t", b",", b";", b'"', b"\n", b"\r", b"\0", b"\xff", b"\xc3\xa9", b" "])
    ).map(b"".join)
    | st.binary(max_size=60),
    name=st.sampled_from(["pairs.tsv", "pairs.csv", "pairs.txt"]),
    skip_faulty=st.booleans(),
)
def test_whatever_bytes_there_are_they_are_pairs_or_a_fault(
    tmp_path: Path, content: bytes, name: str, skip_faulty: bool
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    try:
        pairs = read_table(file, skip_faulty=skip_faulty).pairs
    except InputFault as fault:
        assert file.name in str(fault)
        assert "\n" not in str(fault)
    else:
        assert pairs
        assert all(source.strip() and target.strip() for source, target in pairs)


def test_no_source_is_in_both_parts() -> None:
    pairs = [(f"word {number % 90}", str(number)) for number in range(300)]
    learnt, held = hold_out(pairs, share=0.1, seed=1)
    assert len({source for source, _ in held}) == 9
    assert not {source for source, _ in learnt} & {source for source, _ in held}
    assert sorted(learnt + held) == sorted(pairs)
    assert hold_out(pairs, share=0.1, seed=1) == (learnt, held)
    assert hold_out(pairs, share=0.1, seed=2) != (learnt, held)


def test_no_more_is_held_out_than_is_useful() -> None:
    pairs = [(str(number), "x") for number in range(1000)]
    assert len(hold_out(pairs, share=0.5, seed=1, most=20)[1]) == 20
    assert len(hold_out(pairs[:2], share=0.001, seed=1)[1]) == 1
    assert hold_out(pairs[:1], share=0.5, seed=1) == (pairs[:1], pairs[:1])
