"""The hosts of one job: placed together or not at all, and then told where the others are."""

import threading
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from groundfog.engine.launch.ray.mirror import Mirror

_ONE_AT_A_TIME = threading.Lock()


class Group:
    """As one of the hosts sees it. The first gives it its name: all are started equally often."""

    def __init__(self, mirror: Mirror) -> None:
        program = mirror.order["program"]
        self._runs = mirror.directory.parent
        self._first = Path(program["neighbour"] or mirror.directory)
        self._name = mirror.actor.replace(mirror.directory.name, self._first.name)
        self._hosts: list[str] = list(program["hosts"])
        self._number = self._hosts.index(program["host"])

    @property
    def is_alone(self) -> bool:
        return len(self._hosts) == 1

    def place(self, needs: dict[str, float]) -> Any:
        """Ray's scheduling strategy for this host, each of which needs as much."""
        if self.is_alone:
            return "SPREAD"
        with _ONE_AT_A_TIME:
            room = find(self._name) or ray.util.placement_group(
                [{kind: number for kind, number in needs.items() if number}] * len(self._hosts),
                strategy="SPREAD",
                name=self._name,
                lifetime="detached",
            )
        return PlacementGroupSchedulingStrategy(room, placement_group_bundle_index=self._number)

    def addresses(self) -> tuple[str, ...]:
        """In the order of the hosts; none before all of them are placed."""
        at: dict[str, str] = {}
        for directory in self._runs.iterdir():
            other = Mirror(directory)
            if directory == self._first or other.order.get("program", {}).get("neighbour") == str(self._first):
                at[other.order["program"]["host"]] = other.address
        known = tuple(at.get(host, "") for host in self._hosts)
        return known if all(known) else ()


def find(name: str) -> Any:
    """None if there is no such group."""
    try:
        return ray.util.get_placement_group(name)
    except ValueError:
        return None


def give_up(name: str) -> None:
    """The room that a group's hosts have, and whoever is still in it."""
    room = find(name)
    if room is not None:
        ray.util.remove_placement_group(room)
