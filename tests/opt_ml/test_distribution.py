"""What each distribution starts on each host."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from groundfog.opt_ml import mpi, script_environment
from groundfog.opt_ml.distribution import Launch, launch, prefixer
from groundfog.opt_ml.layout import Layout
from groundfog.opt_ml.run import ClientFault

SCRIPT = [sys.executable, "train.py", "--epochs", "3"]
TORCHRUN = {"sagemaker_torch_distributed_enabled": "true"}
MPI = {"sagemaker_mpi_enabled": "true", "sagemaker_mpi_custom_mpi_options": '""'}
PER_HOST = "sagemaker_mpi_num_of_processes_per_host"


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(script_environment, "gpus", lambda: 0)

    def start(hyperparameters: dict[str, str], host: str = "algo-1", hosts: int = 2, **resources: Any) -> Launch:
        names = [f"algo-{number}" for number in range(1, hosts + 1)]
        config = {"hosts": names, "current_host": host, "network_interface_name": "eth0", **resources}
        layout = Layout(tmp_path)
        layout.lay_out()
        layout.configure({"sagemaker_program": "train.py", **hyperparameters}, {}, config)
        return launch(script_environment.read(layout, {}), SCRIPT)

    return start


def test_without_a_distribution_each_host_runs_the_script_and_knows_where_to_meet(start: Any) -> None:
    alone = start({}, host="algo-2")
    assert alone.command == SCRIPT and alone.line is None
    assert (alone.variables["MASTER_ADDR"], alone.variables["MASTER_PORT"]) == ("algo-1", "7777")
    assert alone.variables["NCCL_SOCKET_IFNAME"] == alone.variables["GLOO_SOCKET_IFNAME"] == "eth0"


@pytest.mark.parametrize("enabled", ["sagemaker_torch_distributed_enabled", "sagemaker_pytorch_ddp_enabled"])
def test_torchrun_starts_on_every_host(start: Any, enabled: str) -> None:
    command = start({enabled: "true", PER_HOST: "2"}, host="algo-2").command
    assert command[:3] == [sys.executable, "-m", "torch.distributed.run"]
    options = ["--nnodes", "2", "--nproc_per_node", "2", "--master_addr", "algo-1", "--master_port", "7777"]
    assert command[3:] == [*options, "--node_rank", "1", "train.py", "--epochs", "3"]


def test_torchrun_on_one_host_finds_itself(start: Any) -> None:
    command = start(TORCHRUN, hosts=1).command
    assert command[3:] == ["--nnodes", "1", "--nproc_per_node", "1", "train.py", "--epochs", "3"]


def test_one_process_for_each_gpu(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script_environment, "gpus", lambda: 4)
    assert "--nproc_per_node 4" in " ".join(start(TORCHRUN).command)


def test_torchrun_starts_python_scripts_only(start: Any) -> None:
    with pytest.raises(ClientFault, match=r"name a file ending in \.py"):
        start({**TORCHRUN, "sagemaker_program": "train.sh"})


@pytest.mark.parametrize("count", ["0", '"many"', "[2]"])
def test_what_is_no_number_of_processes_is_refused(start: Any, count: str) -> None:
    with pytest.raises(ClientFault, match=PER_HOST):
        start({**TORCHRUN, PER_HOST: count})


def test_a_distribution_that_is_not_here_is_named(start: Any) -> None:
    with pytest.raises(ClientFault, match="smdistributed is not implemented"):
        start({"sagemaker_distributed_dataparallel_enabled": "true"})


@pytest.mark.skipif(shutil.which("mpirun") is None, reason="Open MPI is not installed")
def test_mpirun_starts_on_the_first_host_and_the_others_wait(start: Any) -> None:
    options = {"sagemaker_mpi_custom_mpi_options": "\"--NCCL_DEBUG INFO -x WORD='two words'\"", PER_HOST: "2"}
    leading, waiting = start({**MPI, **options}), start({**MPI, **options}, host="algo-2")
    assert leading.command[:5] == ["mpirun", "--host", "algo-1:2,algo-2:2", "-np", "4"]
    assert leading.command[-3:] == SCRIPT[1:]
    assert "NCCL_DEBUG=INFO" in leading.command and "WORD=two words" in leading.command
    assert waiting.command == mpi.WAIT


def test_without_open_mpi_the_user_is_told(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ClientFault, match="apt install openmpi-bin"):
        start(MPI)


def test_a_host_of_another_group_runs_the_script_alone(start: Any) -> None:
    groups = [
        {"instance_group_name": "learn", "instance_type": "ml.g5.xlarge", "hosts": ["algo-1"]},
        {"instance_group_name": "read", "instance_type": "ml.m5.large", "hosts": ["algo-2"]},
    ]
    chosen = {**TORCHRUN, "sagemaker_distribution_instance_groups": '["learn"]'}
    reading = start(chosen, host="algo-2", instance_groups=groups, current_group_name="read")
    learning = start(chosen, host="algo-1", instance_groups=groups, current_group_name="learn")
    assert reading.command == SCRIPT
    assert "--nnodes 1" in " ".join(learning.command)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"[1,3]<stdout>:loss: 0.5", b"[1,mpirank:3,algo-2]<stdout>:loss: 0.5"),
        (b"[1,0]<stderr>:a[1,0]<stderr>: b", b"[1,mpirank:0,algo-1]<stderr>:a b"),
        (b"the mapping: [1,0]<stdout>:", b"the mapping: [1,0]<stdout>:"),
        (b"", b""),
    ],
)
def test_lines_say_which_process_of_which_host_speaks(line: bytes, shown: bytes) -> None:
    assert prefixer(2)(line) == shown
