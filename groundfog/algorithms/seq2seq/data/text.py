"""Pairs of raw text from files, and pairs held out of them.

    a table        a pair on each line: tab-separated, or comma- or semicolon-separated with CSV's quotes
    two files      line N of one belongs to line N of the other

How a table is meant is guessed from its name and its first line, and `Read.about` says what was assumed: a header line
is one whose cells are names such as source and target. Each fault names the file, the line, and what to change.
"""

import csv
import itertools
import random
import re
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ..errors import InputFault

LONGEST_LINE = 1_000_000
_SOURCES = {"source", "src", "input", "from", "word", "written", "grapheme", "graphemes", "question", "x"}
_TARGETS = {"target", "trg", "tgt", "output", "to", "pronunciation", "spoken", "phoneme", "phonemes", "answer", "y"}

Pair = tuple[str, str]
_T = TypeVar("_T")
_U = TypeVar("_U", bound=Hashable)


@dataclass(frozen=True)
class Read:
    pairs: list[Pair]
    about: str
    """What was read, and what was assumed, in a line."""


def read_table(
    file: Path, *, columns: tuple[str, str] | None = None, header: bool | None = None, skip_faulty: bool = False
) -> Read:
    """The pairs of a table.

    :param columns: of source and target, by the header's names or by their numbers from 1 on
    :param header: whether the first line is one; where it is None that is guessed
    :param skip_faulty: leave out lines at fault, and count them, where else the first of them is told
    :raises InputFault:
    """
    separator = _separator(file)
    rows = _cells_of_csv(file, separator) if separator != "\t" else _cells_of_tsv(file)
    first = next(rows, None)
    if first is None:
        raise InputFault(f"{file.name} is empty; a pair stands on each of its lines: source, a tab, target")
    number, cells = first
    headed, places = _places(f"{file.name}, line {number}", _good(cells), columns, header)
    pairs, faults = [], 0
    width = len(_good(cells))
    for number, cells in rows if headed else itertools.chain([first], rows):
        try:
            pairs.append(_pair(f"{file.name}, line {number}", _good(cells), places, width))
        except InputFault:
            if not skip_faulty:
                raise
            faults += 1
    if not pairs:
        raise InputFault(f"{file.name} holds no pairs{' but its header line' if headed else ''}")
    named = {"\t": "tab-separated", ",": "comma-separated", ";": "semicolon-separated"}[separator]
    names = _good(first[1]) if headed else [f"column {place + 1}" for place in range(width)]
    assumed = f"{'with a' if headed else 'no'} header line, {names[places[0]]} to {names[places[1]]}"
    return Read(pairs, f"{file.name}: {len(pairs):,} pairs, {named}, {assumed}{_left_out(faults)}")


def read_parallel(source: Path, target: Path, *, skip_faulty: bool = False) -> Read:
    """The pairs of two files.

    :raises InputFault:
    """
    pairs, faults = [], 0
    for number, sides in enumerate(itertools.zip_longest(_lines(source), _lines(target)), start=1):
        if None in sides:
            ended, goes_on = (source, target) if sides[0] is None else (target, source)
            raise InputFault(
                f"{ended.name} ends after {number - 1} lines and {goes_on.name} goes on: "
                "line N of one has to belong to line N of the other"
            )
        try:
            places = (f"{source.name}, line {number}", f"{target.name}, line {number}")
            pairs.append(_pair(" and ".join(places), [_good(side) for side in sides if side is not None], (0, 1), 2))
        except InputFault:
            if not skip_faulty:
                raise
            faults += 1
    if not pairs:
        raise InputFault(f"{source.name} and {target.name} hold no pairs; each needs a line of text for each pair")
    return Read(pairs, f"{source.name} and {target.name}: {len(pairs):,} pairs{_left_out(faults)}")


def hold_out(
    pairs: Sequence[tuple[_U, _T]], *, share: float, seed: int, most: int = 2000
) -> tuple[list[tuple[_U, _T]], list[tuple[_U, _T]]]:
    """The pairs to learn from and the held out ones; no source is in both. A single source is in both, of necessity."""
    sources = list(dict.fromkeys(source for source, _ in pairs))
    if len(sources) < 2:
        return list(pairs), list(pairs)
    random.Random(seed).shuffle(sources)
    held = set(sources[: min(most, max(1, round(len(sources) * share)))])
    return [pair for pair in pairs if pair[0] not in held], [pair for pair in pairs if pair[0] in held]


def decoded(raw: bytes, place: str) -> str:
    """A line of a file as text, without its end.

    :raises InputFault: it is no text in UTF-8.
    """
    if len(raw) > LONGEST_LINE:
        raise InputFault(f"{place} is longer than {LONGEST_LINE:,} bytes: one pair, one line; is this a text file?")
    try:
        line = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        wrong = raw[error.start]
        raise InputFault(
            f"{place} is not in UTF-8 (byte {error.start + 1} is 0x{wrong:02x}); save the file as UTF-8"
        ) from None
    if "\0" in line:
        raise InputFault(f"{place} holds a NUL byte; this is no text in UTF-8 (perhaps in UTF-16: save it as UTF-8)")
    return line.rstrip("\r\n")


