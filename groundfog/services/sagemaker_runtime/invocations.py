"""Ask an endpoint. https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html"""

from groundfog.engine import Engine
from groundfog.services.sagemaker_runtime.asking import Asked, told
from groundfog.wire.caller import Caller, Parameters, Result


async def invoke_endpoint(engine: Engine, caller: Caller, request: Parameters) -> Result:
    asked = Asked(engine, caller, request)
    answer = await asked.answered(engine.endpoints.invoke(asked.name, await asked.question()))
    reply = answer.reply
    if not 200 <= reply.status < 300:
        raise asked.model_error(reply.status, reply.body.decode(errors="replace"), answer.stream)
    return {"Body": reply.body, "InvokedProductionVariant": answer.variant, **told(reply.headers)}
