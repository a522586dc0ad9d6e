"""A wire over toy services, served on a real socket by a real uvicorn in a thread of ours."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
import uvicorn
from botocore.config import Config

from groundfog.wire.app import Wire
from groundfog.wire.caller import Handlers, Key

ACCESS, SECRET = "AKIATOY", "toysecret"
IDENTITY = "arn:aws:sts::000000000000:assumed-role/toy/owner"


@dataclass
class Toys:
    """Keys by access key, and where the wire over them is served."""

    url: str = ""
    keys: dict[str, Key] = field(default_factory=lambda: {ACCESS: Key(secret=SECRET, identity=IDENTITY)})

    def find(self, access_key: str) -> Key | None:
        return self.keys.get(access_key)

    def client(self, service: str, access: str = ACCESS, secret: str = SECRET, **options: Any) -> Any:
        signature = options.pop("signature_version", None)
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="eu-west-1",
            aws_access_key_id=access,
            aws_secret_access_key=secret,
            config=Config(retries={"max_attempts": 0}, signature_version=signature, s3={"addressing_style": "path"}),
            **options,
        )


@contextmanager
def served(handlers: Handlers) -> Iterator[Toys]:
    toys = Toys()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        toys.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        config = uvicorn.Config(
            Wire(handlers, toys, "000000000000"), lifespan="off", log_config=None, http="httptools", ws="none"
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield toys
        finally:
            server.should_exit = True
            thread.join()
