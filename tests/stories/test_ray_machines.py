"""Training jobs on a Ray cluster whose machines share a network, and nothing else but the installed programs."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import clusters
import pytest
import test_script_mode as scripts
from machines import machines, why_none
from served import wait_until
from test_pipe_mode import (
    test_hosts_share_what_is_sharded_by_key_anew_in_each_epoch_if_shuffled,  # noqa: F401  run here again
    use,
)
from test_ray import SECONDS, ended
from test_training_survives import command, model, said, submit

MISSING = clusters.why_none() or why_none()
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(MISSING), reason=MISSING)]

RAY = [str(Path(sys.executable).with_name("ray")), "start", "--block", "--disable-usage-stats"]
SMALL = ["--num-cpus=1", "--object-store-memory=100000000"]
PORT = "29679"


@pytest.fixture(scope="module")
def cluster():
    """Its head is on this machine, and trains nothing."""
    with machines(2) as (address, others), tempfile.TemporaryDirectory(prefix="r", ignore_cleanup_errors=True) as short:
        environment = os.environ | {"RAY_TMPDIR": short, "RAY_agent_register_timeout_ms": "120000"}
        head = ["--head", f"--node-ip-address={address}", f"--port={PORT}", "--include-dashboard=false", "--num-cpus=0"]
        started = subprocess.Popen(
            [*RAY, *head, SMALL[1]], env=environment, stdout=subprocess.DEVNULL, start_new_session=True
        )
        wait_until(lambda: _answers(address), "the cluster's head did not start", SECONDS)
        for other in others:
            place = [f"--address={address}:{PORT}", f"--node-ip-address={other.address}"]
            other.start([*RAY, *place, *SMALL], environment | {"RAY_TMPDIR": "/tmp"})
        yield address, others
        os.killpg(started.pid, signal.SIGKILL)
        started.wait()


@pytest.fixture
def server(cluster, own_server, tmp_path):
    """Every image is a wish of `probe_program`, and a job's hosts reach each other."""
    address, _ = cluster
    options = ("--launcher", "ray", "--ray-address", f"{address}:{PORT}", "--network", "open", "--host", address)
    server = own_server("--warm", "0", *options, home=tmp_path / "home", command=command("none"))
    use(server)
    server.s3.create_bucket(Bucket="bucket")
    return server


def _answers(address):
    with socket.socket() as asking:
        return asking.connect_ex((address, int(PORT))) == 0


def test_a_script_finds_what_it_requires_where_nothing_is_shared(cluster, own_server, tmp_path):
    address, _ = cluster
    environments = f"/tmp/groundfog-{tmp_path.name}"
    options = ("--launcher", "ray", "--ray-address", f"{address}:{PORT}", "--host", address)
    server = own_server("--warm", "0", *options, "--environments", environments, home=tmp_path / "home")
    server.client("s3").create_bucket(Bucket=scripts.BUCKET)
    wheel = "brought-1.0-py3-none-any.whl"
    files = {"train.py": b"import brought; print(brought.WORD)"}
    files |= {"requirements.txt": f"./{wheel}".encode(), wheel: scripts.wheel("brought", "WORD = 'brought along'")}
    name = scripts.order(server.client, files)
    scripts.completed(server.client, name)
    log = scripts.log(server.client, name)
    assert {"Successfully installed brought-1.0", "brought along"} <= set(log)
    assert not list(Path("/tmp").glob(f"{Path(environments).name}*"))


def test_a_server_that_the_nodes_cannot_reach_says_so_at_once(cluster, own_server, tmp_path):
    address, _ = cluster
    server = own_server(
        "--warm", "0", "--launcher", "ray", "--ray-address", f"{address}:{PORT}", home=tmp_path / "home"
    )
    server.client("s3").create_bucket(Bucket=scripts.BUCKET)
    reason = scripts.ended(server.client, scripts.order(server.client, {"train.py": b""}))["FailureReason"]
    assert f"cannot reach the server at {server.url}. Start the server with --host" in reason


def test_two_hosts_on_two_machines_and_one_machine_lost(cluster, server):
    others = cluster[1]
    server.s3.put_object(Bucket="bucket", Key="in/a", Body=b"fog")

    submit(server.sagemaker, "pair", "meet", hosts=2)
    pair = ended(server.sagemaker, "pair")
    assert pair["TrainingJobStatus"] == "Completed", (pair.get("FailureReason"), said(server, "pair"))
    first, second = model(server, "pair")["weights"].split("; ")
    assert first.startswith("algo-1 gfi") and first.endswith("fog")
    assert second.startswith("algo-2 gfi") and second.rpartition(" from ")[2] in {one.address for one in others}

    submit(server.sagemaker, "job", "resume")
    runs = server.home / "nodes"
    wait_until(lambda: list(runs.glob("*/opt_ml/checkpoints/runs")), "no checkpoint came", SECONDS)
    (placed,) = runs.glob("*/placed")
    next(one for one in others if one.address == placed.read_text().split()[0]).turn_off()
    assert ended(server.sagemaker, "job")["TrainingJobStatus"] == "Completed"
    assert said(server, "job") == ["run 1", "run 2"]
