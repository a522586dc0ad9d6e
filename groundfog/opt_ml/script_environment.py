"""What a script is told about its job: hyperparameters as arguments, everything else as `SM_*` variables.

Names, order and spelling are those of AWS's training toolkit, down to its quirks: hyphens stay in `SM_HP_BATCH-SIZE`,
and what is no text is JSON without spaces.

https://github.com/aws/sagemaker-training-toolkit/blob/master/ENVIRONMENT_VARIABLES.md
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from groundfog.opt_ml.layout import Layout
from groundfog.opt_ml.run import ClientFault

PREFIX = "sagemaker_"
"""Hyperparameters that begin so are for the toolkit, not for the script."""
_OWN = (
    "sagemaker_program",
    "sagemaker_submit_directory",
    "sagemaker_enable_cloudwatch_metrics",
    "sagemaker_region",
    "sagemaker_container_log_level",
    "sagemaker_job_name",
    "default_user_module_name",
    "_tuning_objective_metric",
    "sagemaker_s3_output",
)
"""What the toolkit uses up; the rest that begins with the prefix is told as framework parameters."""
_DISTRIBUTIONS = (
    "sagemaker_mpi_enabled",
    "sagemaker_parameter_server_enabled",
    "sagemaker_distributed_dataparallel_enabled",
    "sagemaker_pytorch_ddp_enabled",
    "sagemaker_torch_distributed_enabled",
    "sagemaker_pytorch_xla_multi_worker_enabled",
    "sagemaker_multi_worker_mirrored_strategy_enabled",
)
_GROUP = "homogeneousCluster"
INFO = 20


def read(layout: Layout, variables: Mapping[str, str] = os.environ) -> Environment:
    """From `input/config` and the container's own variables. Raises ClientFault for what cannot be told."""
    hyperparameters = {name: _loaded(text) for name, text in layout.hyperparameters().items()}
    for name, value in hyperparameters.items():
        if "\0" in name or "=" in name or "\0" in str(value):
            raise ClientFault(f"The hyperparameter {name!r} cannot be told to a program: it holds '=' or a NUL.")
    return Environment(layout, hyperparameters, layout.resource_config(), layout.input_data_config(), variables)


