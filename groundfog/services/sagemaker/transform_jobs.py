"""Batch transform: what AWS checks at the call, and how the engine's transforms are told."""

from typing import Any

from groundfog.engine import Engine
from groundfog.engine.channels import Channel
from groundfog.engine.errors import Missing, Taken, Unfit
from groundfog.engine.resources import Document, Resource
from groundfog.engine.transforms import Progress, Transform, progress_of
from groundfog.engine.transforms.paths import path
from groundfog.engine.transforms.processing import is_csv, is_json
from groundfog.services.sagemaker import images, roles
from groundfog.services.sagemaker.kinds import MODEL, TRANSFORM_JOB, Invalid, Kind, Unwritten
from groundfog.services.sagemaker.training_channels import bucket_and_key
from groundfog.wire.caller import Caller, Parameters, Result
from groundfog.wire.refusal import Refusal

_LOG_GROUP = "/aws/sagemaker/TransformJobs"
_MOST_INSTANCES = 20
_MOST_MEGABYTES = 100
_PAYLOAD = 6
"""AWS's MaxPayloadInMB where the caller says none."""


def create_transform_job(engine: Engine, caller: Caller, request: Parameters) -> Result:
    name = TRANSFORM_JOB.name(request)
    _check(request)
    model = MODEL.asked(engine, caller, request).document
    arn = TRANSFORM_JOB.arn(caller, name)
    try:
        order = _order(engine, caller, request, name, model)
        engine.transforms.submit(name, order, notes=_told(request), tags=Kind.tags(request))
    except Taken:
        raise TRANSFORM_JOB.taken(caller, name) from None
    return {"TransformJobArn": arn}


def describe_transform_job(engine: Engine, caller: Caller, request: Parameters) -> Result:
    job = _find(engine, caller, request)
    progress = progress_of(job)
    return {
        **job.document["notes"],
        "TransformJobName": job.name,
        "TransformJobArn": TRANSFORM_JOB.arn(caller, job.name),
        "TransformJobStatus": job.status,
        "CreationTime": job.created,
        **({} if progress.started is None else {"TransformStartTime": progress.started}),
        **_end(progress),
    }


def list_transform_jobs(engine: Engine, caller: Caller, request: Parameters) -> Result:
    found, token = TRANSFORM_JOB.page(engine, request)
    summaries = [
        {
            "TransformJobName": job.name,
            "TransformJobArn": TRANSFORM_JOB.arn(caller, job.name),
            "CreationTime": job.created,
            "LastModifiedTime": job.modified,
            "TransformJobStatus": job.status,
            **_end(progress_of(job)),
        }
        for job in found
    ]
    return {"TransformJobSummaries": summaries, **token}


def stop_transform_job(engine: Engine, caller: Caller, request: Parameters) -> Result:
    TRANSFORM_JOB.stop(_find(engine, caller, request), engine.transforms.stop)
    return None


def _find(engine: Engine, caller: Caller, request: Parameters) -> Resource:
    try:
        return engine.resources.find(TRANSFORM_JOB.kind, request["TransformJobName"])
    except Missing:
        arn = TRANSFORM_JOB.arn(caller, request["TransformJobName"])
        raise Refusal("ResourceNotFound", f'Could not find transform job "{arn}".') from None


def _end(progress: Progress) -> Document:
    ended = {} if progress.ended is None else {"TransformEndTime": progress.ended}
    return ended if progress.reason is None else {**ended, "FailureReason": progress.reason}


def _check(request: Parameters) -> None:
    Unwritten.refuse(request, ("DataCaptureConfig",), "a transform job")
    given = request["TransformInput"]
    if given["DataSource"]["S3DataSource"]["S3DataType"] not in ("S3Prefix", "ManifestFile"):
        raise Unwritten(f"S3DataType {given['DataSource']['S3DataSource']['S3DataType']}")
    if given.get("SplitType") == "TFRecord":
        raise Unwritten("SplitType TFRecord")
    concurrent, size = request.get("MaxConcurrentTransforms", 1), request.get("MaxPayloadInMB", _PAYLOAD)
    if max(concurrent, 1) * size > _MOST_MEGABYTES:
        raise Invalid(
            f"The value of MaxConcurrentTransforms * MaxPayloadInMB must not exceed {_MOST_MEGABYTES} MB; "
            f"it is {max(concurrent, 1)} * {size}."
        )
    instances = request["TransformResources"]["InstanceCount"]
    if instances > _MOST_INSTANCES:
        raise Refusal(
            "ResourceLimitExceeded",
            f"The account-level service limit 'Number of instances across all transform jobs' is {_MOST_INSTANCES} "
            f"Instances, with current utilization of 0 Instances and a request delta of {instances} Instances.",
        )
    _check_processing(request)


