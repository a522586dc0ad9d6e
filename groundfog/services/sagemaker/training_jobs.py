"""Training jobs: the operations.

What a request becomes is in `training_order.py`, and how a job is told in `training_description.py`.
"""

from groundfog.engine import Engine
from groundfog.engine.errors import Taken
from groundfog.engine.jobs import progress_of
from groundfog.engine.resources import Document, Resource
from groundfog.services.sagemaker import training_description, training_order
from groundfog.services.sagemaker.kinds import TRAINING_JOB, Kind
from groundfog.wire.caller import Caller, Parameters, Result


def create_training_job(engine: Engine, caller: Caller, request: Parameters) -> Result:
    name = TRAINING_JOB.name(request)
    training_order.check(engine, request)
    arn = TRAINING_JOB.arn(caller, name)
    try:
        job = training_order.order(engine, caller, request, name)
        notes = training_description.told(request, job.program)
        engine.jobs.submit(name, job, notes=notes, tags=Kind.tags(request))
    except Taken:
        raise TRAINING_JOB.taken(caller, name) from None
    return {"TrainingJobArn": arn}


def describe_training_job(engine: Engine, caller: Caller, request: Parameters) -> Result:
    return training_description.described(engine, caller, TRAINING_JOB.asked(engine, caller, request))


def list_training_jobs(engine: Engine, caller: Caller, request: Parameters) -> Result:
    if "WarmPoolStatusEquals" in request or "TrainingPlanArnEquals" in request:
        # No job here has a warm pool or a training plan.
        return {"TrainingJobSummaries": []}
    found, token = TRAINING_JOB.page(engine, request)
    return {"TrainingJobSummaries": [_summary(caller, job) for job in found], **token}


def stop_training_job(engine: Engine, caller: Caller, request: Parameters) -> Result:
    TRAINING_JOB.stop(TRAINING_JOB.asked(engine, caller, request), engine.jobs.stop)
    return None


def delete_training_job(engine: Engine, caller: Caller, request: Parameters) -> Result:
    TRAINING_JOB.delete_ended(engine, caller, TRAINING_JOB.asked(engine, caller, request))
    return None


def _summary(caller: Caller, job: Resource) -> Document:
    progress = progress_of(job)
    ended = {} if progress.ended is None else {"TrainingEndTime": progress.ended}
    return {
        "TrainingJobName": job.name,
        "TrainingJobArn": TRAINING_JOB.arn(caller, job.name),
        "CreationTime": job.created,
        "LastModifiedTime": job.modified,
        "TrainingJobStatus": job.status,
        "SecondaryStatus": progress.secondary,
        **ended,
    }
