"""A signature that does not hold, in the words of the service that was asked. AWS has three dialects of it."""

from dataclasses import dataclass

from groundfog.wire.refusal import Refusal

_LOOK = "The request signature we calculated does not match the signature you provided. "
_INVALID = "The security token included in the request is invalid."
_EXPIRED = "The security token included in the request is expired"
_SKEW = 15 * 60


@dataclass(frozen=True)
class Evidence:
    """What a client needs to find out why its signature differs."""

    access_key: str
    provided: str
    string_to_sign: str
    canonical: str = ""


class Denials:
    """As json, rest-json and cbor services say it."""

    missing_code, missing_text = "MissingAuthenticationTokenException", "Missing Authentication Token"
    incomplete_code = "IncompleteSignatureException"
    mismatch_code = "InvalidSignatureException"
    unknown_code = "UnrecognizedClientException"
    expired_code = "ExpiredTokenException"

    def missing(self) -> Refusal:
        return Refusal(self.missing_code, self.missing_text, 403)

    def malformed(self, why: str) -> Refusal:
        return Refusal(self.incomplete_code, why, 403)

    def malformed_query(self, why: str) -> Refusal:
        return self.malformed(why)

    def undated(self) -> Refusal:
        text = "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
        return Refusal(self.incomplete_code, text, 403)

    def unsigned(self, headers: list[str]) -> Refusal:
        named = ", ".join(f"'{name}'" for name in headers)
        return Refusal(self.mismatch_code, f"{named} must be a signed header in the request.", 403)

    def unknown_key(self, access_key: str) -> Refusal:
        return Refusal(self.unknown_code, _INVALID, 403)

    def bad_token(self, token: str | None) -> Refusal:
        return Refusal(self.unknown_code, _INVALID, 403)

    def expired_token(self, token: str | None) -> Refusal:
        return Refusal(self.expired_code, _EXPIRED, 403)

    def mismatch(self, evidence: Evidence) -> Refusal:
        advice = "Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
        return Refusal(self.mismatch_code, _LOOK + advice, 403)

    def wrong_scope(self, why: str) -> Refusal:
        return Refusal(self.mismatch_code, why, 403)

    def too_old(self, when: str, now: str, earliest: str) -> Refusal:
        text = f"Signature expired: {when} is now earlier than {earliest} ({now} - {_SKEW // 60} min.)"
        return Refusal(self.mismatch_code, text, 403)

    def too_new(self, when: str, now: str, latest: str) -> Refusal:
        text = f"Signature not yet current: {when} is still later than {latest} ({now} + {_SKEW // 60} min.)"
        return Refusal(self.mismatch_code, text, 403)

    def past(self, end: str, now: str, seconds: int | None) -> Refusal:
        return Refusal(self.mismatch_code, f"Signature expired: {end} is now earlier than {now}", 403)


class QueryDenials(Denials):
    """As STS, IAM and CloudFormation say it."""

    missing_code, missing_text = "MissingAuthenticationToken", "Request is missing Authentication Token"
    incomplete_code = "IncompleteSignature"
    mismatch_code = "SignatureDoesNotMatch"
    unknown_code = "InvalidClientTokenId"
    expired_code = "ExpiredToken"


class S3Denials(Denials):
    def missing(self) -> Refusal:
        return Refusal("AccessDenied", "Access Denied", 403)

    def malformed(self, why: str) -> Refusal:
        return Refusal("AuthorizationHeaderMalformed", f"The authorization header is malformed; {why}", 400)

    def malformed_query(self, why: str) -> Refusal:
        return Refusal("AuthorizationQueryParametersError", why, 400)

    def undated(self) -> Refusal:
        text = "AWS authentication requires a valid Date or x-amz-date header"
        return Refusal("AccessDenied", text, 403)

    def unsigned(self, headers: list[str]) -> Refusal:
        text = "There were headers present in the request which were not signed"
        return Refusal("AccessDenied", text, 403, HeadersNotSigned=", ".join(headers))

    def unknown_key(self, access_key: str) -> Refusal:
        text = "The AWS Access Key Id you provided does not exist in our records."
        return Refusal("InvalidAccessKeyId", text, 403, AWSAccessKeyId=access_key)

    def bad_token(self, token: str | None) -> Refusal:
        text = "The provided token is malformed or otherwise invalid."
        return Refusal("InvalidToken", text, 400, **{"Token-0": token or ""})

    def expired_token(self, token: str | None) -> Refusal:
        return Refusal("ExpiredToken", "The provided token has expired.", 400, **{"Token-0": token or ""})

    def mismatch(self, evidence: Evidence) -> Refusal:
        fields = {
            "AWSAccessKeyId": evidence.access_key,
            "StringToSign": evidence.string_to_sign,
            "SignatureProvided": evidence.provided,
            "CanonicalRequest": evidence.canonical,
        }
        said = {name: value for name, value in fields.items() if value}
        return Refusal("SignatureDoesNotMatch", _LOOK + "Check your key and signing method.", 403, **said)

    def wrong_scope(self, why: str) -> Refusal:
        return self.malformed(why)

    def too_old(self, when: str, now: str, earliest: str) -> Refusal:
        text = "The difference between the request time and the current time is too large."
        limit = _SKEW * 1000
        return Refusal(
            "RequestTimeTooSkewed", text, 403, RequestTime=when, ServerTime=_iso(now), MaxAllowedSkewMilliseconds=limit
        )

    def too_new(self, when: str, now: str, latest: str) -> Refusal:
        return self.too_old(when, now, latest)

    def past(self, end: str, now: str, seconds: int | None) -> Refusal:
        fields: dict[str, object] = {"Expires": _iso(end), "ServerTime": _iso(now)}
        if seconds is not None:
            fields = {"X-Amz-Expires": seconds} | fields
        return Refusal("AccessDenied", "Request has expired", 403, **fields)


def _iso(stamp: str) -> str:
    """S3 answers with other times than it is asked with: `20261121T040758Z` is `2026-11-21T04:07:58Z`."""
    return f"{stamp[:-12]}-{stamp[-12:-10]}-{stamp[-10:-8]}T{stamp[-7:-5]}:{stamp[-5:-3]}:{stamp[-3:]}"


JSON, QUERY, S3 = Denials(), QueryDenials(), S3Denials()