def _check_processing(request: Parameters) -> None:
    processing = request.get("DataProcessing", {})
    filters = {name: processing.get(name, "$") or "$" for name in ("InputFilter", "OutputFilter")}
    for name, text in filters.items():
        try:
            path(text)
        except Unfit as unfit:
            raise Invalid(f"{name} of DataProcessing: {unfit}") from None
    joins = processing.get("JoinSource", "None") == "Input"
    if not joins and set(filters.values()) == {"$"}:
        return
    content_type = request["TransformInput"].get("ContentType", "")
    if not (is_json(content_type) or is_csv(content_type)):
        raise Invalid(
            "DataProcessing needs a ContentType of text/csv, application/json or application/jsonlines; "
            f"it is {content_type or 'not given'}."
        )
    split, assembled = request["TransformInput"].get("SplitType", "None"), _assembled(request)
    if split not in ("None", "Line") or (split == "Line") != (assembled == "Line"):
        raise Invalid(f"DataProcessing needs SplitType and AssembleWith to be the same: {split} is not {assembled}.")
    if is_csv(content_type) and split == "None":
        raise Invalid("DataProcessing of text/csv needs the SplitType Line and AssembleWith Line.")


def _assembled(request: Parameters) -> str:
    assembled: str = request["TransformOutput"].get("AssembleWith", "None")
    return assembled


def _order(engine: Engine, caller: Caller, request: Parameters, name: str, model: Document) -> Transform:
    container, arn = images.Container.of(model), TRANSFORM_JOB.arn(caller, name)
    given, output = request["TransformInput"], request["TransformOutput"]
    processing, client = request.get("DataProcessing", {}), request.get("ModelClientConfig", {})
    bucket, prefix = bucket_and_key(output["S3OutputPath"])
    megabytes = request.get("MaxPayloadInMB", _PAYLOAD)
    return Transform(
        program=roles.under(container.server(engine, _environment(request, name, arn)), engine, caller, model),
        model=container.archive,
        code=container.code,
        recipe=container.recipe(engine),
        source=_source(given),
        bucket=bucket,
        prefix=prefix.rstrip("/"),
        split=given.get("SplitType", "None"),
        one_by_one=request.get("BatchStrategy") == "SingleRecord",
        most_bytes=(megabytes << 20) or None,
        concurrent=request.get("MaxConcurrentTransforms") or 1,
        instances=request["TransformResources"]["InstanceCount"],
        content_type=given.get("ContentType"),
        accept=output.get("Accept"),
        lines=_assembled(request) == "Line",
        input_filter=processing.get("InputFilter") or "$",
        output_filter=processing.get("OutputFilter") or "$",
        join=processing.get("JoinSource") == "Input",
        answer_seconds=client.get("InvocationsTimeoutInSeconds", 600),
        retries=client.get("InvocationsMaxRetries", 3),
        log_group=_LOG_GROUP,
    )


def _environment(request: Parameters, name: str, arn: str) -> dict[str, str]:
    """The job's own variables, and those that AWS sets in a transform job's containers."""
    single = request.get("BatchStrategy") == "SingleRecord"
    return {
        **request.get("Environment", {}),
        "SAGEMAKER_BATCH": "true",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": str(request.get("MaxPayloadInMB", _PAYLOAD)),
        "SAGEMAKER_BATCH_STRATEGY": "SINGLE_RECORD" if single else "MULTI_RECORD",
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": str(request.get("MaxConcurrentTransforms") or 1),
        "TRANSFORM_JOB_NAME": name,
        "TRANSFORM_JOB_ARN": arn,
    }


def _source(given: Document) -> Channel:
    source = given["DataSource"]["S3DataSource"]
    bucket, prefix = bucket_and_key(source["S3Uri"])
    return Channel(
        name="input",
        bucket=bucket,
        prefix=prefix,
        is_manifest=source["S3DataType"] == "ManifestFile",
        is_gzipped=given.get("CompressionType") == "Gzip",
        if_empty=f'No S3 objects found under S3 URL "{source["S3Uri"]}" given in input data source. Please ensure that '
        "the bucket exists and that objects exist under that S3 prefix.",
    )


def _told(request: Parameters) -> dict[str, Any]:
    """The request as DescribeTransformJob gives it back, with the defaults that AWS fills in."""
    told = {name: value for name, value in request.items() if name not in ("TransformJobName", "Tags")}
    processing = {"InputFilter": "$", "OutputFilter": "$", "JoinSource": "None", **request.get("DataProcessing", {})}
    return {
        **told,
        "TransformInput": {"CompressionType": "None", "SplitType": "None", **request["TransformInput"]},
        "TransformOutput": {"AssembleWith": "None", "KmsKeyId": "", **request["TransformOutput"]},
        "DataProcessing": processing,
    }
