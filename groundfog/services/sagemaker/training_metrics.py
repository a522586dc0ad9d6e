"""The metrics of a training job: what AWS checks at the call, and what is looked for in its logs."""

from groundfog.engine.errors import Unfit
from groundfog.engine.launch import Program
from groundfog.engine.metrics import MetricDefinitions
from groundfog.engine.metrics import check as check_expression
from groundfog.engine.resources import Document
from groundfog.services.sagemaker.kinds import Invalid

_NAMESPACE = "/aws/sagemaker/TrainingJobs"
_ALGORITHMS = "groundfog.algorithms."
_BUILT_IN = [
    {"Name": f"{channel}:{metric}", "Regex": rf"^Checkpoint \[\d+\]\t{title}-{metric}=(\S+)"}
    for channel, title in (("train", "Train"), ("validation", "Validation"))
    for metric in ("perplexity", "accuracy", "bleu")
]
"""What built-in algorithms say at a checkpoint, under the names that AWS gives it."""


def check(algorithm: Document, program: Program) -> None:
    """Of AlgorithmSpecification."""
    given = algorithm.get("MetricDefinitions", [])
    if given and is_built_in(program):
        raise Invalid(
            "You can't override the metric definitions for Amazon SageMaker algorithms. Please retry the request "
            "without specifying metric definitions."
        )
    for definition in given:
        try:
            check_expression(definition["Regex"])
        except Unfit as unfit:
            raise Invalid(
                f"Invalid MetricDefinitions: the Regex {definition['Regex']!r} of {definition['Name']} cannot be used: "
                f"{unfit}."
            ) from None


def told(algorithm: Document, program: Program) -> list[Document]:
    """The definitions as DescribeTrainingJob tells them: also those that nobody gave."""
    return _BUILT_IN if is_built_in(program) else list(algorithm.get("MetricDefinitions", []))


def definitions(algorithm: Document, program: Program, name: str) -> MetricDefinitions | None:
    found = told(algorithm, program)
    if not found:
        return None
    return MetricDefinitions(
        namespace=_NAMESPACE,
        dimensions=(("TrainingJobName", name),),
        expressions=tuple((definition["Name"], definition["Regex"]) for definition in found),
    )


def is_built_in(program: Program) -> bool:
    return program.module.startswith(_ALGORITHMS)
