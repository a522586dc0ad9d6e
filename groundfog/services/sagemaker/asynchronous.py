"""Endpoints that answer by objects: what AsyncInferenceConfig asks for.

https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-create-endpoint.html
"""

import re
from collections.abc import Mapping

from groundfog.engine.endpoints import Queueing
from groundfog.engine.resources import Document
from groundfog.services.sagemaker.kinds import Unwritten
from groundfog.wire.caller import Parameters
from groundfog.wire.refusal import Refusal

_S3 = re.compile(r"s3://(?P<bucket>[^/]+)/?(?P<prefix>.*)", re.DOTALL)
_TOPICS = ("SuccessTopic", "ErrorTopic")
_SERVING = {"SAGEMAKER_MODEL_SERVER_TIMEOUT": "3600", "SAGEMAKER_MAX_PAYLOAD_IN_MB": "1024"}


def check(request: Parameters) -> None:
    """Of CreateEndpointConfig. Raises a Refusal."""
    config = request.get("AsyncInferenceConfig")
    if config is None:
        return
    output = config["OutputConfig"]
    Unwritten.refuse(output.get("NotificationConfig", {}), _TOPICS, "an asynchronous endpoint's NotificationConfig")
    if "S3OutputPath" not in output:
        raise Refusal("ValidationException", "AsyncInferenceConfig must say where answers go, as S3OutputPath.")
    for member in ("S3OutputPath", "S3FailurePath"):
        _place(output, member)
    if len(request["ProductionVariants"]) > 1:
        raise Refusal("ValidationException", "An asynchronous endpoint has one production variant.")


def queueing(config: Document, environment: Mapping[str, str]) -> Queueing | None:
    """`environment` is the model's: an instance with several workers takes as many requests unless the user says."""
    asked = config.get("AsyncInferenceConfig")
    if asked is None:
        return None
    answers = _place(asked["OutputConfig"], "S3OutputPath")
    assert answers is not None, "check() comes first"
    workers = environment.get("SAGEMAKER_MODEL_SERVER_WORKERS", "")
    at_once = int(workers) if workers.isascii() and workers.isdigit() else 1
    return Queueing(
        answers=answers,
        failures=_place(asked["OutputConfig"], "S3FailurePath"),
        at_once=asked.get("ClientConfig", {}).get("MaxConcurrentInvocationsPerInstance", max(1, at_once)),
    )


def environment(config: Document, given: Mapping[str, str]) -> dict[str, str]:
    """What a model server is told where the user told it nothing else: the limits of such an endpoint."""
    if "AsyncInferenceConfig" not in config:
        return {}
    return {name: value for name, value in _SERVING.items() if name not in given}


def _place(output: Document, member: str) -> tuple[str, str] | None:
    """Bucket and prefix."""
    if not output.get(member):
        return None
    named = _S3.fullmatch(output[member])
    if named is None:
        raise Refusal("ValidationException", f"{member} must look like s3://bucket/prefix, not {output[member]}.")
    return named["bucket"], named["prefix"].strip("/")
