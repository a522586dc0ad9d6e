"""How a training job is told: what DescribeTrainingJob says of its request, its way and its end."""

from groundfog.engine import Engine
from groundfog.engine.jobs import Job, Progress, job_of, progress_of
from groundfog.engine.launch import Program
from groundfog.engine.metrics import last_metrics
from groundfog.engine.outcomes import Secondary
from groundfog.engine.resources import Document, Resource
from groundfog.services.sagemaker import training_metrics
from groundfog.services.sagemaker.kinds import TRAINING_JOB
from groundfog.services.sagemaker.training_order import LONGEST_SECONDS
from groundfog.wire.caller import Caller, Parameters

_UNTOLD = ("TrainingJobName", "Tags", "SessionChainingConfig")
"""What DescribeTrainingJob has no member for, or another place."""
_BILLED: tuple[Secondary, ...] = (
    "Downloading",
    "DownloadingTrainingImage",
    "Training",
    "Uploading",
    "Stopping",
)
_RULES = {"DebugRule": "DebugRuleConfigurations", "ProfilerRule": "ProfilerRuleConfigurations"}
"""Rules watch a job and change nothing in it. None is evaluated here, and their statuses say so."""


def described(engine: Engine, caller: Caller, job: Resource) -> Document:
    progress = progress_of(job)
    return {
        **job.document["notes"],
        "TrainingJobName": job.name,
        "TrainingJobArn": TRAINING_JOB.arn(caller, job.name),
        "TrainingJobStatus": job.status,
        "SecondaryStatus": progress.secondary,
        "SecondaryStatusTransitions": _transitions(progress),
        "CreationTime": job.created,
        "LastModifiedTime": job.modified,
        **_times(progress),
        **_result(job, progress),
        **_metrics(engine, job, progress),
        **_rules(job),
    }


def told(request: Parameters, program: Program) -> Document:
    """The request as DescribeTrainingJob gives it back, with the defaults that AWS fills in."""
    told = {name: value for name, value in request.items() if name not in _UNTOLD}
    if "InputDataConfig" in request:
        told["InputDataConfig"] = [
            {
                "CompressionType": "None",
                "RecordWrapperType": "None",
                **channel,
                "DataSource": {
                    "S3DataSource": {
                        "S3DataDistributionType": "FullyReplicated",
                        **channel["DataSource"]["S3DataSource"],
                    }
                },
            }
            for channel in request["InputDataConfig"]
        ]
    algorithm = request["AlgorithmSpecification"]
    definitions = training_metrics.told(algorithm, program)
    return {
        **told,
        "AlgorithmSpecification": {**algorithm, **({"MetricDefinitions": definitions} if definitions else {})},
        "OutputDataConfig": {"KmsKeyId": "", "CompressionType": "GZIP", **request["OutputDataConfig"]},
        "StoppingCondition": {"MaxRuntimeInSeconds": LONGEST_SECONDS, **request.get("StoppingCondition", {})},
        "EnableNetworkIsolation": request.get("EnableNetworkIsolation", False),
        "EnableInterContainerTrafficEncryption": request.get("EnableInterContainerTrafficEncryption", False),
        "EnableManagedSpotTraining": request.get("EnableManagedSpotTraining", False),
    }


def _transitions(progress: Progress) -> list[Document]:
    return [
        {
            "Status": one.status,
            "StartTime": one.start,
            **({} if one.end is None else {"EndTime": one.end}),
            "StatusMessage": one.message,
        }
        for one in progress.transitions
    ]


def _times(progress: Progress) -> Document:
    times: Document = {}
    if progress.started is not None:
        times["TrainingStartTime"] = progress.started
    if progress.ended is not None:
        times["TrainingEndTime"] = progress.ended
    if progress.started is not None and progress.ended is not None:
        whole = max(1, round(progress.ended - progress.started))
        times["TrainingTimeInSeconds"], times["BillableTimeInSeconds"] = whole, min(whole, _billable(progress))
    return times


def _billable(progress: Progress) -> int:
    """Without the time in which its instances were taken away, or it waited for others."""
    return max(1, round(progress.spent(*_BILLED)))


def _result(job: Resource, progress: Progress) -> Document:
    """The model requires ModelArtifacts from the first moment on: until the job is completed, where they will be."""
    order = Job.read(job.document["job"])
    artifacts = progress.artifacts or f"{order.prefix}/model{'.tar.gz' if order.compress else '/'}"
    result: Document = {"ModelArtifacts": {"S3ModelArtifacts": f"s3://{order.bucket}/{artifacts}"}}
    if job.status == "Failed" and progress.outcome is not None:
        result["FailureReason"] = progress.outcome.reason
    return result


def _metrics(engine: Engine, job: Resource, progress: Progress) -> Document:
    """What was said last of each: up to now, or to the end."""
    definitions, found = job_of(job).metrics, progress.metrics
    if definitions is not None and not found:
        found = last_metrics(engine.measurements, definitions, job.created)
    told = [{"MetricName": metric.name, "Value": metric.value, "Timestamp": metric.at} for metric in found]
    return {"FinalMetricDataList": told} if told else {}


def _rules(job: Resource) -> Document:
    notes = job.document["notes"]
    return {
        f"{kind}EvaluationStatuses": [
            {
                "RuleConfigurationName": rule["RuleConfigurationName"],
                "RuleEvaluationStatus": "Stopped",
                "StatusDetails": "This server evaluates no rules.",
                "LastModifiedTime": job.created,
            }
            for rule in notes[member]
        ]
        for kind, member in _RULES.items()
        if notes.get(member)
    }
