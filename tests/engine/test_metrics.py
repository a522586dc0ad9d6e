"""Metrics in logs: what counts, once; what is refused; and what a hostile expression costs."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from groundfog.engine import metrics
from groundfog.engine.errors import Unfit
from groundfog.engine.logs import Logs
from groundfog.engine.measurements import Measurements
from groundfog.engine.metrics import FinalMetric, MetricDefinitions, MetricReader, check
from groundfog.engine.state import Database

DEFINITIONS = {
    "validation:loss": r"val-loss=(\S+)",
    "loss": r"'eval_loss': ([0-9]+(.|e\-)[0-9]+),?",
    "train:loss": r"train-loss=(\S+)",
    "silent": r"nothing=(\S+)",
}
House = Callable[..., tuple[MetricReader, Path]]


@pytest.fixture
def house(tmp_path: Path) -> House:
    """A reader as a server has it that has just begun, and the log of a host of the job."""
    state = Database(tmp_path / "state.db", "state")
    logs, measurements = Logs(tmp_path / "logs", state), Measurements(state)

    def open_up(definitions: dict[str, str] = DEFINITIONS, host: str = "algo-1") -> tuple[MetricReader, Path]:
        log = tmp_path / host
        log.touch()
        logs.attach("jobs", f"words/{host}-1", log)
        sought = MetricDefinitions(
            namespace="training", dimensions=(("job", "words"),), expressions=tuple(definitions.items())
        )
        return MetricReader(logs, measurements, sought, group="jobs", job="words", since=0), log

    return open_up


def say(log: Path, *lines: str) -> None:
    with log.open("a") as out:
        out.write("".join(f"{int(time.time() * 1000)}\t{line}\n" for line in lines))


def values(reader: MetricReader) -> dict[str, float]:
    return {metric.name: metric.value for metric in reader.last()}


def counts(reader: MetricReader, name: str) -> list[float]:
    points = reader._measurements.points(reader._definitions.metric(name), 0, time.time() + 10)
    return sorted(value for point in points for value, count in (point.summary.tally or {}).items() for _ in [count])


def test_numbers_are_found_anywhere_in_a_line_by_each_expression_that_fits(house: House) -> None:
    reader, log = house()
    say(
        log,
        "val-loss=0.5 train-loss=2",
        "[1,mpirank:0,algo-1]<stdout>: train-loss=1.5e-3",
        "{'eval_loss': 0.51, 'eval_wer': 0.17}",
        "val-loss=nan",
        "val-loss=x",
    )
    reader.look()
    assert values(reader) == {"validation:loss": 0.5, "loss": 0.51, "train:loss": 0.0015}
    assert counts(reader, "train:loss") == [0.0015, 2]
    first = reader.last()[0]
    assert isinstance(first, FinalMetric)
    assert abs(first.at - time.time()) < 10


def test_each_line_of_each_host_counts_once_though_servers_come_and_go(house: House) -> None:
    reader, log = house()
    say(log, "train-loss=1")
    reader.look()
    say(log, "train-loss=2")
    with log.open("a") as unfinished:
        unfinished.write(f"{int(time.time() * 1000)}\ttrain-lo")
    again, other = house(host="algo-2")
    say(other, "train-loss=3")
    again.look()
    with log.open("a") as unfinished:
        unfinished.write("ss=4\n")
    again.look()
    for _ in range(2):
        house()[0].look()
    assert counts(again, "train:loss") == [1, 2, 3, 4]


def test_a_log_that_is_not_there_or_is_deleted_has_none(house: House, tmp_path: Path) -> None:
    reader, log = house()
    say(log, "train-loss=1")
    reader._logs.delete_stream("jobs", "words/algo-1-1")
    reader.look()
    reader._logs.delete_group("jobs")
    reader.look()
    assert reader.last() == ()


def test_a_reader_that_is_interrupted_leaves_nothing_half_read(house: House) -> None:
    reader, log = house()
    say(log, "train-loss=1", "train-loss=2")
    reader.look(interrupted=lambda: True)
    assert reader.last() == ()
    reader.look()
    assert counts(reader, "train:loss") == [1, 2]


def test_a_hostile_expression_is_given_up_and_the_log_says_so(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "MOST_LOST", 3 * metrics.PATIENCE)
    reader, log = house({"hostile": r"(a|aa)+b", "loss": r"loss=(\d+)"})
    say(log, *("a" * 60 for _ in range(5000)), "loss=7")
    reader.look()
    assert values(reader) == {"loss": 7}
    assert "hostile is not looked for any more" in log.read_text()


def test_an_expression_that_only_waited_for_the_processor_is_tried_again(house: House) -> None:
    """The library counts the processor's time of the whole server, other threads' as well."""
    reader, log = house({"loss": r"loss=(\d+)"})
    search = reader._searches[0]
    compiled, waited = search._compiled, []

    class Waits:
        def search(self, line: str, **how: object) -> object:
            if len(waited) < 3:
                waited.append(line)
                raise TimeoutError
            return compiled.search(line)

    search._compiled = Waits()
    say(log, "loss=7")
    reader.look()
    assert (values(reader), len(waited)) == ({"loss": 7}, 3)
    assert not search.given_up


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("(", "no regular expression"),
        (r"loss: [0-9.]+", "no group"),
        ("(a{400}){400}", "multiply to more than"),
        (r"(\p{L})", "no regular expression"),
        ("(?:x" * 120 + ")" * 120, "no group"),
        ("(a{99999999999999999999})", "no regular expression"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(expression: str, text: str) -> None:
    with pytest.raises(Unfit, match=text):
        check(expression)


@pytest.mark.parametrize(
    "expression",
    [
        r".*loss: ([0-9\.]+) - acc: [0-9\.]+.*",
        r".* - \d+s (\d+)[mu]s/step - loss: [0-9\.]+",
        r"(?i)(?P<value>\d{4}-\d{2})",
        "#quality_metric: host=\\S+, train loss <loss>=(\\S+)",
    ],
)
def test_what_users_write_is_taken(expression: str) -> None:
    check(expression)


def test_definitions_come_back_from_their_document() -> None:
    given = MetricDefinitions(namespace="n", dimensions=(("a", "b"),), expressions=(("loss", "(x)"),))
    listed = {"namespace": "n", "dimensions": [["a", "b"]], "expressions": [["loss", "(x)"]]}
    assert MetricDefinitions.read(listed) == given
    assert MetricDefinitions.read({"validation:loss": "(x)"}) is None
    assert MetricDefinitions.read(None) is None
