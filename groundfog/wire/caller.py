"""Who asks, and the shapes in which the wire and the services meet."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

Parameters = dict[str, Any]
"""What boto3 takes: the members of the operation's input shape, by name."""

Result = Mapping[str, Any] | None
"""What boto3 returns: the members of the operation's output shape, by name."""


@dataclass(frozen=True, kw_only=True)
class Caller:
    """The signer of a request. `identity` is an ARN; `region` is the one that the signature names."""

    account: str
    region: str
    identity: str
    access_key: str
    request_id: str

    def arn(self, service: str, resource: str) -> str:
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"


Handler = Callable[[Caller, Parameters], Result | Awaitable[Result]]
"""One operation. A plain function runs in a worker thread, a coroutine function on the event loop."""

Handlers = Mapping[str, Mapping[str, Handler]]
"""By service as botocore names it (`sagemaker-runtime`), then by method as boto3 names it (`invoke_endpoint`)."""


@dataclass(frozen=True, kw_only=True)
class Key:
    """The secret half of an access key. A temporary key has a session token and ends at `expires`."""

    secret: str
    identity: str
    token: str | None = None
    expires: float | None = None


class Keys(Protocol):
    def find(self, access_key: str) -> Key | None: ...
