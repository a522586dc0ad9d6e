"""Models: an image and the archive that it serves."""

import re

from groundfog.engine import Engine
from groundfog.engine.errors import Missing
from groundfog.engine.resources import Document
from groundfog.services.sagemaker import images
from groundfog.services.sagemaker.kinds import MODEL, Unwritten
from groundfog.wire.caller import Caller, Parameters, Result
from groundfog.wire.refusal import Refusal

_KEPT = ("PrimaryContainer", "Containers", "InferenceExecutionConfig", "ExecutionRoleArn", "VpcConfig")
_UNWRITTEN = ("ModelPackageName", "ModelDataSource", "AdditionalModelDataSources", "MultiModelConfig")
_S3 = re.compile(r"s3://(?P<bucket>[^/]+)/(?P<key>.+)", re.DOTALL)


def create_model(engine: Engine, caller: Caller, request: Parameters) -> Result:
    MODEL.name(request)
    for container in _containers(request):
        _check(engine, container)
    document = {name: request[name] for name in _KEPT if name in request}
    document["EnableNetworkIsolation"] = request.get("EnableNetworkIsolation", False)
    model = MODEL.add(engine, caller, request, document)
    return {"ModelArn": MODEL.arn(caller, model.name)}


def describe_model(engine: Engine, caller: Caller, request: Parameters) -> Result:
    model = MODEL.asked(engine, caller, request)
    return {
        **model.document,
        "ModelName": model.name,
        "ModelArn": MODEL.arn(caller, model.name),
        "CreationTime": model.created,
    }


def list_models(engine: Engine, caller: Caller, request: Parameters) -> Result:
    found, token = MODEL.page(engine, request)
    summaries = [
        {"ModelName": model.name, "ModelArn": MODEL.arn(caller, model.name), "CreationTime": model.created}
        for model in found
    ]
    return {"Models": summaries, **token}


def delete_model(engine: Engine, caller: Caller, request: Parameters) -> Result:
    """Endpoints that serve it go on: they have copies."""
    MODEL.delete(engine, caller, request["ModelName"])
    return None


def _containers(request: Parameters) -> list[Document]:
    if ("PrimaryContainer" in request) == bool(request.get("Containers")):
        raise Refusal("ValidationException", "Exactly one of PrimaryContainer and Containers must be given.")
    containers: list[Document] = request.get("Containers") or [request["PrimaryContainer"]]
    if len(containers) > 1:
        raise Unwritten("A model of several containers")
    return containers


def _check(engine: Engine, container: Document) -> None:
    Unwritten.refuse(container, _UNWRITTEN, "a container")
    if container.get("Mode") == "MultiModel":
        raise Unwritten("Mode MultiModel of a container")
    if "Image" not in container:
        raise Refusal("ValidationException", "A container must name an Image.")
    images.Container(container).check(engine)
    url = container.get("ModelDataUrl")
    if url is None:
        return
    named = _S3.fullmatch(url)
    if named is None:
        raise Refusal(
            "ValidationException", f"The ModelDataUrl {url} names no object: it must look like s3://bucket/key."
        )
    try:
        engine.objects.find(named["bucket"], named["key"])
    except Missing:
        raise Refusal("ValidationException", f"Could not find model data at {url}.") from None
