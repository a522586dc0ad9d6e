"""Version 3 of the SageMaker Python SDK: ModelTrainer and ModelBuilder, where they need no Docker."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent
pytestmark = pytest.mark.clients


def test_a_script_is_trained_by_the_sdks_own_drivers_and_its_model_served(tell, numbers):
    told = tell("sdk3", "v3/model_trainer.py", HERE / "source", numbers)
    result = told.result
    assert result["status"] == "Completed"
    assert result["metrics"] == {"mean": 2.5}
    assert result["predicted"] == {"above_the_mean": [-1.5, 7.5]}
    assert "FailedStatusError" in result["failed"]
    # The SDK's own driver writes the failure file: what it ran, not what the script said; that is in the log.
    assert "'--fail', 'as asked']' returned non-zero exit status 1" in result["failed"]
    assert "the script was told to fail: as asked" in told.complaints
    assert told.left == ""


def test_a_built_in_algorithm_is_trained_and_served_from_its_image_alone(tell, toy):
    told = tell("sdk3", "v3/built_in_algorithm.py", toy)
    assert told.result["jobs"] == ["toy"]
    assert len(told.result["predicted"]["predictions"]) == 1
    assert told.left == ""


def test_a_processor_brings_a_source_directory_with_requirements(tell, numbers):
    told = tell("sdk3", "v3/processor.py", HERE / "processing" / "look", numbers)
    assert told.result == {"seen": {"numbers": 4, "sum": 10, "toolz": "1.0.0"}, "status": "Completed"}
    assert told.left == ""
