"""Framed bodies: what botocore frames we unframe, what nobody should frame we refuse."""

import asyncio
import base64
import hashlib
import hmac
import io
import zlib
from collections.abc import AsyncIterator
from typing import Any

import anycrc
import pytest
from botocore.httpchecksum import AwsChunkedWrapper, Crc32Checksum
from hypothesis import given, settings
from hypothesis import strategies as st

from groundfog.wire.chunked import ALGORITHMS, Body, frames, unwrap
from groundfog.wire.refusal import Refusal
from groundfog.wire.request import Request
from groundfog.wire.sign import Signed

KEY = b"signing key"
SIGNED = Signed(
    access_key="a",
    identity="i",
    region="r",
    signature="0" * 64,
    payload_hash="STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    when="20240517T093000Z",
    scope="20240517/r/s3/aws4_request",
    signing_key=KEY,
)
PIECES = st.lists(st.binary(min_size=1, max_size=300), max_size=8)


async def _cut(raw: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(raw), size):
        yield raw[start : start + size]


def _read(raw: bytes, headers: dict[str, str], hashed: str, size: int = 7, limit: int = 10**7) -> tuple[bytes, Body]:
    messages = [raw[start : start + size] for start in range(0, len(raw), size)] or [b""]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": messages.pop(0), "more_body": bool(messages)}

    sent = {"content-length": str(len(raw))} | headers
    encoded = [(name.encode(), value.encode()) for name, value in sent.items()]
    request = Request({"method": "PUT", "raw_path": b"/b/k", "query_string": b"", "headers": encoded}, receive)
    signed = Signed(**vars(SIGNED) | {"payload_hash": hashed})
    body = unwrap(request, signed)
    return asyncio.run(body.read(limit)), body


def _code(raw: bytes, headers: dict[str, str], hashed: str) -> str:
    with pytest.raises(Refusal) as refused:
        _read(raw, headers, hashed)
    return refused.value.code


@settings(deadline=None)
@given(data=st.binary(max_size=2000), chunk=st.integers(1, 600), cut=st.integers(1, 700))
def test_what_botocore_frames_is_read_back(data: bytes, chunk: int, cut: int) -> None:
    wrapper = AwsChunkedWrapper(
        io.BytesIO(data), checksum_cls=Crc32Checksum, checksum_name="x-amz-checksum-crc32", chunk_size=chunk
    )
    headers = {"x-amz-trailer": "x-amz-checksum-crc32", "x-amz-decoded-content-length": str(len(data))}
    found, body = _read(wrapper.read(), headers, "STREAMING-UNSIGNED-PAYLOAD-TRAILER", cut)
    assert found == data
    assert body.length == len(data)
    assert body.checksums == {"crc32": base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()}


def _sign(previous: str, kind: str, *hashes: str) -> str:
    said = "\n".join([f"AWS4-HMAC-SHA256-{kind}", SIGNED.when, SIGNED.scope, previous, *hashes])
    return hmac.new(KEY, said.encode(), "sha256").hexdigest()


def _signed_frames(pieces: list[bytes], trailer: str = "") -> bytes:
    """By AWS's document, written without a look at what reads it."""
    framed, previous, empty = b"", SIGNED.signature, hashlib.sha256(b"").hexdigest()
    for piece in [*pieces, b""]:
        previous = _sign(previous, "PAYLOAD", empty, hashlib.sha256(piece).hexdigest())
        framed += f"{len(piece):x};chunk-signature={previous}\r\n".encode() + piece + (b"\r\n" if piece else b"")
    if trailer:
        hashed = hashlib.sha256(f"{trailer}\n".encode()).hexdigest()
        framed += f"{trailer}\r\nx-amz-trailer-signature:{_sign(previous, 'TRAILER', hashed)}\r\n".encode()
    return framed + b"\r\n"