_Line = str | InputFault
_Cells = list[str] | InputFault


def _good(read: _T | InputFault) -> _T:
    """Faults wait until somebody needs the line: only then is it known whether it may be left out."""
    if isinstance(read, InputFault):
        raise read
    return read


def _lines(file: Path) -> Iterator[_Line]:
    for number, raw in enumerate(_raw_lines(file), start=1):
        try:
            yield decoded(raw, f"{file.name}, line {number}")
        except InputFault as fault:
            yield fault


def _raw_lines(file: Path) -> Iterator[bytes]:
    try:
        with file.open("rb") as stream:
            if (mark := stream.read(3)) != b"\xef\xbb\xbf":
                stream.seek(0)
            if mark[:2] in (b"\xff\xfe", b"\xfe\xff"):
                raise InputFault(f"{file.name} is in UTF-16; save it as UTF-8")
            while raw := stream.readline(LONGEST_LINE + 1):
                yield raw
                while len(raw) > LONGEST_LINE and not raw.endswith(b"\n"):
                    raw = stream.readline(LONGEST_LINE + 1)
    except OSError as error:
        raise InputFault(f"{file} cannot be read: {error.strerror}") from None


def _cells_of_tsv(file: Path) -> Iterator[tuple[int, _Cells]]:
    """Tabs are separators and nothing else is special; blank lines are none."""
    for number, line in enumerate(_lines(file), start=1):
        if isinstance(line, InputFault):
            yield number, line
        elif line.strip():
            yield number, line.split("\t")


def _cells_of_csv(file: Path, separator: str) -> Iterator[tuple[int, _Cells]]:
    """As RFC 4180 has it, and the number of the line on which each record begins."""
    rows = csv.reader((f"{_good(line)}\n" for line in _lines(file)), delimiter=separator, strict=True)
    while True:
        number = rows.line_num + 1
        try:
            cells = next(rows, None)
        except csv.Error as error:
            raise InputFault(
                f"{file.name}, line {number}: a quote is wrong ({error}); a cell with quotes in it is written "
                '"so ""quoted"" there"'
            ) from None
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            yield number, cells


_QUOTED_CELL = re.compile(r'(^|[\t,;])"(?:[^"]|"")*(?:"|$)')


def _separator(file: Path) -> str:
    """By the first line that is not blank: a tab is one wherever there is one, but for files named .csv."""
    line = next((_good(line) for line in _lines(file) if isinstance(line, InputFault) or line.strip()), "")
    outside = _QUOTED_CELL.sub(r"\1", line)
    found = [separator for separator in "\t,;" if separator in outside]
    if file.suffix.lower() == ".csv":
        return max(found, key=outside.count, default=",")
    return found[0] if found else "\t"


def _places(
    place: str, cells: list[str], columns: tuple[str, str] | None, header: bool | None
) -> tuple[bool, tuple[int, int]]:
    """Whether this first line is a header, and where source and target stand."""
    names = [cell.strip().lower() for cell in cells]
    known = [[at for at, name in enumerate(names) if name in side] for side in (_SOURCES, _TARGETS)]
    recognised = bool(known[0] and known[1])
    if columns is None:
        if recognised and header is not False:
            return True, (known[0][0], known[1][0])
        if len(cells) == 1:
            raise InputFault(
                f"{place} has one column and a pair has two: source, a tab, target "
                "(texts in two files go with --source and --target)"
            )
        if len(cells) != 2:
            raise InputFault(f"{place} has {_columns(len(cells))}; say which two make a pair, as --columns 1,2")
        return bool(header), (0, 1)
    by_name = [not column.isdigit() for column in columns]
    headed = header if header is not None else any(by_name) or recognised
    found = [_place(place, column.strip(), names, headed) for column in columns]
    return headed, (found[0], found[1])


def _place(place: str, column: str, names: list[str], headed: bool) -> int:
    if column.isdigit() and 1 <= int(column) <= len(names):
        return int(column) - 1
    if headed and column.lower() in names:
        return names.index(column.lower())
    there = f"it has {', '.join(names)[:200]}" if headed else f"it has {_columns(len(names))}"
    raise InputFault(f"{place} has no column {column}: {there}")


def _pair(place: str, cells: list[str], places: tuple[int, int], width: int) -> Pair:
    if len(cells) != width:
        raise InputFault(
            f"{place} has {_columns(len(cells))} and the first line has {width}; "
            "write it like the others, or leave such lines out with --skip-faulty"
        )
    source, target = cells[places[0]].strip(), cells[places[1]].strip()
    if not source or not target:
        side = "target" if source else "source"
        raise InputFault(f"{place}: the {side} is empty; complete it, or leave such lines out with --skip-faulty")
    return source, target


def _columns(count: int) -> str:
    return f"{count} column{'s' if count != 1 else ''}"


def _left_out(faults: int) -> str:
    return f", {faults:,} faulty lines left out" if faults else ""
