"""Many processes for one script: what the SageMaker SDK's `distribution={...}` becomes.

    torch_distributed   torchrun on every host
    pytorchddp          the same; in AWS's images a wrapper of its own sets the variables that torchrun sets here
    mpi                 mpirun on the first host, which starts its daemon on the others (mpi.py)

One process per GPU, else one, or as many per host as `sagemaker_mpi_num_of_processes_per_host` asks for: a
hyperparameter that the SDK sends for `mpi` (`processes_per_host`), and that is heeded for all three.

https://github.com/aws/sagemaker-training-toolkit: runner.py, torch_distributed.py, mpi.py
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from groundfog.opt_ml import mpi
from groundfog.opt_ml.run import ClientFault
from groundfog.opt_ml.script_environment import Environment
from groundfog.opt_ml.script_process import terminate

PORT = "7777"
"""On the first host, where torch's processes meet; the toolkit's."""
PER_HOST = "sagemaker_mpi_num_of_processes_per_host"
_MPI, _TORCHRUN, _DDP = "sagemaker_mpi_enabled", "sagemaker_torch_distributed_enabled", "sagemaker_pytorch_ddp_enabled"
_UNWRITTEN = {
    "sagemaker_distributed_dataparallel_enabled": "smdistributed",
    "sagemaker_parameter_server_enabled": "parameter_server",
    "sagemaker_pytorch_xla_multi_worker_enabled": "pytorchxla",
    "sagemaker_multi_worker_mirrored_strategy_enabled": "multi_worker_mirrored_strategy",
}
_TAG = re.compile(rb"\[\d+,(\d+)\]<(\w+)>:")


@dataclass(frozen=True)
class Launch:
    """What to run on this host; `line` is what is made of each line that it says, and `end` how it is asked to end."""

    command: Sequence[str]
    variables: Mapping[str, str] = field(default_factory=dict)
    line: Callable[[bytes], bytes] | None = None
    end: Callable[[int], None] = terminate


def launch(environment: Environment, script: Sequence[str]) -> Launch:
    """Of a script, given as the command that would run it alone. Raises ClientFault for what cannot be had."""
    parameters, cluster = environment.framework_parameters, environment.cluster()
    for name, told in _UNWRITTEN.items():
        if parameters.get(name):
            raise ClientFault(f"The distribution {told} is not implemented; torch_distributed, pytorchddp and mpi are.")
    meeting = _meeting(cluster["master_hostname"], cluster["network_interface_name"])
    if environment.current_host not in cluster["distribution_hosts"]:
        return Launch(script, meeting)
    if parameters.get(_TORCHRUN) or parameters.get(_DDP):
        return Launch(_torchrun(environment, script), meeting)
    if not parameters.get(_MPI):
        return Launch(script, meeting)
    if environment.current_host != cluster["master_hostname"]:
        return Launch(mpi.WAIT, meeting)
    count = _per_host(environment)
    command, variables = _mpirun(environment, script, count), {**meeting, "SHELL": "/bin/sh"}
    return Launch(command, variables, prefixer(count), mpi.end_processes)


def _meeting(first: str, interface: str) -> dict[str, str]:
    """What a script that makes its process group by itself looks for."""
    return {
        "MASTER_ADDR": first,
        "MASTER_PORT": PORT,
        "NCCL_SOCKET_IFNAME": interface,
        "NCCL_IB_DISABLE": "1",
        "NCCL_DEBUG": "WARN",
        "GLOO_SOCKET_IFNAME": interface,
    }


def _per_host(environment: Environment) -> int:
    """Raises ClientFault for what is no number of processes."""
    asked = environment.framework_parameters.get(PER_HOST)
    if asked is None:
        return max(1, environment.gpus)
    try:
        count = int(asked)
    except (TypeError, ValueError):
        count = 0
    if count < 1:
        raise ClientFault(f"The hyperparameter {PER_HOST} must be a number of processes, at least 1, not {asked!r}.")
    return count


def _torchrun(environment: Environment, script: Sequence[str]) -> list[str]:
    if not environment.entry_point.endswith(".py") or "-m" in script[:2]:
        raise ClientFault(
            "torchrun starts a Python script, not a package or a shell script: name a file ending in .py."
        )
    if importlib.util.find_spec("torch") is None:
        raise ClientFault("torchrun comes with torch, and the environment of this image has none.")
    hosts = environment.cluster()["distribution_hosts"]
    command = ["-m", "torch.distributed.run", "--nnodes", str(len(hosts))]
    command += ["--nproc_per_node", str(_per_host(environment))]
    if len(hosts) > 1:
        command += ["--master_addr", environment.cluster()["master_hostname"], "--master_port", PORT]
        command += ["--node_rank", str(hosts.index(environment.current_host))]
    return [sys.executable, *command, *script[1:]]


def _mpirun(environment: Environment, script: Sequence[str], count: int) -> list[str]:
    """The toolkit's options, but for what the comments say. The variables are not handed on from here: the daemons of
    the other hosts have them already, each its own."""
    if shutil.which("mpirun") is None:
        raise ClientFault("The distribution mpi needs Open MPI, and mpirun is not here: apt install openmpi-bin.")
    parameters, hosts = environment.framework_parameters, environment.cluster()["distribution_hosts"]
    interface = environment.cluster()["network_interface_name"]
    known, further = _custom(str(parameters.get("sagemaker_mpi_custom_mpi_options") or ""))
    python = [script[0], *_mpi4py()] if script[0] == sys.executable else [script[0]]
    return [
        "mpirun",
        *("--host", ",".join(host if count == 1 else f"{host}:{count}" for host in hosts)),
        *("-np", str(parameters.get("sagemaker_mpi_num_processes") or count * len(hosts))),
        *("--allow-run-as-root", "--display-map", "--tag-output"),
        *("-mca", "btl_tcp_if_include", interface, "-mca", "oob_tcp_if_include", interface),
        *("-mca", "plm_rsh_no_tree_spawn", "1", "-mca", "plm_rsh_agent", mpi.ASK),
        # The daemon stays with the one who waits for it, who passes on how it ended.
        "--leave-session-attached",
        # To pin each host's processes would pin them all to the same few cores.
        *("-bind-to", "none", "-map-by", "slot"),
        *("-mca", "pml", "ob1", "-mca", "btl", "^openib", "-mca", "btl_vader_single_copy_mechanism", "none"),
        *("-mca", "orte_abort_on_non_zero_status", "1"),
        *("-x", f"NCCL_DEBUG={known.NCCL_DEBUG}"),
        # mpirun tags what a process writes at a time: that must be whole lines.
        *("-x", "PYTHONUNBUFFERED="),
        *further,
        *python,
        *script[1:],
    ]


def _custom(options: str) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    parser.add_argument("--NCCL_DEBUG", default="WARN")
    return parser.parse_known_args(shlex.split(options))


def _mpi4py() -> list[str]:
    """Where it is there, an exception in one process ends them all at once."""
    return ["-m", "mpi4py"] if importlib.util.find_spec("mpi4py") else []


def prefixer(per_host: int) -> Callable[[bytes], bytes]:
    """From `[1,3]<stdout>:` to `[1,mpirank:3,algo-2]<stdout>:`, as the toolkit has it in the log."""

    def prefixed(line: bytes) -> bytes:
        tag = _TAG.match(line)
        if tag is None:
            return line
        # What was written in pieces has the tag before each.
        return _prefix(int(tag[1]), tag[2].decode(), per_host) + line.replace(tag[0], b"")

    return prefixed


def _prefix(rank: int, stream: str, per_host: int) -> bytes:
    return f"[1,mpirank:{rank},algo-{rank // per_host + 1}]<{stream}>:".encode()