@given(pieces=PIECES, cut=st.integers(1, 500))
def test_signed_chunks_are_read_back(pieces: list[bytes], cut: int) -> None:
    data = b"".join(pieces)
    headers = {"x-amz-decoded-content-length": str(len(data))}
    assert _read(_signed_frames(pieces), headers, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", cut)[0] == data


@given(pieces=st.lists(st.binary(min_size=1, max_size=50), min_size=1, max_size=4), data=st.data())
def test_a_changed_byte_in_signed_chunks_is_refused(pieces: list[bytes], data: st.DataObject) -> None:
    framed = bytearray(_signed_frames(pieces))
    place = data.draw(st.integers(0, len(framed) - 3))
    framed[place] ^= data.draw(st.integers(1, 255))
    headers = {"x-amz-decoded-content-length": str(sum(map(len, pieces)))}
    try:
        found, _ = _read(bytes(framed), headers, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
    except Refusal as refusal:
        assert refusal.code in ("SignatureDoesNotMatch", "IncompleteBody")
    else:
        assert found == b"".join(pieces)  # a digit of a size in the other case, a blank for a line's end


@given(pieces=PIECES)
def test_a_signed_trailer_is_verified(pieces: list[bytes]) -> None:
    data, name = b"".join(pieces), "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
    checksum = base64.b64encode(anycrc.Model("CRC32C").calc(data).to_bytes(4, "big")).decode()
    framed = _signed_frames(pieces, f"x-amz-checksum-crc32c:{checksum}")
    headers = {"x-amz-trailer": "x-amz-checksum-crc32c", "x-amz-decoded-content-length": str(len(data))}
    found, body = _read(framed, headers, name)
    assert (found, body.checksums) == (data, {"crc32c": checksum})
    assert (
        _code(framed.replace(b"trailer-signature:", b"trailer-signature:0"), headers, name) == "SignatureDoesNotMatch"
    )


@pytest.mark.parametrize(
    ("framed", "code"),
    [
        (b"5\r\nhello\r\n0\r\n\r\n", None),
        (b"5\r\nhello\r\n0\r\n", None),
        (b"5\r\nhello\r\n", "IncompleteBody"),
        (b"5\r\nhel", "IncompleteBody"),
        (b"4\r\nhello\r\n0\r\n\r\n", "IncompleteBody"),
        (b"6\r\nhello\r\n0\r\n\r\n", "IncompleteBody"),
        (b"3\r\nhel\r\n0\r\n\r\n", "IncompleteBody"),
        (b"-5\r\nhello\r\n0\r\n\r\n", "IncompleteBody"),
        (b"0x5\r\nhello\r\n0\r\n\r\n", "IncompleteBody"),
        (b"5_0\r\nhello\r\n0\r\n\r\n", "IncompleteBody"),
        (b"\r\nhello\r\n0\r\n\r\n", "IncompleteBody"),
        (b"f" * 20 + b"\r\nhello", "IncompleteBody"),
        (b"ffffffffffffffff\r\nhello", "IncompleteBody"),
        (b"5;" + b"x" * 100_000, "IncompleteBody"),
        (b"5\r\nhello\r\n0\r\n" + b"a:b\r\n" * 10_000, "IncompleteBody"),
        (b"5\r\nhello\r\n0\r\nno colon\r\n\r\n", "IncompleteBody"),
        (b"", "IncompleteBody"),
    ],
)
def test_hostile_framing_is_refused(framed: bytes, code: str | None) -> None:
    headers, name = {"x-amz-decoded-content-length": "5"}, "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    if code is None:
        assert _read(framed, headers, name)[0] == b"hello"
    else:
        assert _code(framed, headers, name) == code


@given(raw=st.binary(max_size=200))
def test_framing_never_fails_in_any_other_way(raw: bytes) -> None:
    async def collect() -> bytes:
        return b"".join([part async for part in frames(_cut(raw, 5), None, {})])

    try:
        asyncio.run(collect())
    except Refusal as refusal:
        assert refusal.code == "IncompleteBody"


def test_framed_bodies_say_how_long_they_are() -> None:
    assert _code(b"0\r\n\r\n", {}, "STREAMING-UNSIGNED-PAYLOAD-TRAILER") == "MissingContentLength"
    assert _code(b"0\r\n\r\n", {"x-amz-decoded-content-length": "-1"}, "STREAMING-UNSIGNED-PAYLOAD-TRAILER") == (
        "MissingContentLength"
    )


def test_a_trailer_that_was_announced_must_come() -> None:
    headers = {"x-amz-trailer": "x-amz-checksum-sha256", "x-amz-decoded-content-length": "0"}
    assert _code(b"0\r\n\r\n", headers, "STREAMING-UNSIGNED-PAYLOAD-TRAILER") == "MalformedTrailerError"


@pytest.mark.parametrize(
    ("algorithm", "digest"), [("crc32", "cbf43926"), ("crc32c", "e3069283"), ("crc64nvme", "ae8b14860a799888")]
)
def test_checksums_are_those_that_the_catalogues_have(algorithm: str, digest: str) -> None:
    hasher = ALGORITHMS[algorithm]()
    hasher.update(b"1234")
    hasher.update(b"56789")
    assert hasher.digest().hex() == digest


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_checksums_in_headers_are_verified(algorithm: str) -> None:
    hasher = ALGORITHMS[algorithm]()
    hasher.update(b"hello")
    name, value = f"x-amz-checksum-{algorithm}", base64.b64encode(hasher.digest()).decode()
    assert _read(b"hello", {name: value}, "UNSIGNED-PAYLOAD")[1].checksums == {algorithm: value}
    assert _code(b"hellp", {name: value}, "UNSIGNED-PAYLOAD") == "BadDigest"
    assert _code(b"hello", {name: "!"}, "UNSIGNED-PAYLOAD") == "InvalidRequest"
    assert _code(b"hello", {name: "AAA="}, "UNSIGNED-PAYLOAD") == "InvalidRequest"


@pytest.mark.parametrize("algorithm", ["xxhash64", "xxhash3", "xxhash128"])
def test_checksums_that_we_cannot_compute_are_not_taken_on_trust(algorithm: str) -> None:
    assert _code(b"hello", {f"x-amz-checksum-{algorithm}": "AAAA"}, "UNSIGNED-PAYLOAD") == "NotImplemented"


def test_the_other_promises_are_kept_too() -> None:
    md5 = base64.b64encode(hashlib.md5(b"hello").digest()).decode()
    sha256 = hashlib.sha256(b"hello").hexdigest()
    assert _read(b"hello", {"content-md5": md5}, sha256)[0] == b"hello"
    assert _code(b"hellp", {"content-md5": md5}, "UNSIGNED-PAYLOAD") == "BadDigest"
    assert _code(b"hello", {"content-md5": "nonsense"}, "UNSIGNED-PAYLOAD") == "InvalidDigest"
    assert _code(b"hellp", {}, sha256) == "XAmzContentSHA256Mismatch"
    assert _code(b"hello", {}, "nonsense") == "InvalidArgument"
    assert _code(b"hello", {}, "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD") == "NotImplemented"
    two = {"x-amz-checksum-sha1": "a", "x-amz-checksum-sha256": "b"}
    assert _code(b"hello", two, "UNSIGNED-PAYLOAD") == "InvalidRequest"


def test_reading_stops_at_the_limit() -> None:
    with pytest.raises(Refusal, match="EntityTooLarge"):
        _read(b"hello", {}, "UNSIGNED-PAYLOAD", limit=4)
    with pytest.raises(Refusal, match="EntityTooLarge"):
        asyncio.run(Body(_cut(b"hello", 2)).read(4))
