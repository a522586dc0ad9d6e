"""What every test may ask for: a server, clients of it, servers of its own."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from postgres import Postgres, a_postgres, why_none
from served import Server

# How long an example takes says more of who else works on the machine than of the code.
settings.register_profile("house", deadline=None)
settings.load_profile("house")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that only use it. Do not kill it: `own_server` is for that."""
    running = Server(tmp_path_factory.mktemp("home")).start()
    yield running
    running.stop()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Servers of this test's own: own_server("--jobs-at-once", "1")."""
    started: list[Server] = []

    def start(*options: str, home: Path | None = None, command: tuple[str, ...] | None = None) -> Server:
        made = Server(home or tmp_path / f"home-{len(started)}", options)
        if command is not None:
            made.command = command
        started.append(made)
        return made.start()

    yield start
    for made in started:
        made.stop()


@pytest.fixture(scope="session")
def client(server: Server) -> Callable[..., Any]:
    """client("s3") is a boto3 client of the shared server."""
    made: dict[str, Any] = {}

    def of(service: str, **config: Any) -> Any:
        if config:
            return server.client(service, **config)
        if service not in made:
            made[service] = server.client(service)
        return made[service]

    return of


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    if why := why_none():
        pytest.skip(why)
    with a_postgres() as started:
        yield started


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def new_place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path | str]:
    """Where a state can be kept, an empty place at each call: whatever keeps something there is tested with both."""
    if request.param == "sqlite":
        return lambda: tmp_path_factory.mktemp("state") / "state.db"
    return request.getfixturevalue("postgres").schema  # type: ignore[no-any-return]


@pytest.fixture
def place(new_place: Callable[[], Path | str]) -> Path | str:
    return new_place()
