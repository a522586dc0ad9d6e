"""What a training job keeps in S3 while it runs: CheckpointConfig and TensorBoardOutputConfig."""

from groundfog.engine.errors import Unfit
from groundfog.engine.mirrors import Mirror
from groundfog.engine.mirrors import check as check_path
from groundfog.engine.resources import Document
from groundfog.services.sagemaker.kinds import Invalid
from groundfog.services.sagemaker.training_channels import bucket_and_folder
from groundfog.wire.caller import Parameters

_CHECKPOINTS, _TENSORBOARD = "/opt/ml/checkpoints", "/opt/ml/output/tensorboard"


def check(request: Parameters) -> None:
    for member, default in (("CheckpointConfig", _CHECKPOINTS), ("TensorBoardOutputConfig", _TENSORBOARD)):
        if member in request:
            _check_path(member, _path(request[member], default))
    mirrors(request, "")


def mirrors(request: Parameters, name: str) -> tuple[Mirror, ...]:
    found = []
    if given := request.get("CheckpointConfig"):
        bucket, folder = bucket_and_folder(given["S3Uri"])
        found.append(Mirror(path=_path(given, _CHECKPOINTS), bucket=bucket, prefix=folder, fetched=True))
    if given := request.get("TensorBoardOutputConfig"):
        bucket, folder = bucket_and_folder(given["S3OutputPath"])
        # https://sagemaker.readthedocs.io: where latest_job_tensorboard_artifacts_path() looks for them.
        prefix = f"{folder}{name}/tensorboard-output/"
        found.append(Mirror(path=_path(given, _TENSORBOARD), bucket=bucket, prefix=prefix, grows=True))
    return tuple(found)


def configuration(request: Parameters) -> dict[str, Document]:
    """Files of `/opt/ml/input/config` by name, with the defaults filled in."""
    found = {}
    if given := request.get("CheckpointConfig"):
        found["checkpointconfig"] = {**given, "LocalPath": _path(given, _CHECKPOINTS)}
    if given := request.get("TensorBoardOutputConfig"):
        found["tensorboardoutputconfig"] = {**given, "LocalPath": _path(given, _TENSORBOARD)}
    return found


def _check_path(member: str, path: str) -> None:
    try:
        check_path(path)
    except Unfit as unfit:
        raise Invalid(f"Invalid LocalPath of {member}: {unfit}.") from None


def _path(given: Document, default: str) -> str:
    return (given.get("LocalPath") or default).rstrip("/") or "/"
