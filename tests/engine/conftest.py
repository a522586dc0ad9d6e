from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from clusters import a_cluster
from clusters import why_none as why_no_cluster
from engine.hosts import PROGRAMS
from engine.jobhouse import House

from groundfog.engine.launch import Launcher
from groundfog.engine.launch.local import Local
from groundfog.engine.launch.ray import Cluster, Ray
from groundfog.engine.sandbox import Sandbox


@pytest.fixture(scope="session")
def walled() -> Sandbox:
    sandbox = Sandbox(modules=[PROGRAMS])
    if sandbox.missing:
        pytest.skip(sandbox.missing)
    return sandbox


@pytest.fixture(scope="session")
def unwalled() -> Sandbox:
    return Sandbox("none", modules=[PROGRAMS])


@pytest.fixture(params=["plain", "walled"])
def launcher(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Local]:
    sandbox = request.getfixturevalue("walled" if request.param == "walled" else "unwalled")
    local = Local(tmp_path / "runs", sandbox=sandbox)
    yield local
    local.close()
    for directory in (tmp_path / "runs").iterdir():
        local.remove(directory)


@pytest.fixture(scope="session")
def ray_runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Cluster]]:
    if why_no_cluster():
        pytest.skip(why_no_cluster())
    with a_cluster(4) as cluster:
        yield (
            tmp_path_factory.mktemp("ray") / "runs",
            Cluster(address=cluster.address, modules=(str(PROGRAMS),)),
        )


@pytest.fixture(params=["plain", "walled", pytest.param("ray", marks=pytest.mark.slow)])
def anew(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Launcher]]:
    """Launchers over the same hosts, one after another as servers come and go. Every kind of launcher passes the tests
    of test_launchers.py; a new one is added here."""
    made: list[Launcher] = []
    if request.param == "ray":
        runs, cluster = request.getfixturevalue("ray_runs")
        make: Callable[[], Launcher] = partial(Ray, runs, cluster)
    else:
        runs, sandbox = (
            tmp_path / "runs",
            request.getfixturevalue("walled" if request.param == "walled" else "unwalled"),
        )
        make = partial(Local, runs, sandbox=sandbox)

    def another() -> Launcher:
        made.append(make())
        return made[-1]

    yield another
    for directory in runs.iterdir():
        made[0].remove(directory)
    for launcher in made:
        launcher.close()


@pytest.fixture
def house(tmp_path: Path, unwalled: Sandbox) -> Iterator[House]:
    house = House(tmp_path, unwalled)
    house.start()
    yield house
    house.close()
