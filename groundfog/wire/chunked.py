"""Bodies that stream: aws-chunked framing taken off, checksums and signatures verified on the way."""

import base64
import binascii
import hashlib
import hmac
import re
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Protocol

import anycrc

from groundfog.wire.refusal import Refusal
from groundfog.wire.request import Request
from groundfog.wire.sign import Signed

_LINE_LIMIT = 4096
_TRAILER_LIMIT = 16384
_SIZE = re.compile(rb"[0-9a-fA-F]{1,16}")
_EMPTY_SHA256 = hashlib.sha256().hexdigest()


class Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def digest(self) -> bytes: ...


class Crc:
    """A CRC with the manners of hashlib. `size` is in bytes."""

    def __init__(self, extend: Callable[[bytes, int], int], size: int) -> None:
        self._extend, self._size, self._value = extend, size, 0

    def update(self, data: bytes, /) -> None:
        self._value = self._extend(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


_CRC32C, _CRC64NVME = anycrc.Model("CRC32C"), anycrc.Model("CRC64-NVME")
ALGORITHMS: dict[str, Callable[[], Hash]] = {
    "crc32": lambda: Crc(zlib.crc32, 4),
    "crc32c": lambda: Crc(_CRC32C.calc, 4),
    "crc64nvme": lambda: Crc(_CRC64NVME.calc, 8),
    "sha1": lambda: hashlib.sha1(usedforsecurity=False),
    "sha256": hashlib.sha256,
    "sha512": hashlib.sha512,
    "md5": lambda: hashlib.md5(usedforsecurity=False),
}
_PREFIX = "x-amz-checksum-"
_NOT_ALGORITHMS = {"x-amz-checksum-algorithm", "x-amz-checksum-mode", "x-amz-checksum-type"}


class Body:
    """An async iterator of the bytes that the client means; to be walked once.

    `length` is the number of bytes, if the client said so. `checksums` holds, after the end, what the client declared
    and we found to be true: base64 by algorithm. A promise that is not kept raises a Refusal at the end.
    """

    def __init__(
        self, source: AsyncIterator[bytes], length: int | None = None, trailers: Mapping[str, str] | None = None
    ) -> None:
        self.length = length
        self.checksums: dict[str, str] = {}
        self.trailers = {} if trailers is None else trailers
        self._source = source
        self._checks: list[tuple[Hash, Callable[[bytes], None]]] = []

    def promise(self, hasher: Hash, settle: Callable[[bytes], None]) -> None:
        """Have `settle` judge the digest when all bytes are through."""
        self._checks.append((hasher, settle))

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._verified()

    async def read(self, limit: int) -> bytes:
        if self.length is not None and self.length > limit:
            raise _too_large()
        parts, size = [], 0
        async for part in self:
            size += len(part)
            if size > limit:
                raise _too_large()
            parts.append(part)
        return b"".join(parts)

    async def _verified(self) -> AsyncIterator[bytes]:
        size = 0
        async for part in self._source:
            size += len(part)
            if self.length is not None and size > self.length:
                break
            for hasher, _ in self._checks:
                hasher.update(part)
            yield part
        if self.length is not None and size != self.length:
            raise Refusal(
                "IncompleteBody",
                "You did not provide the number of bytes specified by the Content-Length HTTP header",
                400,
            )
        for hasher, settle in self._checks:
            settle(hasher.digest())


def unwrap(request: Request, signed: Signed, *, checksums: bool = True) -> Body:
    """The body of this request, ready to be walked. Without `checksums`, those in headers are about something else."""
    declared = signed.payload_hash
    if declared.startswith("STREAMING-"):
        body = _framed(request, signed, declared)
    else:
        body = Body(request.stream(), request.length)
        if declared != "UNSIGNED-PAYLOAD":
            body.promise(hashlib.sha256(), _sha256_of(declared))
    _promise_md5(body, request.headers)
    _promise_checksum(body, request.headers, checksums)
    return body


def _framed(request: Request, signed: Signed, declared: str) -> Body:
    is_signed = declared.startswith("STREAMING-AWS4-HMAC")
    if declared not in _FRAMINGS or (is_signed and not signed.signing_key):
        raise Refusal(
            "NotImplemented",
            "A header you provided implies functionality that is not implemented",
            501,
            Header="x-amz-content-sha256",
        )
    length = request.headers.get("x-amz-decoded-content-length", "")
    if not (length.isascii() and length.isdigit()):
        raise Refusal("MissingContentLength", "You must provide the Content-Length HTTP header.", 411)
    chain = Chain(signed) if is_signed else None
    trailers: dict[str, str] = {}
    return Body(frames(request.stream(), chain, trailers), int(length), trailers)


_FRAMINGS = {
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
}


class Chain:
    """Each chunk is signed over the signature of the one before, the first over the request's own."""

    def __init__(self, signed: Signed) -> None:
        self._key, self._when, self._scope = signed.signing_key, signed.when, signed.scope
        self._previous = signed.signature

    def check(self, signature: str, kind: str, *hashes: str) -> None:
        said = "\n".join([f"AWS4-HMAC-SHA256-{kind}", self._when, self._scope, self._previous, *hashes])
        expected = hmac.new(self._key, said.encode(), "sha256").hexdigest()
        if not hmac.compare_digest(expected.encode(), signature.encode()):
            raise Refusal(
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided. "
                "Check your key and signing method.",
                403,
            )
        self._previous = expected


async def frames(source: AsyncIterator[bytes], chain: Chain | None, trailers: dict[str, str]) -> AsyncIterator[bytes]:
    """Chunks without their framing; what trails them is put into `trailers`."""
    held = Held(source)
    size = -1
    while size:
        size, signature = _chunk_header(await held.line())
        hasher, left = hashlib.sha256(), size
        while left:
            part = await held.some(left)
            left -= len(part)
            if chain:
                hasher.update(part)
            yield part
        if chain:
            chain.check(signature, "PAYLOAD", _EMPTY_SHA256, hasher.hexdigest())
        if size and await held.line():
            raise _bad_framing()
    trailers.update(_trailers(await held.rest(), chain))


class Held:
    """Bytes that arrived, and how many of them are used: they are not moved for every frame."""

    def __init__(self, source: AsyncIterator[bytes]) -> None:
        self._source, self._bytes, self._used = source, b"", 0

    async def line(self) -> bytes:
        while (end := self._bytes.find(b"\n", self._used)) < 0:
            if len(self._bytes) - self._used > _LINE_LIMIT or not await self._more():
                raise _bad_framing()
        line, self._used = self._bytes[self._used : end], end + 1
        return line.removesuffix(b"\r")

    async def some(self, limit: int) -> bytes:
        if self._used == len(self._bytes) and not await self._more():
            raise _bad_framing()
        part = self._bytes[self._used : self._used + limit]
        self._used += len(part)
        return part

    async def rest(self) -> bytes:
        while len(self._bytes) - self._used <= _TRAILER_LIMIT:
            if not await self._more():
                return self._bytes[self._used :]
        raise _bad_framing()

    async def _more(self) -> bool:
        part = await anext(self._source, b"")
        self._bytes, self._used = self._bytes[self._used :] + part, 0
        return bool(part)


def _chunk_header(line: bytes) -> tuple[int, str]:
    size, _, extension = line.partition(b";")
    if not _SIZE.fullmatch(size):
        raise _bad_framing()
    name, _, value = extension.partition(b"=")
    return int(size, 16), value.decode("latin-1") if name == b"chunk-signature" else ""


def _trailers(raw: bytes, chain: Chain | None) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for line in raw.replace(b"\r", b"\n").split(b"\n"):
        if line:
            name, colon, value = line.decode("latin-1").partition(":")
            if not colon:
                raise _bad_framing()
            found[name.strip().lower()] = value.strip()
    signature = found.pop("x-amz-trailer-signature", None)
    if chain and (found or signature is not None):
        said = "".join(f"{name}:{value}\n" for name, value in sorted(found.items()))
        chain.check(signature or "", "TRAILER", hashlib.sha256(said.encode("latin-1")).hexdigest())
    return found


def _promise_md5(body: Body, headers: Mapping[str, str]) -> None:
    declared = headers.get("content-md5")
    if declared is None:
        return
    expected = _decoded(declared, 16)
    if expected is None:
        raise Refusal("InvalidDigest", "The Content-MD5 you specified was invalid.", 400)

    def settle(found: bytes) -> None:
        if not hmac.compare_digest(found, expected):
            raise Refusal(
                "BadDigest",
                "The Content-MD5 you specified did not match what we received.",
                400,
                ExpectedDigest=declared,
                CalculatedDigest=base64.b64encode(found).decode(),
            )

    body.promise(hashlib.md5(usedforsecurity=False), settle)


def _promise_checksum(body: Body, headers: Mapping[str, str], in_headers: bool) -> None:
    trailing = {name.strip().lower() for name in headers.get("x-amz-trailer", "").split(",") if name.strip()}
    leading = {name for name in headers if name.startswith(_PREFIX)} - _NOT_ALGORITHMS if in_headers else set()
    names = leading | trailing
    if len(names) > 1:
        raise Refusal(
            "InvalidRequest",
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
            400,
        )
    for name in names:
        algorithm = name.removeprefix(_PREFIX)
        if algorithm not in ALGORITHMS:
            raise Refusal(
                "NotImplemented",
                "A header you provided implies functionality that is not implemented",
                501,
                Header=name,
            )
        hasher = ALGORITHMS[algorithm]()
        if name in headers and _decoded(headers[name], len(hasher.digest())) is None:
            raise _invalid_checksum(name)
        body.promise(hasher, _checksum_of(body, algorithm, headers.get(name)))


def _checksum_of(body: Body, algorithm: str, declared: str | None) -> Callable[[bytes], None]:
    name = _PREFIX + algorithm

    def settle(found: bytes) -> None:
        value = declared if declared is not None else body.trailers.get(name)
        if value is None:
            raise Refusal("MalformedTrailerError", "The request contained trailing data that was not well-formed", 400)
        expected = _decoded(value, len(found))
        if expected is None:
            raise _invalid_checksum(name)
        if not hmac.compare_digest(found, expected):
            raise Refusal(
                "BadDigest", f"The {algorithm.upper()} you specified did not match the calculated checksum.", 400
            )
        body.checksums[algorithm] = value

    return settle


def _sha256_of(declared: str) -> Callable[[bytes], None]:
    if not re.fullmatch(r"[0-9a-f]{64}", declared):
        text = "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-..., or a valid sha256 value."
        raise Refusal("InvalidArgument", text, 400, ArgumentName="x-amz-content-sha256", ArgumentValue=declared)

    def settle(found: bytes) -> None:
        if not hmac.compare_digest(found.hex(), declared):
            raise Refusal(
                "XAmzContentSHA256Mismatch",
                "The provided 'x-amz-content-sha256' header does not match what was computed.",
                400,
                ClientComputedContentSHA256=declared,
                S3ComputedContentSHA256=found.hex(),
            )

    return settle


def _decoded(text: str, length: int) -> bytes | None:
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return value if len(value) == length else None


def _invalid_checksum(name: str) -> Refusal:
    return Refusal("InvalidRequest", f"Value for {name} header is invalid.", 400)


def _too_large() -> Refusal:
    return Refusal("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size", 400)


def _bad_framing() -> Refusal:
    return Refusal("IncompleteBody", "The request body terminated unexpectedly", 400)
