"""A real server in a process of its own, real clients in ours, and patience."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config


@dataclass
class Server:
    """`groundfog serve` over `home`, on a free port that stays the same when it starts again."""

    home: Path
    options: tuple[str, ...] = ()
    port: int = 0
    command: tuple[str, ...] = (sys.executable, "-m", "groundfog", "serve")
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> "Server":
        self.process = subprocess.Popen(
            [*self.command, "--home", str(self.home), "--port", str(self.port), *self.options],
            stdout=subprocess.DEVNULL,
        )
        wait_until(self._answers, "the server did not start")
        self.port = int(self.url.rpartition(":")[2])
        return self

    def kill(self) -> None:
        """-9, as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    @property
    def url(self) -> str:
        return str(json.loads((self.home / "server.json").read_text())["url"])

    @property
    def environment(self) -> dict[str, str]:
        """What `groundfog env` prints, for clients in other processes."""
        printed = subprocess.run(
            [sys.executable, "-m", "groundfog", "env", "--home", str(self.home)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        exports = (line.removeprefix("export ") for line in printed.splitlines() if line.startswith("export "))
        return os.environ | dict(export.split("=", 1) for export in exports)

    def client(self, service: str, **config: Any) -> Any:
        """A boto3 client, as `eval $(groundfog env)` would make it."""
        given = self.environment
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=given["AWS_REGION"],
            aws_access_key_id=given["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"max_attempts": 0}, **config),
        )

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the server ended with {self.process.returncode}"
        try:
            if json.loads((self.home / "server.json").read_text())["pid"] != self.process.pid:
                return False
            with urllib.request.urlopen(f"{self.url}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except (OSError, ValueError):
            return False

    def _end(self, how: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(timeout=20)


def messages(logs: Any, group: str, prefix: str) -> list[list[str]]:
    """What each stream says whose name begins so, in the order of the names; nothing as long as nobody has logged."""
    try:
        streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=prefix)["logStreams"]
    except logs.exceptions.ResourceNotFoundException:
        return []
    names = [stream["logStreamName"] for stream in streams]
    pages = [logs.get_log_events(logGroupName=group, logStreamName=name, startFromHead=True) for name in names]
    return [[event["message"] for event in page["events"]] for page in pages]


def wait_until(true: Callable[[], Any], otherwise: str, seconds: float = 30.0) -> Any:
    """What `true` returns as soon as it is truthy; fails with `otherwise` when the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if result := true():
            return result
        time.sleep(0.02)
    pytest.fail(f"{otherwise} within {seconds:.0f} s")
