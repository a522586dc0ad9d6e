"""`/opt/ml`: what a program finds around itself, and where it leaves what it made.

    /opt/ml/
    ├── input/config/hyperparameters.json   {"name": "value"}, every value a string
    ├── input/config/inputdataconfig.json   {"train": {"TrainingInputMode": "File", ...}}
    ├── input/config/resourceconfig.json    {"current_host": "algo-1", "hosts": ["algo-1"], ...}
    ├── input/config/checkpointconfig.json, tensorboardoutputconfig.json    as the request has them, if it does
    ├── input/data/<channel>/...            File mode: the objects below the channel's S3 prefix
    ├── input/data/<channel>_<epoch>        Pipe mode: a FIFO for each epoch, from 0, with all objects in a row
    ├── pipe_state/                         which epoch comes next, as `pipe.py` keeps it
    ├── model/                              becomes model.tar.gz; when serving: what model.tar.gz held
    ├── checkpoints/                        survives a stop and a new start
    ├── output/data/                        becomes output.tar.gz
    ├── output/failure                      why it failed: the first 1,024 characters are FailureReason
    ├── output/intermediate/, code/
    └── serve.sock                          a model server listens here

A processing job's program finds instead, and may write wherever it likes:

    ├── config/processingjobconfig.json     the request
    ├── config/resourceconfig.json          {"current_host": "algo-1", "hosts": ["algo-1"]}
    ├── processing/...                      what its request names: inputs, and folders for its outputs
    └── output/message                      a word at the end: the first 1,024 bytes are ExitMessage

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo.html
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Layout:
    root: Path

    @classmethod
    def here(cls) -> Layout:
        """Where this program was started: `/opt/ml`, or `SAGEMAKER_BASE_DIR` where that is no mount of its own."""
        return cls(Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml")))

    @property
    def config(self) -> Path:
        return self.root / "input" / "config"

    @property
    def data(self) -> Path:
        return self.root / "input" / "data"

    @property
    def model(self) -> Path:
        return self.root / "model"

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    @property
    def code(self) -> Path:
        return self.root / "code"

    @property
    def output_data(self) -> Path:
        return self.root / "output" / "data"

    @property
    def intermediate(self) -> Path:
        return self.root / "output" / "intermediate"

    @property
    def failure(self) -> Path:
        return self.root / "output" / "failure"

    @property
    def message(self) -> Path:
        return self.root / "output" / "message"

    @property
    def processing(self) -> Path:
        """Only there in a processing job."""
        return self.root / "processing"

    @property
    def socket(self) -> Path:
        return self.root / "serve.sock"

    @property
    def writable(self) -> tuple[Path, ...]:
        """What belongs to the program; `input` does not."""
        own = self.model, self.checkpoints, self.code, self.root / "output"
        return (*own, self.processing) if self.processing.exists() else own

    @property
    def readable(self) -> tuple[Path, ...]:
        """What it is told."""
        given, told = self.config.parent, self.root / "config"
        return (given, told) if told.exists() else (given,)

    @property
    def pipe_state(self) -> Path:
        return self.root / "pipe_state"

    def channel(self, name: str) -> Path:
        return self.data / name

    def fifo(self, channel: str, epoch: int) -> Path:
        return self.data / f"{channel}_{epoch}"

    def hyperparameters(self) -> dict[str, str]:
        return {str(name): str(value) for name, value in self._read("hyperparameters").items()}

    def input_data_config(self) -> dict[str, Any]:
        return self._read("inputdataconfig")

    def resource_config(self) -> dict[str, Any]:
        return self._read("resourceconfig")

    def lay_out(self) -> None:
        """Make the folders."""
        for folder in (
            self.config,
            self.data,
            self.model,
            self.checkpoints,
            self.code,
            self.output_data,
            self.intermediate,
        ):
            folder.mkdir(parents=True, exist_ok=True)

    def checkpoint_config(self) -> dict[str, Any]:
        """Empty where the job has no CheckpointConfig."""
        return self._read("checkpointconfig")

    def tensorboard_config(self) -> dict[str, Any]:
        """Empty where the job has no TensorBoardOutputConfig."""
        return self._read("tensorboardoutputconfig")

    def local(self, path: str) -> Path:
        """A path as a request names it, where this program finds it: what lies below `/opt/ml` may lie elsewhere."""
        return self.root / path.removeprefix("/opt/ml/") if path.startswith("/opt/ml/") else Path(path)

    def configure(
        self,
        hyperparameters: dict[str, str],
        input_data_config: dict[str, Any],
        resource_config: dict[str, Any],
        further: dict[str, dict[str, Any]] | None = None,
    ) -> None:
        """Write the three files of `input/config`, and further ones by name."""
        self._write("hyperparameters", hyperparameters)
        self._write("inputdataconfig", input_data_config)
        self._write("resourceconfig", resource_config)
        for name, document in (further or {}).items():
            self._write(name, document)

    def configure_processing(self, job_config: dict[str, Any], resource_config: dict[str, Any]) -> None:
        """Write the two files of `config`, which a processing job has in place of those of `input/config`."""
        folder = self.root / "config"
        folder.mkdir(exist_ok=True)
        (folder / "processingjobconfig.json").write_text(json.dumps(job_config, indent=2))
        (folder / "resourceconfig.json").write_text(json.dumps(resource_config, indent=2))
        self.processing.mkdir(exist_ok=True)

    def _read(self, name: str) -> dict[str, Any]:
        file = self.config / f"{name}.json"
        if not file.exists():
            return {}
        read = json.loads(file.read_text())
        if not isinstance(read, dict):
            raise ValueError(f"{file} holds no JSON object")
        return read

    def _write(self, name: str, document: dict[str, Any]) -> None:
        (self.config / f"{name}.json").write_text(json.dumps(document, indent=2))
