"""Who asks: SigV4 in headers and in presigned URLs, and the SigV2 query form that boto3 still makes for S3."""

import base64
import datetime
import functools
import hashlib
import hmac
import re
import time
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

from groundfog.wire.caller import Key, Keys
from groundfog.wire.denials import S3, Denials, Evidence
from groundfog.wire.request import Request

_SKEW = 15 * 60
_LONGEST = 7 * 24 * 3600
_TOO_LONG = (
    "X-Amz-Expires must be less than a week (in seconds); "
    f"that is, the given X-Amz-Expires must be less than {_LONGEST} seconds"
)
_ALGORITHM = "AWS4-HMAC-SHA256"
_DATE = re.compile(r"\d{8}T\d{6}Z", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Signed:
    """A signature that was found to be right, and what chunks of the body are signed with."""

    access_key: str
    identity: str
    region: str
    signature: str
    payload_hash: str = "UNSIGNED-PAYLOAD"
    when: str = ""
    scope: str = ""
    signing_key: bytes = b""


class Claim(NamedTuple):
    """What a request says about its own signature, not believed yet."""

    access_key: str
    date: str
    region: str
    service: str
    headers: tuple[str, ...]
    signature: str
    when: str
    token: str | None
    expires: int | None = None

    @property
    def scope(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


def scope_of(request: Request) -> tuple[str, str] | None:
    """Region and service that the signature names, unverified: enough to know in whose words to answer."""
    credential = _CREDENTIAL.search(request.headers.get("authorization", "")) or _CREDENTIAL.search(
        "Credential=" + _first(request, "X-Amz-Credential")
    )
    return (credential["region"], credential["service"]) if credential else None


async def verify(request: Request, keys: Keys, denials: Denials, now: float | None = None) -> Signed:
    """Whatever is not signed as it should be is refused, in the words of the service that was meant."""
    now = time.time() if now is None else now
    if "AWSAccessKeyId" in request.query and denials is S3:
        return _verify_v2(request, keys, now)
    claim = _presigned(request, denials) if "X-Amz-Algorithm" in request.query else _claimed(request, denials)
    _check_time(claim, now, denials)
    key = _find(keys, claim.access_key, claim.token, now, denials)
    payload_hash = await _payload_hash(request, claim)
    signing_key = _signing_key(key.secret, claim.date, claim.region, claim.service)
    _check(request, claim, signing_key, payload_hash, denials)
    return Signed(
        access_key=claim.access_key,
        identity=key.identity,
        region=claim.region,
        signature=claim.signature,
        payload_hash=payload_hash,
        when=claim.when,
        scope=claim.scope,
        signing_key=signing_key,
    )


_CREDENTIAL = re.compile(
    r"Credential=(?P<key>[^/,\s]+)/(?P<date>\d{8})/(?P<region>[^/,\s]+)/(?P<service>[^/,\s]+)/aws4_request(?![^,\s])",
    re.ASCII,
)
_SIGNED_HEADERS = re.compile(r"SignedHeaders=([^,\s]+)")
_SIGNATURE = re.compile(r"Signature=([0-9a-f]{64})(?![^,\s])")


def _claimed(request: Request, denials: Denials) -> Claim:
    """From the Authorization header."""
    header = request.headers.get("authorization")
    if not header:
        raise denials.missing()
    credential, names, signature = (p.search(header) for p in (_CREDENTIAL, _SIGNED_HEADERS, _SIGNATURE))
    if not header.startswith(_ALGORITHM):
        raise denials.malformed(f"the algorithm must be {_ALGORITHM}.")
    if not (credential and names and signature):
        raise denials.malformed(
            "it must name Credential (KEY/DATE/REGION/SERVICE/aws4_request), SignedHeaders, Signature."
        )
    when = request.headers.get("x-amz-date") or _from_http_date(request.headers.get("date", ""))
    return Claim(
        credential["key"],
        credential["date"],
        credential["region"],
        credential["service"],
        tuple(names[1].lower().split(";")),
        signature[1],
        when,
        request.headers.get("x-amz-security-token"),
    )


def _presigned(request: Request, denials: Denials) -> Claim:
    """From the query string."""
    credential = _CREDENTIAL.fullmatch("Credential=" + _first(request, "X-Amz-Credential"))
    signature = re.fullmatch(r"[0-9a-f]{64}", _first(request, "X-Amz-Signature"))
    expires = _first(request, "X-Amz-Expires")
    if _first(request, "X-Amz-Algorithm") != _ALGORITHM or not (credential and signature):
        raise denials.malformed_query(
            "Query-string authentication needs X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature."
        )
    if not re.fullmatch(r"\d{1,7}", expires, re.ASCII) or int(expires) > _LONGEST:
        raise denials.malformed_query(_TOO_LONG)
    return Claim(
        credential["key"],
        credential["date"],
        credential["region"],
        credential["service"],
        tuple(_first(request, "X-Amz-SignedHeaders").lower().split(";")),
        signature[0],
        _first(request, "X-Amz-Date"),
        _first(request, "X-Amz-Security-Token") or None,
        int(expires),
    )


def _check_time(claim: Claim, now: float, denials: Denials) -> None:
    said = _seconds(claim.when)
    if said is None:
        raise denials.undated()
    if not claim.when.startswith(claim.date):
        raise denials.wrong_scope(
            f"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{claim.date}' != '{claim.when[:8]}', from '{claim.when}'."
        )
    if said > now + _SKEW:
        raise denials.too_new(claim.when, stamp(now), stamp(now + _SKEW))
    if claim.expires is None and said < now - _SKEW:
        raise denials.too_old(claim.when, stamp(now), stamp(now - _SKEW))
    if claim.expires is not None and said + claim.expires < now:
        raise denials.past(stamp(said + claim.expires), stamp(now), claim.expires)


def _find(keys: Keys, access_key: str, token: str | None, now: float, denials: Denials) -> Key:
    key = keys.find(access_key)
    if key is None:
        raise denials.unknown_key(access_key)
    if not hmac.compare_digest((key.token or "").encode(), (token or "").encode()):
        raise denials.bad_token(token)
    if key.expires is not None and key.expires < now:
        raise denials.expired_token(token)
    return key


async def _payload_hash(request: Request, claim: Claim) -> str:
    """As declared, to be compared with the body when it is read; only S3's clients declare it always."""
    declared = request.headers.get("x-amz-content-sha256") or _first(request, "X-Amz-Content-Sha256")
    if claim.service == "s3":
        return declared or "UNSIGNED-PAYLOAD"
    found = hashlib.sha256(await request.read()).hexdigest()
    return declared if declared == "UNSIGNED-PAYLOAD" else found


@functools.lru_cache(maxsize=1024)
def _signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    key = ("AWS4" + secret).encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _check(request: Request, claim: Claim, key: bytes, payload_hash: str, denials: Denials) -> None:
    evidence = None
    for path in _canonical_paths(request.path, claim.service):
        canonical = _canonical(request, claim, path, payload_hash)
        hashed = hashlib.sha256(canonical.encode("latin-1")).hexdigest()
        said = f"{_ALGORITHM}\n{claim.when}\n{claim.scope}\n{hashed}"
        expected = hmac.new(key, said.encode("latin-1"), "sha256").hexdigest()
        if hmac.compare_digest(expected, claim.signature):
            return _check_coverage(request, claim, denials)
        evidence = evidence or Evidence(claim.access_key, claim.signature, said, canonical)
    assert evidence
    raise denials.mismatch(evidence)


def _canonical(request: Request, claim: Claim, path: str, payload_hash: str) -> str:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html"""
    headers = [f"{name}:{' '.join(request.headers.get(name, '').split())}" for name in sorted(claim.headers)]
    return "\n".join(
        [request.method, path, _canonical_query(request), *headers, "", ";".join(claim.headers), payload_hash]
    )


def _canonical_paths(path: str, service: str) -> list[str]:
    """S3 signs the path as it is sent (some clients: as it should be sent), the others encode it once more."""
    if service != "s3":
        return [quote(_without_dots(path), safe="/~")]
    by_the_book = quote(unquote_to_bytes(path), safe="/~")
    return [path] if path == by_the_book else [path, by_the_book]


def _without_dots(path: str) -> str:
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    return "/" + "/".join(kept) + ("/" if kept and path.endswith("/") else "")


def _canonical_query(request: Request) -> str:
    pairs = (
        (quote(name, safe="-_.~"), quote(value, safe="-_.~"))
        for name, values in request.query.items()
        if name != "X-Amz-Signature"
        for value in values
    )
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _check_coverage(request: Request, claim: Claim, denials: Denials) -> None:
    """What a client did not sign, somebody else may have added."""
    signed = set(claim.headers)
    if "host" not in signed:
        raise denials.unsigned(["host"])
    if claim.service == "s3":
        extra = sorted(name for name in request.headers if name.startswith("x-amz-") and name not in signed)
        if extra and not (claim.expires is not None and extra == ["x-amz-content-sha256"]):
            raise denials.unsigned(extra)


_SUBRESOURCES = {
    *("accelerate", "acl", "analytics", "cors", "defaultObjectAcl", "delete", "inventory", "lifecycle", "location"),
    *("logging", "metrics", "notification", "object-lock", "partNumber", "policy", "replication", "requestPayment"),
    *("response-cache-control", "response-content-disposition", "response-content-encoding"),
    *("response-content-language", "response-content-type", "response-expires", "restore", "select", "select-type"),
    *("storageClass", "tagging", "torrent", "uploadId", "uploads", "versionId", "versioning", "versions", "website"),
}


def _verify_v2(request: Request, keys: Keys, now: float) -> Signed:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html, query string authentication."""
    access_key, expires = _first(request, "AWSAccessKeyId"), _first(request, "Expires")
    if not re.fullmatch(r"\d{1,12}", expires, re.ASCII):
        raise S3.missing()
    if int(expires) < now:
        raise S3.past(stamp(int(expires)), stamp(now), None)
    signed_too = {name: ",".join(values) for name, values in request.query.items()} | request.headers
    key = _find(keys, access_key, signed_too.get("x-amz-security-token"), now, S3)
    custom = sorted((name, value) for name, value in signed_too.items() if name.startswith("x-amz-"))
    said = "\n".join(
        [
            request.method,
            signed_too.get("content-md5", ""),
            signed_too.get("content-type", ""),
            expires,
            *(f"{name}:{value}" for name, value in custom),
            _resource_v2(request),
        ]
    )
    expected = base64.b64encode(hmac.digest(key.secret.encode(), said.encode(), "sha1")).decode()
    signature = _first(request, "Signature")
    if not hmac.compare_digest(expected.encode(), signature.encode()):
        raise S3.mismatch(Evidence(access_key, signature, said))
    payload_hash = request.headers.get("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
    return Signed(
        access_key=access_key,
        identity=key.identity,
        region="us-east-1",
        signature=signature,
        payload_hash=payload_hash,
    )


def _resource_v2(request: Request) -> str:
    named = sorted((name, values[0]) for name, values in request.query.items() if name in _SUBRESOURCES)
    bare = {pair for pair in request.query_string.split("&") if "=" not in pair}
    parts = [name if name in bare else f"{name}={value}" for name, value in named]
    return request.path + ("?" + "&".join(parts) if parts else "")


def _seconds(when: str) -> float | None:
    if not _DATE.fullmatch(when):
        return None
    year, month, day, hour, minute, second = (int(when[a:b]) for a, b in _PLACES)
    try:
        return datetime.datetime(year, month, day, hour, minute, second, tzinfo=datetime.UTC).timestamp()
    except ValueError:
        return None


_PLACES = ((0, 4), (4, 6), (6, 8), (9, 11), (11, 13), (13, 15))


def stamp(when: float) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(when))


def _from_http_date(text: str) -> str:
    try:
        return datetime.datetime.strptime(text, "%a, %d %b %Y %H:%M:%S GMT").strftime("%Y%m%dT%H%M%SZ")
    except ValueError:
        return text


def _first(request: Request, name: str) -> str:
    return request.query.get(name, [""])[0]
