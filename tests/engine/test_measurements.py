"""Measurements: what is added up stays true, and old points become few."""

import random
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundfog.engine.errors import Missing, Unfit
from groundfog.engine.logs import Logs
from groundfog.engine.measurements import Bookmark, Measured, Measurements, Metric, Sought, Summary
from groundfog.engine.measurements.statistics import statistic
from groundfog.engine.measurements.summary import MOST_DISTINCT
from groundfog.engine.state import Database

NUMBERS = st.lists(st.integers(-1000, 1000).map(float), min_size=1, max_size=60)
NOW = time.time()
LOSS = Metric("training", "loss", (("job", "a"),))


@given(NUMBERS, NUMBERS)
def test_a_sum_of_summaries_is_the_summary_of_all(left: list[float], right: list[float]) -> None:
    whole = Summary.of(*left) + Summary.of(*right)
    assert whole == Summary.of(*left, *right)
    assert (whole.low, whole.high, whole.count) == (min(left + right), max(left + right), len(left + right))
    assert statistic("Average")(whole) == pytest.approx(statistics.fmean(left + right))
    assert statistic("p50")(whole) == statistics.median_low(left + right)


@pytest.mark.parametrize("spread", [1.0, 1e3, 1e30])
def test_a_tally_stays_small_and_near(spread: float) -> None:
    values = [random.Random(number).uniform(0, spread) for number in range(2000)]
    summary = Summary.of(*values) + Summary.of(*values)
    assert summary.tally is not None
    assert len(summary.tally) <= MOST_DISTINCT
    assert summary.count == sum(summary.tally.values()) == 2 * len(values)
    assert statistic("p90")(summary) == pytest.approx(sorted(values)[1800], rel=0.05)


TEN = Summary.of(*map(float, range(1, 11)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SampleCount", 10.0),
        ("Sum", 55.0),
        ("Minimum", 1.0),
        ("Maximum", 10.0),
        ("p0", 1.0),
        ("p99.9", 10.0),
        ("p100", 10.0),
        ("tm90", 5.0),
        ("tc90", 9.0),
        ("ts90", 45.0),
        ("wm90", 5.4),
        ("TM(10%:90%)", 5.0),
        ("TM(:50%)", 3.0),
        ("TC(3:7)", 4.0),
        ("TS(8:)", 19.0),
        ("PR(:5)", 50.0),
        ("IQM", 5.5),
    ],
)
def test_statistics_of_one_to_ten(name: str, value: float) -> None:
    assert statistic(name)(TEN) == pytest.approx(value)


@pytest.mark.parametrize("name", ["average", "p101", "p", "TM(:)", "TM(a:b)", "tm200", "p50; DROP TABLE"])
def test_what_is_no_statistic_is_said_to_be_none(name: str) -> None:
    with pytest.raises(Unfit):
        statistic(name)


def test_what_a_client_summed_up_has_no_percentiles_unless_all_values_were_the_same() -> None:
    assert statistic("p50")(Summary.said(4, 10, 1, 4)) is None
    assert statistic("p50")(Summary.said(4, 8, 2, 2)) == 2
    assert statistic("p50")(Summary.said(4, 10, 1, 4) + Summary.of(1)) is None


@pytest.fixture
def state(place: Path | str) -> Iterator[Database]:
    made = Database(place, "state")
    yield made
    made.close()


def said(at: float, value: float, *, fine: bool = True, metric: Metric = LOSS) -> Measured:
    return Measured(metric=metric, at=at, summary=Summary.of(value), fine=fine)


def test_points_flow_together_with_age_and_lose_nothing_of_the_sum(state: Database) -> None:
    measurements, now = Measurements(state), 1_800_000_000.0
    measurements.put([said(now - age, 1) for age in range(1, 7200, 10)])
    for later, width in ((0, 1), (86400, 60), (20 * 86400, 300), (70 * 86400, 3600)):
        measurements.sweep(now + later)
        points = measurements.points(LOSS, 0, now + 1)
        assert {point.seconds for point in points} == {width}
        assert sum(point.summary.total for point in points) == 720
    measurements.sweep(now + 460 * 86400)
    assert measurements.points(LOSS, 0, now + 1) == []


def test_the_last_value_is_the_one_that_was_measured_last(state: Database) -> None:
    measurements = Measurements(state)
    measurements.put([said(NOW, 2)])
    measurements.put([said(NOW - 100, 1)])
    last = measurements.last(LOSS)
    assert last is not None
    assert (last.value, last.at) == (2, NOW)
    assert measurements.last(Metric("training", "other")) is None


def test_a_bookmark_is_kept_with_what_was_found_or_not_at_all(state: Database, tmp_path: Path) -> None:
    logs, measurements = Logs(tmp_path / "logs", state), Measurements(state)
    logs.create_group("jobs")
    logs.create_stream("jobs", "a/algo-1")
    measurements.put([said(NOW, 1)], read=Bookmark("jobs", "a/algo-1", 77))
    assert measurements.position("jobs", "a/algo-1") == 77
    with pytest.raises(Missing):
        measurements.put([said(NOW + 1, 1)], read=Bookmark("jobs", "gone", 5))
    assert len(measurements.points(LOSS, 0, NOW + 10)) == 1
    logs.delete_stream("jobs", "a/algo-1")
    assert measurements.position("jobs", "a/algo-1") == 0


def test_metrics_are_listed_page_by_page_in_order(state: Database) -> None:
    measurements = Measurements(state)
    metrics = [Metric("training", name, (("job", job),)) for name in ("acc", "loss") for job in "abc"]
    measurements.put([said(NOW, 1, metric=metric) for metric in reversed(metrics)])
    found, after = [], ""
    while True:
        page, after = measurements.page(Sought(namespace="training", limit=4, after=after))
        found += page
        if not after:
            break
    assert found == metrics
    assert measurements.page(Sought(dimensions=(("job", "b"), ("job", None)), name="loss"))[0] == [metrics[4]]
    assert measurements.page(Sought(dimensions=(("host", None),)))[0] == []
    with pytest.raises(Unfit):
        measurements.page(Sought(after="nonsense"))
