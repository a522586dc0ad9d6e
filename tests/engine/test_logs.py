import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groundfog.engine.errors import Missing, Taken, Unfit
from groundfog.engine.logs import Event, Logs, Pattern, Span, first_page
from groundfog.engine.logs.file import append, backward, end_of, forward
from groundfog.engine.state import Database

ALWAYS = Span()
MESSAGES = st.lists(st.one_of(st.text(max_size=20), st.just("x" * 70_000)), max_size=30)


@pytest.fixture
def logs(tmp_path: Path, place: Path | str) -> Iterator[Logs]:
    state = Database(place, "state")
    yield Logs(tmp_path / "logs", state)
    state.close()


def events(*messages: str) -> list[Event]:
    return [Event(1000 + number, message, 5000) for number, message in enumerate(messages)]


@given(MESSAGES)
def test_what_is_appended_is_read_both_ways_with_offsets_that_fit(
    tmp_path_factory: pytest.TempPathFactory, messages: list[str]
) -> None:
    file = tmp_path_factory.mktemp("log") / "log"
    file.touch()
    put = events(*messages)
    append(file, put)
    ahead, back = list(forward(file)), list(backward(file))
    assert [event for event, _ in ahead] == put == [event for event, _ in back][::-1]
    starts, ends = [start for _, start in back][::-1], [end for _, end in ahead]
    assert starts == [0, *ends][: len(put)]
    assert end_of(file) == (ends[-1] if ends else 0)
    for start, end in zip(starts, ends, strict=True):
        assert next(forward(file, start))[1] == end
        assert next(backward(file, end))[1] == start


@given(messages=st.lists(st.text(max_size=5), max_size=25), limit=st.integers(1, 10))
def test_pages_forward_and_backward_hold_every_event_once(
    tmp_path_factory: pytest.TempPathFactory, messages: list[str], limit: int
) -> None:
    root = tmp_path_factory.mktemp("logs")
    logs = Logs(root / "logs", Database(root / "state.db", "state"))
    logs.create_group("g")
    logs.create_stream("g", "s")
    put = events(*messages)
    logs.put("g", "s", put)

    seen: list[Event] = []
    page = logs.read("g", "s", limit=limit, span=ALWAYS)
    while page.events:
        seen += page.events
        page = logs.read("g", "s", start=page.after, limit=limit, span=ALWAYS)
    assert seen == put
    assert logs.read("g", "s", start=page.after, limit=limit, span=ALWAYS) == page

    seen = []
    page = logs.read_back("g", "s", limit=limit, span=ALWAYS)
    while page.events:
        seen = page.events + seen
        page = logs.read_back("g", "s", end=page.before, limit=limit, span=ALWAYS)
    assert seen == put


def test_what_an_agent_writes_is_read_while_it_writes(logs: Logs, tmp_path: Path) -> None:
    host = tmp_path / "host"
    host.mkdir()
    log = host / "log"
    log.write_text("1\tone\n2\ttwo\ttabs\n3\thalf a li")
    logs.attach("/jobs", "j/algo-1", log)
    logs.attach("/jobs", "j/algo-1", log)
    page = logs.read("/jobs", "j/algo-1", limit=10, span=ALWAYS)
    assert page.events == [Event(1, "one", 1), Event(2, "two\ttabs", 2)]
    with log.open("a") as more:
        more.write("ne\n")
    log.unlink()
    assert logs.read("/jobs", "j/algo-1", start=page.after, limit=10, span=ALWAYS).events == [
        Event(3, "half a line", 3)
    ]
    assert logs.read_back("/jobs", "j/algo-1", limit=1, span=ALWAYS).events == [Event(3, "half a line", 3)]


def test_a_stream_that_is_attached_again_is_the_new_file(logs: Logs, tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).write_text(f"1\t{name}\n")
        logs.attach("g", "s", tmp_path / name)
    assert [event.message for event in logs.read("g", "s", limit=9, span=ALWAYS).events] == ["second"]


def test_a_line_that_a_crash_cut_off_is_skipped_and_what_follows_is_not(logs: Logs, tmp_path: Path) -> None:
    logs.create_group("g")
    logs.create_stream("g", "s")
    logs.put("g", "s", events("one", "two"))
    file = logs.find("g", "s").file
    os.truncate(file, file.stat().st_size - 4)
    assert [event.message for event in logs.read("g", "s", limit=9, span=ALWAYS).events] == ["one"]
    logs.put("g", "s", events("three\nlines\r\nof text"))
    assert [event.message for event in logs.read("g", "s", limit=9, span=ALWAYS).events] == [
        "one",
        "three\nlines\r\nof text",
    ]


