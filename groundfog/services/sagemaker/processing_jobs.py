"""Processing jobs: the operations, and how a job is told. What a request becomes is in `processing_order.py`."""

from groundfog.engine import Engine
from groundfog.engine.errors import Taken
from groundfog.engine.jobs import progress_of
from groundfog.engine.resources import Document, Resource
from groundfog.services.sagemaker import processing_order
from groundfog.services.sagemaker.kinds import PROCESSING_JOB, Kind
from groundfog.wire.caller import Caller, Parameters, Result


def create_processing_job(engine: Engine, caller: Caller, request: Parameters) -> Result:
    name = PROCESSING_JOB.name(request)
    processing_order.check(engine, request)
    arn = PROCESSING_JOB.arn(caller, name)
    notes = processing_order.told(request)
    try:
        job = processing_order.order(engine, caller, notes, name)
        engine.processing.submit(name, job, notes=notes, tags=Kind.tags(request))
    except Taken:
        raise PROCESSING_JOB.taken(caller, name) from None
    return {"ProcessingJobArn": arn}


def describe_processing_job(engine: Engine, caller: Caller, request: Parameters) -> Result:
    job = PROCESSING_JOB.asked(engine, caller, request)
    progress = progress_of(job)
    times = {"ProcessingStartTime": progress.started, "ProcessingEndTime": progress.ended}
    return {
        **job.document["notes"],
        "ProcessingJobName": job.name,
        "ProcessingJobArn": PROCESSING_JOB.arn(caller, job.name),
        "ProcessingJobStatus": job.status,
        "CreationTime": job.created,
        "LastModifiedTime": job.modified,
        **{name: time for name, time in times.items() if time is not None},
        **_last_words(job),
    }


def list_processing_jobs(engine: Engine, caller: Caller, request: Parameters) -> Result:
    found, token = PROCESSING_JOB.page(engine, request)
    return {"ProcessingJobSummaries": [_summary(caller, job) for job in found], **token}


def stop_processing_job(engine: Engine, caller: Caller, request: Parameters) -> Result:
    PROCESSING_JOB.stop(PROCESSING_JOB.asked(engine, caller, request), engine.processing.stop)
    return None


def delete_processing_job(engine: Engine, caller: Caller, request: Parameters) -> Result:
    PROCESSING_JOB.delete_ended(engine, caller, PROCESSING_JOB.asked(engine, caller, request))
    return None


def _summary(caller: Caller, job: Resource) -> Document:
    ended = progress_of(job).ended
    return {
        "ProcessingJobName": job.name,
        "ProcessingJobArn": PROCESSING_JOB.arn(caller, job.name),
        "CreationTime": job.created,
        "LastModifiedTime": job.modified,
        "ProcessingJobStatus": job.status,
        **({} if ended is None else {"ProcessingEndTime": ended}),
        **_last_words(job),
    }


def _last_words(job: Resource) -> Document:
    """The program's, and why it failed if it did."""
    progress = progress_of(job)
    if progress.ended is None:
        return {}
    said = {"ExitMessage": progress.message} if progress.message else {}
    if job.status == "Failed" and progress.outcome is not None:
        said["FailureReason"] = progress.outcome.reason or ""
    return said
