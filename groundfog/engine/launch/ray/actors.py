"""The actors of the hosts, which their names make known: found, made where there is room, and dismissed."""

import logging
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayTaskError

from groundfog.engine.launch.ray.group import Group, give_up
from groundfog.engine.launch.ray.mirror import Mirror, Order
from groundfog.engine.launch.ray.node import Node

SPACE = "groundfog"
"""The namespace of their names."""
_PROMPT = 2.0
"""Seconds in which an actor answers, if a node has it."""
_THOROUGH = 30.0
"""Seconds in which one clears up."""

_log = logging.getLogger("groundfog.relay")


def find(mirror: Mirror) -> Any:
    """The actor of this attempt; None if there never was one. Raises LookupError if there was."""
    try:
        return ray.get_actor(mirror.actor, namespace=SPACE)
    except ValueError:
        if mirror.placed:
            raise LookupError("its actor is gone") from None
        return None


def make(mirror: Mirror, order: Order) -> Any:
    for earlier in mirror.actors[:-1]:
        dismiss(earlier)
        give_up(earlier)
    program = order["program"]
    wanted = {"CPU": min(program["cpus"], most("CPU")), "GPU": min(program["gpus"], most("GPU"))}
    return (
        ray.remote(Node)
        .options(
            name=mirror.actor,
            namespace=SPACE,
            lifetime="detached",
            get_if_exists=True,
            max_restarts=0,
            max_concurrency=8,
            num_cpus=wanted["CPU"],
            num_gpus=wanted["GPU"],
            scheduling_strategy=Group(mirror).place(wanted),
        )
        .remote(mirror.actor)
    )


def most(kind: str) -> float:
    """What the largest node has: more than that is never had, however long one waits."""
    return max((node["Resources"].get(kind, 0.0) for node in ray.nodes() if node["Alive"]), default=0.0)


def dismiss(name: str) -> None:
    try:
        actor = ray.get_actor(name, namespace=SPACE)
    except ValueError:
        return
    try:
        if ray.wait([actor.hello.remote()], timeout=_PROMPT)[0]:
            ray.get(actor.remove.remote(), timeout=_THOROUGH)
    except (RayActorError, RayTaskError, GetTimeoutError):
        _log.warning("host %s did not clear up", name, exc_info=True)
    ray.kill(actor)
