"""Ask an endpoint. https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html"""

from typing import NoReturn

from groundfog.engine import Engine
from groundfog.engine.endpoints import Answer, TooSlow, Unanswered, Unhealthy, UnknownVariant, log_group
from groundfog.engine.errors import Busy, Missing
from groundfog.wire.caller import Caller, Parameters, Result
from groundfog.wire.refusal import Refusal

_MAX_BODY = 6_291_456
_MAX_TEXT = 2048
"""Characters of a message in a ModelError."""
_HEADERS = {
    "ContentType": "Content-Type",
    "Accept": "Accept",
    "CustomAttributes": "X-Amzn-SageMaker-Custom-Attributes",
    "InferenceId": "X-Amzn-SageMaker-Inference-Id",
}
_UNSUPPORTED = ("TargetModel", "TargetContainerHostname", "InferenceComponentName", "EnableExplanations", "SessionId")
_TOO_SLOW = (
    "Your invocation timed out while waiting for a response from container primary. Review the latency metrics for "
    "each container in Amazon CloudWatch, resolve the issue, and try again."
)


async def invoke_endpoint(engine: Engine, caller: Caller, request: Parameters) -> Result:
    name, variant = request["EndpointName"], request.get("TargetVariant")
    for member in _UNSUPPORTED:
        if request.get(member):
            raise Refusal("ValidationError", f"{member} is not supported by endpoint {name}.")
    body = await _read(request)
    headers = {header: request[member] for member, header in _HEADERS.items() if request.get(member)}
    answer = await _ask(engine, caller, name, variant, body, headers)
    if not 200 <= answer.reply.status < 300:
        _model_error(caller, name, answer.reply.status, answer.reply.body.decode(errors="replace"), answer.stream)
    return _result(answer)


async def _read(request: Parameters) -> bytes:
    body = request["Body"]
    try:
        read: bytes = await body.read(_MAX_BODY)
    except Refusal as refusal:
        if refusal.code != "EntityTooLarge":
            raise
        raise Refusal(
            "ValidationError",
            "1 validation error detected: Value at 'body' failed to satisfy constraint: "
            f"Member must have length less than or equal to {_MAX_BODY}",
            413,
        ) from None
    return read


async def _ask(
    engine: Engine, caller: Caller, name: str, variant: str | None, body: bytes, headers: dict[str, str]
) -> Answer:
    endpoint = f"Endpoint {name} of account {caller.account}"
    try:
        return await engine.endpoints.invoke(name, body, headers, variant=variant)
    except UnknownVariant:
        raise Refusal("ValidationError", f"Variant {variant} not found for Request") from None
    except Missing:
        raise Refusal("ValidationError", f"{endpoint} not found.") from None
    except Busy as busy:
        raise Refusal("ValidationError", f"{endpoint} is not in service: it is {busy}.") from None
    except Unhealthy:
        raise Refusal("ServiceUnavailable", f"{endpoint} has no healthy instance at the moment.") from None
    except TooSlow:
        _model_error(caller, name, 0, _TOO_SLOW)
    except Unanswered as unanswered:
        _model_error(caller, name, 0, str(unanswered))


def _result(answer: Answer) -> Result:
    headers = answer.reply.headers
    found = {
        "ContentType": headers.get("content-type"),
        "CustomAttributes": headers.get("x-amzn-sagemaker-custom-attributes"),
    }
    return {
        "Body": answer.reply.body,
        "InvokedProductionVariant": answer.variant,
        **{member: value for member, value in found.items() if value is not None},
    }


def _model_error(caller: Caller, name: str, status: int, said: str, stream: str = "") -> NoReturn:
    """Everything that the model, not the client or the endpoint, got wrong; a status of 0 where there was no answer."""
    side = "client" if 400 <= status < 500 else "server"
    group = log_group(name)
    arn = caller.arn("logs", f"log-group:{group}")
    console = f"https://{caller.region}.console.aws.amazon.com/cloudwatch/home?region={caller.region}"
    raise Refusal(
        "ModelError",
        f'Received {side} error ({status}) from primary with message "{said[:_MAX_TEXT]}". '
        f"See {console}#logEventViewer:group={group} in account {caller.account} for more information.",
        424,
        OriginalStatusCode=status,
        OriginalMessage=said[:_MAX_TEXT],
        LogStreamArn=f"{arn}:log-stream:{stream}" if stream else arn,
    )
