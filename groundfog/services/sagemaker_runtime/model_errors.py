"""Everything that the model, not the client or the endpoint, got wrong."""

from groundfog.engine.endpoints import log_group
from groundfog.wire.caller import Caller
from groundfog.wire.refusal import Refusal

_MAX_TEXT = 2048
"""Characters of what the model said."""
TOO_SLOW = (
    "Your invocation timed out while waiting for a response from container primary. Review the latency metrics for "
    "each container in Amazon CloudWatch, resolve the issue, and try again."
)


def complaint(caller: Caller, endpoint: str) -> str:
    """A text with places for `side`, `status` and `said`."""
    console = f"https://{caller.region}.console.aws.amazon.com/cloudwatch/home?region={caller.region}"
    return (
        'Received {side} error ({status}) from primary with message "{said}". '
        f"See {console}#logEventViewer:group={log_group(endpoint)} in account {caller.account} for more information."
    )


class ModelError(Refusal):
    """A status of 0 where there was no answer."""

    def __init__(self, caller: Caller, endpoint: str, status: int, said: str, stream: str = "") -> None:
        side, said = "client" if 400 <= status < 500 else "server", said[:_MAX_TEXT]
        arn = caller.arn("logs", f"log-group:{log_group(endpoint)}")
        super().__init__(
            "ModelError",
            complaint(caller, endpoint).format(side=side, status=status, said=said),
            424,
            OriginalStatusCode=status,
            OriginalMessage=said,
            LogStreamArn=f"{arn}:log-stream:{stream}" if stream else arn,
        )
