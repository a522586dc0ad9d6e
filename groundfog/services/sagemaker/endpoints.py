"""Endpoints: created and changed here; `sagemaker_runtime` asks them."""

import asyncio
import dataclasses
import math
from collections.abc import Iterator

from groundfog.engine import Engine
from groundfog.engine.endpoints import Deployment, UnknownVariant, Variant, running_of, wanted_of
from groundfog.engine.errors import Busy, Missing, Taken
from groundfog.engine.resources import Document, Resource
from groundfog.services.sagemaker import asynchronous, images, roles
from groundfog.services.sagemaker.instances import needs
from groundfog.services.sagemaker.kinds import ENDPOINT, ENDPOINT_CONFIG, MODEL
from groundfog.wire.caller import Caller, Parameters, Result
from groundfog.wire.refusal import Refusal

_MOST_INSTANCES = 20
_FAILURES = {
    "ping": "The {variant_of} did not pass the ping health check. Please check CloudWatch logs for this endpoint.",
    "model": 'Failed to download model data for the {variant_of} from URL: "{url}". Please ensure that there is an '
    "object located at the URL and that the role passed to CreateModel has permissions to download the object.",
    "archive": 'Failed to extract model data archive for the {variant_of} from URL "{url}". Please ensure that the '
    "object located at the URL is a valid tar.gz archive.",
    "code": "The code of the {variant_of} cannot be used.",
    "environment": "The packages for the code of the {variant_of} cannot be installed.",
    "start": "The {variant_of} could not be started.",
}


async def create_endpoint(engine: Engine, caller: Caller, request: Parameters) -> Result:
    """Answers when the endpoint is in service, if that is soon: boto3's waiter looks once in 30 s."""
    await asyncio.to_thread(_create, engine, caller, request)
    await engine.endpoints.until_settled(request["EndpointName"])
    return {"EndpointArn": ENDPOINT.arn(caller, request["EndpointName"])}


async def update_endpoint(engine: Engine, caller: Caller, request: Parameters) -> Result:
    await asyncio.to_thread(_update, engine, caller, request)
    await engine.endpoints.until_settled(request["EndpointName"])
    return {"EndpointArn": ENDPOINT.arn(caller, request["EndpointName"])}


async def update_endpoint_weights_and_capacities(engine: Engine, caller: Caller, request: Parameters) -> Result:
    await asyncio.to_thread(_adjust, engine, caller, request)
    await engine.endpoints.until_settled(request["EndpointName"])
    return {"EndpointArn": ENDPOINT.arn(caller, request["EndpointName"])}


async def delete_endpoint(engine: Engine, caller: Caller, request: Parameters) -> Result:
    await asyncio.to_thread(_delete, engine, caller, request["EndpointName"])
    await engine.endpoints.until_settled(request["EndpointName"])
    return None


def describe_endpoint(engine: Engine, caller: Caller, request: Parameters) -> Result:
    endpoint = ENDPOINT.asked(engine, caller, request)
    running, wanted = running_of(endpoint.document), wanted_of(endpoint.document)
    shown = running or wanted
    assert shown is not None
    described = {
        "EndpointName": endpoint.name,
        "EndpointArn": ENDPOINT.arn(caller, endpoint.name),
        "EndpointConfigName": shown.name,
        "EndpointStatus": endpoint.status,
        "CreationTime": endpoint.created,
        "LastModifiedTime": endpoint.modified,
        **shown.notes,
    }
    if endpoint.status != "Failed":
        current = engine.endpoints.instances(endpoint.name)
        described["ProductionVariants"] = [
            _described(variant, shown, wanted, current.get(variant.name, 0)) for variant in shown.variants
        ]
    if running is not None and wanted is not None:
        described["PendingDeploymentSummary"] = {
            "EndpointConfigName": wanted.name,
            "ProductionVariants": [_pending(variant, endpoint) for variant in wanted.variants],
            "StartTime": endpoint.modified,
        }
    return described | _reason(endpoint)


def list_endpoints(engine: Engine, caller: Caller, request: Parameters) -> Result:
    found, token = ENDPOINT.page(engine, request)
    summaries = [
        {
            "EndpointName": endpoint.name,
            "EndpointArn": ENDPOINT.arn(caller, endpoint.name),
            "CreationTime": endpoint.created,
            "LastModifiedTime": endpoint.modified,
            "EndpointStatus": endpoint.status,
        }
        for endpoint in found
    ]
    return {"Endpoints": summaries, **token}


def _create(engine: Engine, caller: Caller, request: Parameters) -> None:
    name = ENDPOINT.name(request)
    deployment = _deployment(engine, caller, request)
    try:
        engine.endpoints.create(name, deployment, ENDPOINT.tags(request))
    except Taken:
        raise ENDPOINT.taken(caller, name) from None


def _update(engine: Engine, caller: Caller, request: Parameters) -> None:
    endpoint = ENDPOINT.asked(engine, caller, request)
    deployment = _deployment(engine, caller, request)
    running = running_of(endpoint.document)
    if request.get("RetainAllVariantProperties") and running is not None:
        excluded = {one["VariantPropertyType"] for one in request.get("ExcludeRetainedVariantProperties", [])}
        weights = {variant.name: variant.weight for variant in running.variants}
        instances = {variant.name: variant.instances for variant in running.variants}
        deployment = deployment.adjusted(
            {} if "DesiredWeight" in excluded else weights, {} if "DesiredInstanceCount" in excluded else instances
        )
    try:
        engine.endpoints.update(endpoint.name, deployment)
    except Busy:
        raise _busy(caller, endpoint.name) from None


