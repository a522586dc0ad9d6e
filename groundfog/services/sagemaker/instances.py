"""What an instance type has of processors and GPUs: what a host asks of a machine, where there are several. And how
many of them a job may have.

https://aws.amazon.com/sagemaker/ai/pricing/
"""

import re
from typing import NamedTuple

from groundfog.wire.refusal import Refusal

_TYPE = re.compile(r"(?:ml\.)?(?P<family>[a-z]+\d+[a-z]*)\.(?P<times>\d*)(?P<size>medium|large|xlarge)")
_CPUS = {"medium": 1, "large": 2, "xlarge": 4}
_FOUR_IN_THE_MIDDLE = {"12xlarge": 4, "24xlarge": 4, "48xlarge": 8}
_GPUS: dict[str, dict[str, int]] = {
    "p2": {"8xlarge": 8, "16xlarge": 16},
    "p3": {"8xlarge": 4, "16xlarge": 8},
    "p3dn": {"24xlarge": 8},
    "p4d": {"24xlarge": 8},
    "p4de": {"24xlarge": 8},
    "p5": {"48xlarge": 8},
    "p5e": {"48xlarge": 8},
    "p5en": {"48xlarge": 8},
    "g4dn": {"12xlarge": 4},
    "g5": _FOUR_IN_THE_MIDDLE,
    "g6": _FOUR_IN_THE_MIDDLE,
    "g6e": _FOUR_IN_THE_MIDDLE,
}
"""Of each family that has any, the sizes that have more than one."""


class Needs(NamedTuple):
    cpus: int
    gpus: int


def check_count(instance_type: str, wanted: int, most: int, usage: str) -> None:
    """Of one job, by the server's settings."""
    if wanted > most:
        raise Refusal(
            "ResourceLimitExceeded",
            f"The account-level service limit '{instance_type} for {usage} job usage' is {most} Instances, with a "
            f"request delta of {wanted} Instances. The server's setting most_instances says how many one job may have.",
        )


def needs(instance_type: str) -> Needs:
    """Of a type that is none, as little as a host can do with."""
    known = _TYPE.fullmatch(instance_type)
    if known is None:
        return Needs(1, 0)
    size = known["times"] + known["size"]
    gpus = _GPUS[known["family"]].get(size, 1) if known["family"] in _GPUS else 0
    return Needs(_CPUS[known["size"]] * int(known["times"] or 1), gpus)
