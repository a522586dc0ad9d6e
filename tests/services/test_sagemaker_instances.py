import pytest

from groundfog.services.sagemaker.instances import needs


@pytest.mark.parametrize(
    ("instance_type", "cpus", "gpus"),
    [
        ("ml.t3.medium", 1, 0),
        ("ml.m5.large", 2, 0),
        ("ml.c5.xlarge", 4, 0),
        ("ml.m5.24xlarge", 96, 0),
        ("ml.p2.xlarge", 4, 1),
        ("ml.p3.16xlarge", 64, 8),
        ("ml.p4d.24xlarge", 96, 8),
        ("ml.g4dn.xlarge", 4, 1),
        ("ml.g5.12xlarge", 48, 4),
        ("ml.g5.16xlarge", 64, 1),
        ("local", 1, 0),
        ("", 1, 0),
    ],
)
def test_an_instance_type_says_what_it_has(instance_type, cpus, gpus):
    assert needs(instance_type) == (cpus, gpus)
