"""A store on another machine, asked through its own S3 as any client asks it.

What is fetched goes on where it broke off, so that a server may restart while its nodes fetch.
"""

import io
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.session import get_session

from groundfog.engine.errors import Missing

T = TypeVar("T")
_PATIENCE = 600.0
"""Seconds to wait for a server that does not answer."""
_PIECE = 1 << 20


@dataclass(frozen=True)
class Remote:
    """An object, as far as channels want to know."""

    bucket: str
    key: str
    size: int
    etag: str


class RemoteStore:
    """`where`: url, region, access_key, secret, token."""

    def __init__(self, where: Mapping[str, str]) -> None:
        self._client: Any = get_session().create_client(
            "s3",
            region_name=where["region"],
            endpoint_url=where["url"],
            aws_access_key_id=where["access_key"],
            aws_secret_access_key=where["secret"],
            aws_session_token=where["token"] or None,
            config=Config(
                s3={"addressing_style": "path"},
                retries={"mode": "standard", "total_max_attempts": 2},
                max_pool_connections=32,
                proxies={},
                response_checksum_validation="when_required",
            ),
        )

    def page(self, bucket: str, prefix: str = "", after: str = "", limit: int = 1000) -> Sequence[Remote]:
        asked = {"Bucket": bucket, "Prefix": prefix, "StartAfter": after, "MaxKeys": limit}
        answer = _patiently(lambda: self._client.list_objects_v2(**asked))
        return [Remote(bucket, one["Key"], one["Size"], one["ETag"]) for one in answer.get("Contents", ())]

    def find(self, bucket: str, key: str) -> Remote:
        head = _patiently(lambda: self._client.head_object(Bucket=bucket, Key=key))
        return Remote(bucket, key, head["ContentLength"], head["ETag"])

    def open(self, bucket: str, key: str) -> tuple[Remote, BinaryIO]:
        found = self.find(bucket, key)
        return found, io.BufferedReader(_Bytes(self._client, found), _PIECE)

    def fetch(self, item: Remote, file: Path, *, link: bool = False) -> None:
        with file.open("wb") as out, _Bytes(self._client, item) as body:
            while piece := body.read(_PIECE):
                out.write(piece)


class _Bytes(io.RawIOBase):
    """Of one object, as it was when it was found: if it is replaced while it is read, it is missing."""

    def __init__(self, client: Any, item: Remote) -> None:
        self._client, self._item = client, item
        self._at = 0
        self._body: Any = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._at >= self._item.size:
            return 0
        piece: bytes = _patiently(lambda: self._some(len(buffer)))
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def close(self) -> None:
        self._hang_up()
        super().close()

    def _some(self, most: int) -> bytes:
        try:
            if self._body is None:
                self._body = self._ask()
            piece: bytes = self._body.read(most)
        except BaseException:
            self._hang_up()
            raise
        if not piece:
            self._hang_up()
            raise ConnectionError("the answer ended too early")
        return piece

    def _ask(self) -> Any:
        item = self._item
        return self._client.get_object(
            Bucket=item.bucket, Key=item.key, IfMatch=item.etag, Range=f"bytes={self._at}-{item.size - 1}"
        )["Body"]

    def _hang_up(self) -> None:
        if self._body is not None:
            self._body.close()
        self._body = None


def _patiently(ask: Callable[[], T]) -> T:
    """Raises Missing. A server that does not answer may be about to start again."""
    end, pause = time.monotonic() + _PATIENCE, 0.1
    while True:
        try:
            return ask()
        except ClientError as refusal:
            if refusal.response["ResponseMetadata"]["HTTPStatusCode"] in (404, 412):
                raise Missing(str(refusal)) from None
            if refusal.response["ResponseMetadata"]["HTTPStatusCode"] < 500 or time.monotonic() > end:
                raise
        except (HTTPClientError, BotoCoreError, OSError):
            if time.monotonic() > end:
                raise
        threading.Event().wait(pause)
        pause = min(2 * pause, 5.0)
