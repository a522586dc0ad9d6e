"""A Ray cluster of several nodes on this machine, for as long as the tests last: in a process of its own.

with a_cluster(2, 2) as cluster: cluster.address; cluster.add(1); cluster.kill(node_id)
"""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Cluster:
    def __init__(self, *cpus: int) -> None:
        # The path of a socket must be short.
        self._folder = tempfile.TemporaryDirectory(prefix="r", dir="/tmp", ignore_cleanup_errors=True)
        self.process = subprocess.Popen(
            [sys.executable, __file__, *map(str, cpus)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"RAY_TMPDIR": self._folder.name, "RAY_USAGE_STATS_ENABLED": "0"},
        )
        self.address: str = self._answer()

    def add(self, cpus: int) -> None:
        self._ask("add", cpus)

    def kill(self, node: str) -> None:
        """All processes of the node of this name, as a power cut would."""
        self._ask("kill", node)

    def close(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(timeout=60)
        self.process.stdout.close()
        self._folder.cleanup()

    def _ask(self, *what: Any) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("> "):
                return json.loads(line[2:])
        raise AssertionError("the cluster is gone")


def why_none() -> str:
    """Why there can be none here; empty if there can."""
    return "" if importlib.util.find_spec("ray") else "ray is not installed"


@contextmanager
def a_cluster(*cpus: int) -> Iterator[Cluster]:
    cluster = Cluster(*cpus)
    try:
        yield cluster
    finally:
        cluster.close()


def main(*cpus: str) -> None:
    from ray.cluster_utils import Cluster as Nodes

    few = {"object_store_memory": 100 << 20}
    head = {"num_cpus": int(cpus[0]), "include_dashboard": False, **few}
    cluster = Nodes(initialize_head=True, head_node_args=head)
    for number in cpus[1:]:
        cluster.add_node(num_cpus=int(number), **few)
    _say(cluster.address)
    for line in sys.stdin:
        what, which = json.loads(line)
        if what == "add":
            cluster.add_node(num_cpus=which, **few)
        else:
            node = next(node for node in cluster.worker_nodes if node.node_id == which)
            cluster.remove_node(node, allow_graceful=False)
        _say(None)
    cluster.shutdown()


def _say(what: Any) -> None:
    print(">", json.dumps(what), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