@dataclass(frozen=True)
class Environment:
    """`given` holds all hyperparameters, loaded; `variables` what the container was started with."""

    layout: Layout
    given: Mapping[str, Any]
    resource_config: Mapping[str, Any]
    input_data_config: Mapping[str, Any]
    variables: Mapping[str, str]

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """The script's own."""
        return {name: value for name, value in self.given.items() if not _is_ours(name)}

    @property
    def framework_parameters(self) -> dict[str, Any]:
        return {name: value for name, value in self.given.items() if _is_ours(name) and name not in _OWN}

    @property
    def entry_point(self) -> str:
        """The program to run, as a path below `/opt/ml/code`. Raises ClientFault where none is named."""
        program = self.variables.get("SAGEMAKER_PROGRAM") or self.given.get("sagemaker_program")
        if not program:
            raise ClientFault(
                "No script is named. The hyperparameter sagemaker_program (or the variable SAGEMAKER_PROGRAM) says "
                "which file of the source directory to run; the SageMaker SDK calls it entry_point."
            )
        return str(program)

    @property
    def arguments(self) -> list[str]:
        """The script's hyperparameters, sorted by name: `--epochs 3 -b 2`."""
        return [
            part for name, value in sorted(self.hyperparameters.items()) for part in (_option(name), _argument(value))
        ]

    @property
    def hosts(self) -> list[str]:
        hosts: list[str] = self.resource_config.get("hosts", ["algo-1"])
        return hosts

    @property
    def current_host(self) -> str:
        return str(self.resource_config.get("current_host", "algo-1"))

    @property
    def gpus(self) -> int:
        """As many as `SM_NUM_GPUS` says."""
        return self._machine["num_gpus"]

    @property
    def log_level(self) -> int:
        return int(self.given.get("sagemaker_container_log_level", INFO))

    def to_variables(self) -> dict[str, str]:
        """All that the script finds in its environment beside what the container was started with."""
        training = self._training()
        told = {name: training[name] for name in _TOLD}
        told.update(
            hps=self.hyperparameters,
            framework_params=self.framework_parameters,
            channels=sorted(self.input_data_config),
            training_env=training,
            user_args=self.arguments,
        )
        told.update({f"channel_{name}": path for name, path in training["channel_input_dirs"].items()})
        told.update({f"hp_{name}": value for name, value in self.hyperparameters.items()})
        return {
            **{f"SM_{name.upper()}": _variable(value) for name, value in told.items()},
            "SAGEMAKER_JOB_NAME": str(self.given.get("sagemaker_job_name", "")),
            "SAGEMAKER_REGION": self._region,
            "CURRENT_HOST": self.current_host,
        }

    def _training(self) -> dict[str, Any]:
        """What `SM_TRAINING_ENV` holds."""
        return {**self._folders(), **self._script(), **self.cluster(), **self._machine}

    def _folders(self) -> dict[str, Any]:
        layout = self.layout
        return {
            "channel_input_dirs": {name: str(layout.channel(name)) for name in self.input_data_config},
            "input_dir": str(layout.config.parent),
            "input_config_dir": str(layout.config),
            "model_dir": str(layout.model),
            "output_dir": str(layout.output_data.parent),
            "output_data_dir": str(layout.output_data),
            "output_intermediate_dir": str(layout.intermediate),
        }

    def _script(self) -> dict[str, Any]:
        modelparallel = self.variables.get("SM_HP_MP_PARAMETERS")
        return {
            "additional_framework_parameters": self.framework_parameters,
            "framework_module": self.variables.get("SAGEMAKER_TRAINING_MODULE"),
            "hyperparameters": self.hyperparameters,
            "input_data_config": dict(self.input_data_config),
            "is_modelparallel_enabled": modelparallel and modelparallel != "{}",
            "job_name": self.variables.get("TRAINING_JOB_NAME"),
            "log_level": self.log_level,
            "module_dir": str(self.given.get("sagemaker_submit_directory", self.layout.code)),
            "module_name": module_name(self.entry_point),
            "user_entry_point": self.entry_point,
        }

    def cluster(self) -> dict[str, Any]:
        """Who is who among the hosts."""
        resource, groups = self.resource_config, self.resource_config.get("instance_groups", [])
        current = resource.get("current_group_name", _GROUP)
        by_name = {group["instance_group_name"]: group for group in groups}
        distributed = self.framework_parameters.get("sagemaker_distribution_instance_groups") or (
            [current] if any(self.framework_parameters.get(name) for name in _DISTRIBUTIONS) else []
        )
        spread = [host for name, group in by_name.items() if name in distributed for host in group["hosts"]]
        spread = spread if groups else list(self.hosts)
        master = (spread or self.hosts)[0]
        return {
            "current_host": self.current_host,
            "current_instance_group": current,
            "current_instance_group_hosts": by_name.get(current, {}).get("hosts", []),
            "current_instance_type": resource.get("current_instance_type", "local"),
            "distribution_hosts": spread,
            "distribution_instance_groups": distributed,
            "hosts": self.hosts,
            "instance_groups": list(by_name),
            "instance_groups_dict": by_name,
            "is_hetero": len(by_name) > 1,
            "is_master": self.current_host == master,
            "master_hostname": master,
            "network_interface_name": resource.get("network_interface_name", "eth0"),
            "resource_config": dict(resource),
        }

    @cached_property
    def _machine(self) -> dict[str, int]:
        return {"num_cpus": len(os.sched_getaffinity(0)), "num_gpus": gpus(), "num_neurons": 0}

    @property
    def _region(self) -> str:
        here = self.variables.get("AWS_REGION") or self.variables.get("AWS_DEFAULT_REGION") or ""
        return str(self.given.get("sagemaker_region") or here)


_TOLD = (
    "hosts",
    "network_interface_name",
    "user_entry_point",
    "resource_config",
    "input_data_config",
    "output_data_dir",
    "current_host",
    "current_instance_type",
    "current_instance_group",
    "current_instance_group_hosts",
    "instance_groups",
    "instance_groups_dict",
    "distribution_instance_groups",
    "is_hetero",
    "module_name",
    "log_level",
    "framework_module",
    "input_dir",
    "input_config_dir",
    "output_dir",
    "num_cpus",
    "num_gpus",
    "num_neurons",
    "model_dir",
    "module_dir",
    "output_intermediate_dir",
)
"""What of the training environment has a variable of its own."""


def module_name(program: str) -> str:
    return program[: -len(".py")] if program.endswith(".py") else program


def gpus() -> int:
    """As the toolkit counts them, and with it every script that divides by `SM_NUM_GPUS`."""
    try:
        listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines()) if listed.returncode == 0 else 0


def _loaded(text: str) -> Any:
    """SDKs' framework estimators send JSON, others bare text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _is_ours(name: str) -> bool:
    return name.startswith(PREFIX) or name in _OWN


def _option(name: str) -> str:
    return f"-{name}" if len(name) == 1 else f"--{name}" if name else ""


def _argument(value: Any) -> str:
    if isinstance(value, dict):
        return ",".join(f"{name}={inner}" for name, inner in sorted(value.items()))
    return "" if value is None else str(value)


def _variable(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
