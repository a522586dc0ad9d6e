"""Ask an endpoint, and find the answer in S3.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpointAsync.html
"""

import base64
import re
import time
import uuid

from groundfog.engine import Engine
from groundfog.engine.endpoints import Queueing
from groundfog.engine.errors import Missing
from groundfog.engine.invocations import Invocation
from groundfog.engine.invocations.invocation import Place
from groundfog.services.sagemaker_runtime.asking import HEADERS, TooLarge
from groundfog.services.sagemaker_runtime.model_errors import complaint
from groundfog.wire.caller import Caller, Parameters, Result
from groundfog.wire.refusal import Refusal

_MOST_INLINE = 128_000
_MOST_INPUT = 1 << 30
_TTL_SECONDS, _ANSWER_SECONDS = 21_600, 900
_S3 = re.compile(r"s3://(?P<bucket>[^/]+)/(?P<key>.+)", re.DOTALL)


async def invoke_endpoint_async(engine: Engine, caller: Caller, request: Parameters) -> Result:
    """Once this answers, the request is kept: it is done also after the server was killed."""
    name, number = request["EndpointName"], str(uuid.uuid4())
    queueing = _queueing(engine, caller, name)
    answer, failure = _answer(queueing, request, number), _failure(queueing, number)
    source, body = await _input(engine, request)
    inference = request.get("InferenceId") or str(uuid.uuid4())
    headers = {
        header: str(value)
        for member, header in HEADERS.items()
        if (value := {**request, "InferenceId": inference}.get(member))
    }
    invocation = Invocation(
        endpoint=name,
        source=source,
        body=body,
        headers=headers,
        answer=answer,
        failure=failure,
        complaint=complaint(caller, name),
        expires=time.time() + request.get("RequestTTLSeconds", _TTL_SECONDS),
        seconds=request.get("InvocationTimeoutSeconds", _ANSWER_SECONDS),
    )
    await engine.invocations.submit(number, invocation)
    return {
        "InferenceId": inference,
        "OutputLocation": _url(answer),
        "FailureLocation": None if failure is None else _url(failure),
    }


def _queueing(engine: Engine, caller: Caller, name: str) -> Queueing:
    endpoint = f"Endpoint {name} of account {caller.account}"
    if not engine.resources.has("endpoint", name):
        raise Refusal("ValidationError", f"{endpoint} not found.")
    status = engine.resources.find("endpoint", name).status
    if status not in ("InService", "Updating", "RollingBack"):
        raise Refusal("ValidationError", f"{endpoint} is not in service: it is {status}.")
    queueing = engine.endpoints.queueing(name)
    if queueing is None:
        raise Refusal(
            "ValidationError",
            f"{endpoint} is not an asynchronous endpoint: its configuration has no AsyncInferenceConfig.",
        )
    return queueing


async def _input(engine: Engine, request: Parameters) -> tuple[Place | None, str | None]:
    """An object, or bytes in base64: one of both."""
    body, location = await _body(request), request.get("InputLocation")
    if (location is None) == (not body):
        raise Refusal("ValidationError", "Exactly one of InputLocation and Body must be given.")
    if location is None:
        return None, base64.b64encode(body).decode()
    named = _S3.fullmatch(location)
    if named is None:
        raise Refusal("ValidationError", f"InputLocation names no object: {location} must look like s3://bucket/key.")
    source = named["bucket"], named["key"]
    _refuse_too_large(engine, source, location)
    return source, None


async def _body(request: Parameters) -> bytes:
    if "Body" not in request:
        return b""
    try:
        read: bytes = await request["Body"].read(_MOST_INLINE)
    except Refusal as refusal:
        if refusal.code != "EntityTooLarge":
            raise
        raise TooLarge(_MOST_INLINE) from None
    return read


def _refuse_too_large(engine: Engine, source: Place, location: str) -> None:
    """What is not there yet may still come: AWS looks for it when its turn has come, and so does the engine."""
    try:
        size = engine.objects.find(*source).size
    except Missing:
        return
    if size > _MOST_INPUT:
        raise Refusal("ValidationError", f"{location} has {size} bytes; a request may have {_MOST_INPUT} at most.")


def _answer(queueing: Queueing, request: Parameters, number: str) -> Place:
    extension, file = request.get("S3OutputPathExtension", "").strip("/"), request.get("Filename", f"{number}.out")
    return _place(queueing.answers, f"{extension}/{file}".lstrip("/"))


def _failure(queueing: Queueing, number: str) -> Place | None:
    return None if queueing.failures is None else _place(queueing.failures, f"{number}-error.out")


def _place(folder: Place, name: str) -> Place:
    bucket, prefix = folder
    return bucket, f"{prefix}/{name}".lstrip("/")


def _url(place: Place) -> str:
    return "s3://" + "/".join(place)