def _adjust(engine: Engine, caller: Caller, request: Parameters) -> None:
    endpoint = ENDPOINT.asked(engine, caller, request)
    desired = request["DesiredWeightsAndCapacities"]
    if any(one.get("DesiredInstanceCount") == 0 for one in desired):
        raise Refusal("ValidationException", "DesiredInstanceCount must be at least 1.")
    weights = {one["VariantName"]: one["DesiredWeight"] for one in desired if "DesiredWeight" in one}
    instances = {one["VariantName"]: one["DesiredInstanceCount"] for one in desired if "DesiredInstanceCount" in one}
    _refuse_too_many(sum(instances.values()))
    if not all(map(math.isfinite, weights.values())):
        raise Refusal("ValidationException", "DesiredWeight must be a finite number.")
    try:
        engine.endpoints.adjust(endpoint.name, weights, instances)
    except Busy:
        raise _busy(caller, endpoint.name) from None
    except UnknownVariant as unknown:
        config = endpoint.document["running"]["name"]
        raise Refusal(
            "ValidationException",
            f'The variant name(s) "{unknown}" is/are not present within endpoint configuration "{config}".',
        ) from None


def _delete(engine: Engine, caller: Caller, name: str) -> None:
    try:
        engine.endpoints.delete(name)
    except Missing:
        raise ENDPOINT.missing(caller, name) from None
    except Busy:
        raise _busy(caller, name) from None


def _deployment(engine: Engine, caller: Caller, request: Parameters) -> Deployment:
    """Complete in itself: configuration and models may be deleted while the endpoint serves."""
    config = ENDPOINT_CONFIG.asked(engine, caller, request)
    variants = tuple(_variant(engine, caller, config, variant) for variant in config.document["ProductionVariants"])
    _refuse_too_many(sum(variant.instances for variant in variants))
    notes = {"LastDeploymentConfig": request["DeploymentConfig"]} if "DeploymentConfig" in request else {}
    if "AsyncInferenceConfig" in config.document:
        notes["AsyncInferenceConfig"] = config.document["AsyncInferenceConfig"]
    queueing = asynchronous.queueing(config.document, variants[0].program.environment)
    return Deployment(name=config.name, variants=variants, queueing=queueing, notes=notes)


def _variant(engine: Engine, caller: Caller, config: Resource, given: Document) -> Variant:
    served = MODEL.find(engine, caller, given["ModelName"]).document
    container = images.Container.of(served)
    server = container.server(engine, asynchronous.environment(config.document, container.environment))
    return Variant(
        name=given["VariantName"],
        program=dataclasses.replace(
            roles.under(server, engine, caller, served), **needs(given.get("InstanceType", ""))._asdict()
        ),
        model=container.archive,
        weight=given["InitialVariantWeight"],
        instances=given["InitialInstanceCount"],
        image=container.document["Image"],
        start_seconds=given.get("ContainerStartupHealthCheckTimeoutInSeconds"),
        code=container.code,
        recipe=container.recipe(engine),
    )


def _described(variant: Variant, shown: Deployment, wanted: Deployment | None, current: int) -> Document:
    """Desired is what an update of weights and capacities is on its way to."""
    same = wanted is not None and wanted.generation == shown.generation
    pending = {one.name: one for one in wanted.variants} if wanted is not None and same else {}
    desired = pending.get(variant.name, variant)
    return {
        "VariantName": variant.name,
        "DeployedImages": [{"SpecifiedImage": variant.image, "ResolvedImage": variant.image}],
        "CurrentWeight": variant.weight,
        "DesiredWeight": desired.weight,
        "CurrentInstanceCount": current,
        "DesiredInstanceCount": desired.instances,
    }


def _pending(variant: Variant, endpoint: Resource) -> Document:
    return {
        "VariantName": variant.name,
        "DeployedImages": [{"SpecifiedImage": variant.image, "ResolvedImage": variant.image}],
        "DesiredWeight": variant.weight,
        "DesiredInstanceCount": variant.instances,
        "VariantStatus": [{"Status": "Creating", "StartTime": endpoint.modified}],
    }


def _reason(endpoint: Resource) -> dict[str, str]:
    failure = endpoint.document["failure"]
    if failure is None:
        return {}
    variant_of = f"primary container for production variant {failure['variant']}"
    url = "s3://" + "/".join(failure["model"] or ())
    text = _FAILURES[failure["what"]].format(variant_of=variant_of, url=url)
    said = " ".join(_sentences(text, failure))
    return {"FailureReason": said[:1024]}


def _sentences(text: str, failure: Document) -> Iterator[str]:
    yield text
    if failure["detail"]:
        yield f"It said last: {failure['detail']}" if failure["what"] == "ping" else f"({failure['detail']})"


def _refuse_too_many(instances: int) -> None:
    """Each is a process, wherever it is placed."""
    if instances > _MOST_INSTANCES:
        raise Refusal(
            "ResourceLimitExceeded",
            f"The account-level service limit 'Number of instances for an endpoint' is {_MOST_INSTANCES} Instances, "
            f"with current utilization of 0 Instances and a request delta of {instances} Instances.",
        )


def _busy(caller: Caller, name: str) -> Refusal:
    return Refusal("ValidationException", f'Cannot update in-progress endpoint "{ENDPOINT.arn(caller, name)}".')
