"""Version 2 of the SageMaker Python SDK, as its users' scripts and notebooks use it."""

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
pytestmark = pytest.mark.clients


def test_the_default_bucket_and_the_execution_role_are_found(tell, numbers):
    told = tell("sdk2", "v2/session.py", numbers)
    bucket = "sagemaker-us-east-1-000000000000"
    assert told.result == {
        "account": "000000000000",
        "bucket": bucket,
        "role": "arn:aws:iam::000000000000:role/groundfog",
        "uploaded": f"s3://{bucket}/numbers",
        "listed": [f"s3://{bucket}/numbers/note.txt", f"s3://{bucket}/numbers/numbers.txt"],
        "note": "hello",
    }
    assert told.left == ""


def test_a_built_in_algorithm_is_trained_served_and_told_of_as_it_fails(tell, toy):
    told = tell("sdk2", "v2/built_in_algorithm.py", toy)
    result = told.result
    assert re.fullmatch(r"s3://sagemaker-us-east-1-0{12}/toy/out/seq2seq-[-\d]+/output/model.tar.gz", result["model"])
    assert result["hyperparameters"]["max_num_batches"] == "2"
    assert len(result["predicted"]["predictions"]) == 2
    assert [list(line) for line in result["spoken"]] == [["target"]] * 2
    assert "Training - Training image download completed. Training in progress." in told.text
    assert "Training finished. Best checkpoint" in told.text
    assert "Training seconds: " in told.text
    assert result["failed"]["status"] == "Failed"
    assert "Failed. Reason: ClientError: batch_size has to be an integer of at least 1" in result["failed"]["text"]
    assert told.left == ""


def test_scripts_are_trained_by_each_frameworks_estimator_and_served_when_packed_anew(tell, numbers):
    told = tell("sdk2", "v2/script_mode.py", HERE / "source", numbers)
    result = told.result
    assert "epoch=1 mean_so_far=2.500;" in told.text
    assert result["metrics"] == {framework: {"mean": 2.5} for framework in ("pytorch", "sklearn", "huggingface")}
    assert set(result["charted"]) == {2.5}
    assert result["repacked"].endswith("/model.tar.gz")
    assert result["repacked"] != result["models"]["huggingface"]
    assert result["predicted"]["sklearn"] == result["predicted"]["huggingface"] == {"above_the_mean": [-1.5, 7.5]}
    assert "ExecuteUserScriptError" in result["failed"]
    assert "the script was told to fail: as asked" in result["failed"]
    assert told.left == ""


def test_processors_split_look_and_fail(tell, numbers):
    told = tell("sdk2", "v2/processor.py", HERE / "processing", numbers)
    result = told.result
    assert "3 of 4 lines to learn from" in told.text
    assert result["parts"] == {"train": ["1", "2", "3"], "test": ["4"]}
    assert result["status"] == "Completed"
    assert result["seen"] == {"numbers": 3, "sum": 6, "toolz": "1.0.0"}
    assert (
        "Failed. Reason: AlgorithmError: " in result["failed"] and "invalid float value: 'nonsense'" in result["failed"]
    )
    assert told.left == ""
