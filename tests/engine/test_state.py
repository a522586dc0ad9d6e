"""What a database owes us, SQLite and PostgreSQL alike; and what only one that runs elsewhere does to us."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from groundfog.engine.errors import Busy, Missing, Unfit, Unreachable
from groundfog.engine.resources import Resources, Wanted
from groundfog.engine.state import Database, postgresql


@pytest.fixture
def state(place):
    state = Database(place, "state")
    yield state
    state.close()


def add(state, name):
    Resources(state).add("thing", name, {"count": 0}, tags={})


def test_changes_take_turns(state):
    add(state, "a")

    def count(_):
        Resources(state).change("thing", "a", lambda document: {"count": document["count"] + 1})

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(count, range(80)))
    assert Resources(state).find("thing", "a").document == {"count": 80}


def test_of_what_fails_nothing_remains(state):
    with pytest.raises(ZeroDivisionError), state.transaction() as here:
        state.queries.add_resource(here, kind="thing", name="a", status="", document="{}", created=1.0)
        1 / 0  # noqa: B018
    with pytest.raises(Missing):
        Resources(state).find("thing", "a")
    add(state, "a")


def test_text_is_in_the_order_of_its_bytes(state):
    names = ["b", "a", "B", "ä", "Z", "a-", "a_", "\U0001f32b"]
    for name in names:
        add(state, name)
    listed, _ = Resources(state).page("thing", Wanted(sort_by="name", descending=False))
    assert [one.name for one in listed] == sorted(names)


def test_whatever_json_can_say_comes_back(state):
    document = {
        "text": "nul \0\0, half \ud800, \\u0000, quote ' and %s ?",
        "Name": "it's %s",
        "time": 1763733600.123456,
    }
    Resources(state).add("thing", "a", document, tags={"k": "%(x)s"})
    assert Resources(state).find("thing", "a").document == document
    found, _ = Resources(state).page("thing", Wanted(where=(("$.Name", "it's %s"),)))
    assert [one.name for one in found] == ["a"]


def test_the_connections_of_threads_that_ended_are_let_go(state):
    for _ in range(5):
        thread = threading.Thread(target=lambda: state.here)
        thread.start()
        thread.join()
    assert len(state._opened) <= 2


def test_a_server_that_restarts_is_found_again(postgres):
    state = Database(postgres.schema(), "state")
    add(state, "a")
    postgres.stop()
    postgres.start()
    assert Resources(state).has("thing", "a")
    state.close()


def test_a_connection_that_breaks_inside_a_transaction_takes_it_along(postgres):
    url = postgres.schema()
    state, other = Database(url, "state"), Database(url, "state")
    with pytest.raises(Unreachable), state.transaction() as here:
        state.queries.add_resource(here, kind="thing", name="a", status="", document="{}", created=1.0)
        _cut(other, state)
        state.queries.add_resource(state.here, kind="thing", name="b", status="", document="{}", created=1.0)
    assert not Resources(state).has("thing", "a")
    assert not Resources(state).has("thing", "b")
    state.close()
    other.close()


def test_one_server_at_a_time(postgres, monkeypatch):
    monkeypatch.setattr(postgresql, "_TO_END", 0.3)
    url = postgres.schema()
    serving = Database(url, "state", alone=True)
    with pytest.raises(Busy, match="another server"):
        Database(url, "state", alone=True)
    beside = Database(url, "state")
    add(serving, "a")
    assert Resources(beside).has("thing", "a")
    beside.close()
    serving.close()
    Database(url, "state", alone=True).close()


def test_a_server_that_was_cut_off_and_replaced_writes_no_more(postgres, monkeypatch):
    monkeypatch.setattr(postgresql, "_PATIENCE", 0.3)
    url = postgres.schema()
    first, beside = Database(url, "state", alone=True), Database(url, "state")
    _cut(beside, first)
    add(first, "comes back as long as nobody else began")
    _cut(beside, first)
    second = Database(url, "state", alone=True)
    with pytest.raises(Unreachable, match="another server"):
        add(first, "too late")
    add(second, "in time")
    for state in (first, second, beside):
        state.close()


@pytest.mark.parametrize("url", ["postgresql://nobody@localhost:1/nothing", "postgresql://:::", "postgresql://h?x=y"])
def test_a_database_that_is_not_there_is_said_at_once(url):
    with pytest.raises(Unfit, match="database cannot be used"):
        Database(url, "state")


def test_without_the_extra_its_name_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "groundfog.engine.state.postgresql")
    with pytest.raises(Unfit, match=r"groundfog\[postgresql\]"):
        Database("postgresql:///x", "state")


def _cut(by: Database, whose: Database) -> None:
    pids = [connection.info.backend_pid for connection in whose._opened.values()]
    by.select("SELECT pg_terminate_backend(pid, 5000) FROM unnest(?::int[]) AS pid", [pids])
