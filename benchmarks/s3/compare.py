"""Groundfog's S3 beside moto's server, in one run: python benchmarks/s3/compare.py"""

import argparse
import contextlib
import hashlib
import http.client
import os
import re
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

ROOT = Path(__file__).parents[2]
MIB = 1 << 20
BUCKET = "benchmark"
BODY = b"x" * 1024


@dataclass
class Peer:
    """A server to be measured. `{port}` and `{home}` in its command are filled in."""

    name: str
    command: str
    health: str
    measures: dict[str, float] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None
    port: int = 0
    keys: dict[str, str] = field(default_factory=dict)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        with tempfile.TemporaryDirectory() as home:
            command = shlex.split(self.command.format(port=self.port, home=home))
            began = time.perf_counter()
            self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                self._wait_until_healthy()
                self.measures["start-up, s"] = time.perf_counter() - began
                self.keys = _keys(home)
                yield
            finally:
                self.process.kill()
                self.process.wait()

    def client(self) -> Any:
        config = Config(retries={"max_attempts": 0}, signature_version="s3v4", max_pool_connections=16)
        return boto3.client("s3", endpoint_url=f"http://127.0.0.1:{self.port}", config=config, **self.keys)

    @property
    def memory(self) -> float:
        """Resident now, in MiB."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) / 1024

    @property
    def seconds_of_cpu(self) -> float:
        """That the server used so far, in itself and in the kernel: a measure that a busy machine does not spoil."""
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def peak_memory(self) -> float:
        assert self.process is not None
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{self.process.pid}/status").read_text())
        assert found is not None
        return int(found[1]) / 1024

    def _wait_until_healthy(self) -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                connection.request("GET", self.health)
                if connection.getresponse().status == 200:
                    connection.close()
                    return
            time.sleep(0.005)
        raise SystemExit(f"{self.name} did not start: {self.command}")


def main() -> None:
    asked = _arguments()
    ours = Peer("groundfog", asked.ours, "/health")
    theirs = Peer("moto", asked.theirs, "/moto-api/")
    for peer in (ours, theirs):
        with peer.running():
            measure(peer, asked.count, asked.large * MIB)
    show(ours, theirs)


def measure(peer: Peer, count: int, large: int) -> None:
    s3, found = peer.client(), peer.measures
    s3.create_bucket(Bucket=BUCKET)
    found["memory at rest, MiB"] = peer.memory
    for threads in (1, 8):
        keys = [f"{threads}/{number:06}" for number in range(count)]
        for name in ("put", "get"):
            before = peer.seconds_of_cpu
            found[f"small {name}/s, {threads} threads"] = count / send_all(s3, f"{name}_object", keys, threads)
            found[f"CPU per {name}, {threads} threads, ms"] = 1000 * (peer.seconds_of_cpu - before) / count
    found["boto3 put/s"] = count / 4 / timed(lambda: [_put(s3, n) for n in range(count // 4)])
    found["boto3 get/s"] = count / 4 / timed(lambda: [_get(s3, n) for n in range(count // 4)])
    listed = 0

    def list_all() -> None:
        nonlocal listed
        listed = sum(page["KeyCount"] for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET))

    seconds = timed(list_all)
    found["keys listed/s"] = listed / seconds
    found["delimiter listing, ms"] = 1000 * timed(lambda: s3.list_objects_v2(Bucket=BUCKET, Delimiter="/"))
    with tempfile.TemporaryFile() as body:
        for _ in range(large // MIB):
            body.write(os.urandom(MIB))
        body.seek(0)
        found["large put, MiB/s"] = large / MIB / timed(lambda: s3.put_object(Bucket=BUCKET, Key="large", Body=body))
    found["large get, MiB/s"] = large / MIB / timed(lambda: _read(s3))
    found["peak memory, MiB"] = peer.peak_memory


def send_all(s3: Any, operation: str, keys: list[str], threads: int) -> float:
    urls = [s3.generate_presigned_url(operation, {"Bucket": BUCKET, "Key": key}) for key in keys]
    method, body = ("PUT", BODY) if operation == "put_object" else ("GET", None)
    shares = [urls[start::threads] for start in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        return timed(lambda: list(pool.map(lambda share: _send(share, method, body), shares)))


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def show(ours: Peer, theirs: Peer) -> None:
    print(f"{'':28}{ours.name:>12}{theirs.name:>12}{'ratio':>8}")
    for name, value in ours.measures.items():
        other = theirs.measures[name]
        less_is_better = name.endswith((", s", "MiB", ", ms"))
        ratio = other / value if less_is_better else value / other
        print(f"{name:28}{value:12,.2f}{other:12,.2f}{ratio:8.2f}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ours", default=f"{sys.executable} -m groundfog serve --home {{home}} --port {{port}}")
    parser.add_argument("--theirs", default=f"{ROOT}/.clients/moto/bin/moto_server -H 127.0.0.1 -p {{port}}")
    parser.add_argument("--count", type=int, default=2000, help="small objects for each row")
    parser.add_argument("--large", type=int, default=256, help="MiB of the large object")
    return parser.parse_args()


def _keys(home: str) -> dict[str, str]:
    """Groundfog's key pair, as `groundfog env` says it; moto takes any."""
    printed = subprocess.run(
        [sys.executable, "-m", "groundfog", "env", "--home", home], capture_output=True, text=True, check=False
    ).stdout
    values = dict(line.removeprefix("export ").partition("=")[::2] for line in printed.splitlines())
    return {
        "aws_access_key_id": values.get("AWS_ACCESS_KEY_ID", "benchmark"),
        "aws_secret_access_key": values.get("AWS_SECRET_ACCESS_KEY", "benchmark"),
        "region_name": "us-east-1",
    }


def _send(urls: list[str], method: str, body: bytes | None) -> None:
    connection = http.client.HTTPConnection(urlsplit(urls[0]).netloc, timeout=60)
    with contextlib.closing(connection):
        for url in urls:
            connection.request(method, url[url.index("/", 8) :], body)
            answer = connection.getresponse()
            read = answer.read()
            if answer.status != 200 or (method == "GET" and read != BODY):
                raise SystemExit(f"{method} {url}: {answer.status} {read[:500]!r}")


def _put(s3: Any, number: int) -> None:
    s3.put_object(Bucket=BUCKET, Key=f"boto3/{number}", Body=BODY)


def _get(s3: Any, number: int) -> None:
    assert s3.get_object(Bucket=BUCKET, Key=f"boto3/{number}")["Body"].read() == BODY


def _read(s3: Any) -> None:
    got = s3.get_object(Bucket=BUCKET, Key="large")
    digest = hashlib.md5(usedforsecurity=False)
    for block in got["Body"].iter_chunks(MIB):
        digest.update(block)
    assert got["ETag"] == f'"{digest.hexdigest()}"'


if __name__ == "__main__":
    main()
