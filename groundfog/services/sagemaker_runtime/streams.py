"""Ask an endpoint, and hear the answer while it is made.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpointWithResponseStream.html
"""

from collections.abc import AsyncIterator
from typing import Any

from groundfog.engine import Engine
from groundfog.engine.endpoints import Answering, TooSlow, Unanswered
from groundfog.services.sagemaker_runtime.asking import Asked, told
from groundfog.services.sagemaker_runtime.model_errors import TOO_SLOW
from groundfog.wire.caller import Caller, Parameters, Result
from groundfog.wire.refusal import Refusal

_MOST_OF_AN_ERROR = 1 << 20


async def invoke_endpoint_with_response_stream(engine: Engine, caller: Caller, request: Parameters) -> Result:
    """Errors before the model's first byte are refusals; those after it are the stream's last event."""
    asked = Asked(engine, caller, request)
    answer = await asked.answered(engine.endpoints.stream(asked.name, await asked.question()))
    reply = answer.reply
    if not 200 <= reply.status < 300:
        said = await asked.answered(reply.read(_MOST_OF_AN_ERROR))
        raise asked.model_error(reply.status, said.decode(errors="replace"), answer.stream)
    return {"Body": _events(reply), "InvokedProductionVariant": answer.variant, **told(reply.headers)}


async def _events(reply: Answering) -> AsyncIterator[dict[str, Any]]:
    try:
        async for part in reply.parts():
            yield {"PayloadPart": {"Bytes": part}}
    except TooSlow:
        raise Refusal("ModelStreamError", TOO_SLOW, ErrorCode="ModelInvocationTimeExceeded") from None
    except Unanswered as broken:
        raise Refusal("ModelStreamError", str(broken), ErrorCode="StreamBroken") from None
    finally:
        reply.close()