def test_a_span_of_time_has_its_start_and_not_its_end(logs: Logs) -> None:
    logs.create_group("g")
    logs.create_stream("g", "s")
    logs.put("g", "s", events("a", "b", "c"))
    span = Span(start=1001, end=1002)
    assert [event.message for event in logs.read("g", "s", limit=9, span=span).events] == ["b"]
    assert [event.message for event in logs.read_back("g", "s", limit=9, span=span).events] == ["b"]


def test_a_page_is_not_larger_than_a_mebibyte(logs: Logs) -> None:
    logs.create_group("g")
    logs.create_stream("g", "s")
    logs.put("g", "s", events(*["x" * 250_000] * 6))
    first = logs.read("g", "s", limit=9, span=ALWAYS)
    second = logs.read("g", "s", start=first.after, limit=9, span=ALWAYS)
    assert (len(first.events), len(second.events)) == (4, 2)
    assert len(logs.read_back("g", "s", limit=9, span=ALWAYS).events) == 4


def test_names_are_unique_and_what_is_missing_is_said(logs: Logs) -> None:
    for ask in (
        lambda: logs.create_stream("g", "s"),
        lambda: logs.delete_group("g"),
        lambda: logs.streams("g"),
        lambda: logs.put("g", "s", []),
        lambda: logs.read("g", "s", limit=1, span=ALWAYS),
    ):
        with pytest.raises(Missing):
            ask()
    logs.create_group("g")
    logs.create_stream("g", "s")
    with pytest.raises(Taken):
        logs.create_group("g")
    with pytest.raises(Taken):
        logs.create_stream("g", "s")
    with pytest.raises(Unfit, match="nextToken"):
        logs.read("g", "s", start=7, limit=1, span=ALWAYS)
    file = logs.find("g", "s").file
    logs.delete_group("g")
    assert not file.exists() and list(file.parent.iterdir()) == []
    with pytest.raises(Missing):
        logs.find("g", "s")


def test_groups_and_streams_are_listed_by_prefix_in_order(logs: Logs) -> None:
    for name in ("/b/2", "/a", "/b/1", "/b%"):
        logs.create_group(name)
    assert [group.name for group in logs.groups(prefix="/b")] == ["/b%", "/b/1", "/b/2"]
    assert [group.name for group in logs.groups(prefix="/b", after="/b/1")] == ["/b/2"]
    for name in ("job/1", "job/2", "jobs"):
        logs.create_stream("/a", name)
    assert [stream.name for stream in logs.streams("/a", prefix="job/")] == ["job/1", "job/2"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(times=st.lists(st.lists(st.integers(0, 20), max_size=8), min_size=1, max_size=4), limit=st.integers(1, 5))
def test_a_search_finds_every_event_once_over_pages(
    tmp_path_factory: pytest.TempPathFactory, times: list[list[int]], limit: int
) -> None:
    root = tmp_path_factory.mktemp("logs")
    logs = Logs(root / "logs", Database(root / "state.db", "state"))
    logs.create_group("g")
    put = []
    for number, stamps in enumerate(times):
        logs.create_stream("g", str(number))
        said = [Event(stamp, f"{number}.{place}", 0) for place, stamp in enumerate(stamps)]
        logs.put("g", str(number), said)
        put += said
    seen: list[Event] = []
    after, more = None, True
    while more:
        search = logs.search(logs.streams("g"), Pattern(), after=after, span=ALWAYS)
        found, more = first_page(search, limit)
        seen += [one.event for one in found]
        after = found[-1].cursor if found else after
    assert sorted(event.message for event in seen) == sorted(event.message for event in put)
    if all(stamps == sorted(stamps) for stamps in times):
        assert all(a.timestamp <= b.timestamp for a, b in itertools.pairwise(seen))


@pytest.mark.parametrize(
    ("pattern", "message", "found"),
    [
        ("", "anything", True),
        ("loss", "loss 0.1", True),
        ("loss acc", "loss 0.1", False),
        ("Loss", "loss", False),
        ('"loss 0"', "loss 0.1", True),
        ('"loss 1"', "loss 0.1", False),
        ("?ERROR ?WARN", "a WARN", True),
        ("?ERROR ?WARN", "fine", False),
        ("loss -nan", "loss nan", False),
        ("loss -nan", "loss 1", True),
        ('-"a b"', "a b", False),
        (r'"say \"hi\""', 'say "hi"', True),
    ],
)
def test_a_pattern_finds(pattern: str, message: str, found: bool) -> None:
    assert Pattern.parse(pattern).is_in(message) is found


@pytest.mark.parametrize("pattern", ['"open', "a:b", "{ $.x = 1 }", "[a, b]", "%re%", 'a"b"'])
def test_a_pattern_that_is_none_is_refused(pattern: str) -> None:
    with pytest.raises(Unfit):
        Pattern.parse(pattern)
