"""Rows with names: unique, changed in one step, listed as asked."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundfog.engine.errors import Busy, Missing, Taken, Unfit
from groundfog.engine.resources import Resources, Wanted
from groundfog.engine.state import Database


@pytest.fixture
def resources(place: Path | str):
    state = Database(place, "state")
    yield Resources(state)
    state.close()


def test_a_name_is_taken_once(resources):
    resources.add("job", "a", {"x": 1}, tags={"k": "v"})
    with pytest.raises(Taken):
        resources.add("job", "a", {}, tags={})
    resources.add("model", "a", {}, tags={})
    assert resources.find("job", "a").document == {"x": 1}
    assert resources.tags("job", "a") == {"k": "v"}


def test_a_change_crosses_no_other(resources):
    resources.add("job", "a", {}, status="Running", tags={})
    changed = resources.change("job", "a", lambda d: d | {"n": 1}, status="Done", only_from=["Running"])
    assert (changed.status, changed.document) == ("Done", {"n": 1})
    with pytest.raises(Busy):
        resources.change("job", "a", status="Stopped", only_from=["Running"])
    assert resources.find("job", "a").status == "Done"
    with pytest.raises(Missing):
        resources.change("job", "b")


def test_what_is_deleted_takes_its_tags_along(resources):
    resources.add("job", "a", {}, tags={"k": "v"})
    resources.delete("job", "a")
    with pytest.raises(Missing):
        resources.delete("job", "a")
    with pytest.raises(Missing):
        resources.tag("job", "a", {"k": "v"})
    resources.add("job", "a", {}, tags={})
    assert resources.tags("job", "a") == {}


def test_everything_is_there_when_opened_again(place):
    state = Database(place, "state")
    Resources(state).add("job", "a", {"x": 1}, tags={})
    again = Database(place, "state")
    assert Resources(again).find("job", "a").document == {"x": 1}
    state.close()
    again.close()


@pytest.mark.parametrize(
    "token", ["", "{}", "[]", "[1]", "[1, 2]", '["a", "b"]', "null", '["a", "b", "c"]', "[[], []]"]
)
def test_a_token_that_is_not_ours_is_refused(resources, token):
    with pytest.raises(Unfit, match="NextToken"):
        resources.page("job", Wanted(after=token))


@settings(max_examples=30, deadline=None)
@given(
    names=st.lists(st.sampled_from([f"{a}{b}" for a in "abc" for b in "xyz"]), unique=True),
    sort_by=st.sampled_from(["name", "created", "modified", "status"]),
    descending=st.booleans(),
    limit=st.integers(1, 4),
    contains=st.sampled_from([None, "a", "x"]),
    status=st.sampled_from([None, "Even", "Odd"]),
)
def test_pages_put_together_are_the_sorted_list(new_place, names, sort_by, descending, limit, contains, status):
    state = Database(new_place(), "state")
    resources = Resources(state)
    for index, name in enumerate(names):
        resources.add("job", name, {}, status="Odd" if index % 2 else "Even", tags={})
    expected = sorted(
        (
            resources.find("job", name)
            for index, name in enumerate(names)
            if (contains is None or contains in name) and (status is None or status == ("Odd" if index % 2 else "Even"))
        ),
        key=lambda one: (getattr(one, sort_by), one.name),
        reverse=descending,
    )
    listed, after = [], None
    while True:
        wanted = Wanted(
            name_contains=contains, status=status, sort_by=sort_by, descending=descending, limit=limit, after=after
        )
        page, after = resources.page("job", wanted)
        assert len(page) <= limit
        listed += page
        if after is None:
            break
    assert listed == expected
    state.close()
