"""Endpoint configurations: which models serve, on how many instances, with which shares of the requests."""

import math
from collections import Counter
from collections.abc import Sequence

from groundfog.engine import Engine
from groundfog.engine.resources import Document
from groundfog.services.sagemaker import asynchronous
from groundfog.services.sagemaker.kinds import ENDPOINT_CONFIG, MODEL, Unwritten
from groundfog.wire.caller import Caller, Parameters, Result
from groundfog.wire.refusal import Refusal

_KEPT = (
    "KmsKeyId",
    "AsyncInferenceConfig",
    "DataCaptureConfig",
    "ExecutionRoleArn",
    "VpcConfig",
    "EnableNetworkIsolation",
    "MetricsConfig",
)
_UNWRITTEN = ("ExplainerConfig", "ShadowProductionVariants", "CrossRegionTrafficConfig")
_UNWRITTEN_OF_VARIANT = ("ServerlessConfig", "ManagedInstanceScaling", "InstancePools")


def create_endpoint_config(engine: Engine, caller: Caller, request: Parameters) -> Result:
    ENDPOINT_CONFIG.name(request)
    Unwritten.refuse(request, _UNWRITTEN, "an endpoint configuration")
    if request.get("DataCaptureConfig", {}).get("EnableCapture"):
        raise Unwritten("Data capture")
    asynchronous.check(request)
    variants = [_variant(engine, caller, variant) for variant in request["ProductionVariants"]]
    _refuse_twins([variant["VariantName"] for variant in variants])
    document = {"ProductionVariants": variants} | {name: request[name] for name in _KEPT if name in request}
    config = ENDPOINT_CONFIG.add(engine, caller, request, document)
    return {"EndpointConfigArn": ENDPOINT_CONFIG.arn(caller, config.name)}


def describe_endpoint_config(engine: Engine, caller: Caller, request: Parameters) -> Result:
    config = ENDPOINT_CONFIG.asked(engine, caller, request)
    return {
        **config.document,
        "EndpointConfigName": config.name,
        "EndpointConfigArn": ENDPOINT_CONFIG.arn(caller, config.name),
        "CreationTime": config.created,
    }


def list_endpoint_configs(engine: Engine, caller: Caller, request: Parameters) -> Result:
    found, token = ENDPOINT_CONFIG.page(engine, request)
    summaries = [
        {
            "EndpointConfigName": config.name,
            "EndpointConfigArn": ENDPOINT_CONFIG.arn(caller, config.name),
            "CreationTime": config.created,
        }
        for config in found
    ]
    return {"EndpointConfigs": summaries, **token}


def delete_endpoint_config(engine: Engine, caller: Caller, request: Parameters) -> Result:
    """Endpoints that were made from it go on."""
    ENDPOINT_CONFIG.delete(engine, caller, request["EndpointConfigName"])
    return None


def _variant(engine: Engine, caller: Caller, given: Document) -> Document:
    Unwritten.refuse(given, _UNWRITTEN_OF_VARIANT, "a production variant")
    for member in ("ModelName", "InstanceType", "InitialInstanceCount"):
        if member not in given:
            raise Refusal("ValidationException", f"The production variant {given['VariantName']} has no {member}.")
    if not math.isfinite(given.get("InitialVariantWeight", 1.0)):
        raise Refusal("ValidationException", "InitialVariantWeight must be a finite number.")
    MODEL.find(engine, caller, given["ModelName"])
    return {"InitialVariantWeight": 1.0, **given}


def _refuse_twins(names: Sequence[str]) -> None:
    for name, times in Counter(names).items():
        if times > 1:
            raise Refusal("ValidationException", f"The variant name {name} is given {times} times; it must be unique.")
