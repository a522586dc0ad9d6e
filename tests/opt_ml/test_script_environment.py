"""The rules of AWS's training toolkit, each by name. https://github.com/aws/sagemaker-training-toolkit"""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundfog.opt_ml import script_environment
from groundfog.opt_ml.layout import Layout
from groundfog.opt_ml.run import ClientFault
from groundfog.opt_ml.script_environment import Environment

OPT_ML = Layout(Path("/opt/ml"))
SUBMITTED = "s3://bucket/job/source/sourcedir.tar.gz"
HYPERPARAMETERS = {
    "epochs": "3",
    "batch-size": "2",
    "model_name": '"facebook/wav2vec2-base"',
    "bare": "not json",
    "n": "null",
    "nested": '{"b": [1, 2], "a": true}',
    "sagemaker_program": '"train.py"',
    "sagemaker_submit_directory": f'"{SUBMITTED}"',
    "sagemaker_container_log_level": "20",
    "sagemaker_job_name": '"the-job"',
    "sagemaker_region": '"eu-west-1"',
    "sagemaker_mpi_num_of_processes_per_host": "4",
}
RESOURCES = {
    "current_host": "algo-2",
    "hosts": ["algo-1", "algo-2"],
    "current_instance_type": "ml.m5.xlarge",
    "current_group_name": "homogeneousCluster",
    "instance_groups": [
        {
            "instance_group_name": "homogeneousCluster",
            "instance_type": "ml.m5.xlarge",
            "hosts": ["algo-1", "algo-2"],
        }
    ],
    "network_interface_name": "eth0",
}
CHANNELS = {
    "train": {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"},
    "test": {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"},
}
HPS = (
    '{"bare":"not json","batch-size":2,"epochs":3,"model_name":"facebook/wav2vec2-base","n":null,'
    '"nested":{"a":true,"b":[1,2]}}'
)
GROUP = '{"hosts":["algo-1","algo-2"],"instance_group_name":"homogeneousCluster","instance_type":"ml.m5.xlarge"}'
CHANNEL = '{"RecordWrapperType":"None","S3DistributionType":"FullyReplicated","TrainingInputMode":"File"}'
ARGUMENTS = [
    *("--bare", "not json", "--batch-size", "2", "--epochs", "3"),
    *("--model_name", "facebook/wav2vec2-base", "-n", "", "--nested", "a=True,b=[1, 2]"),
]
EXPECTED = {
    "SM_HOSTS": '["algo-1","algo-2"]',
    "SM_CURRENT_HOST": "algo-2",
    "SM_NETWORK_INTERFACE_NAME": "eth0",
    "SM_HPS": HPS,
    "SM_HP_EPOCHS": "3",
    "SM_HP_BATCH-SIZE": "2",
    "SM_HP_MODEL_NAME": "facebook/wav2vec2-base",
    "SM_HP_BARE": "not json",
    "SM_HP_N": "",
    "SM_HP_NESTED": '{"a":true,"b":[1,2]}',
    "SM_USER_ENTRY_POINT": "train.py",
    "SM_MODULE_NAME": "train",
    "SM_MODULE_DIR": SUBMITTED,
    "SM_FRAMEWORK_PARAMS": '{"sagemaker_mpi_num_of_processes_per_host":4}',
    "SM_FRAMEWORK_MODULE": "sagemaker_pytorch_container.training:main",
    "SM_RESOURCE_CONFIG": (
        '{"current_group_name":"homogeneousCluster","current_host":"algo-2","current_instance_type":"ml.m5.xlarge",'
        f'"hosts":["algo-1","algo-2"],"instance_groups":[{GROUP}],"network_interface_name":"eth0"}}'
    ),
    "SM_INPUT_DATA_CONFIG": f'{{"test":{CHANNEL},"train":{CHANNEL}}}',
    "SM_INPUT_DIR": "/opt/ml/input",
    "SM_INPUT_CONFIG_DIR": "/opt/ml/input/config",
    "SM_OUTPUT_DIR": "/opt/ml/output",
    "SM_OUTPUT_DATA_DIR": "/opt/ml/output/data",
    "SM_OUTPUT_INTERMEDIATE_DIR": "/opt/ml/output/intermediate",
    "SM_MODEL_DIR": "/opt/ml/model",
    "SM_CHANNELS": '["test","train"]',
    "SM_CHANNEL_TRAIN": "/opt/ml/input/data/train",
    "SM_CHANNEL_TEST": "/opt/ml/input/data/test",
    "SM_NUM_GPUS": "2",
    "SM_NUM_CPUS": "8",
    "SM_NUM_NEURONS": "0",
    "SM_LOG_LEVEL": "20",
    "SM_USER_ARGS": json.dumps(ARGUMENTS, separators=(",", ":")),
    "SM_CURRENT_INSTANCE_TYPE": "ml.m5.xlarge",
    "SM_CURRENT_INSTANCE_GROUP": "homogeneousCluster",
    "SM_CURRENT_INSTANCE_GROUP_HOSTS": '["algo-1","algo-2"]',
    "SM_INSTANCE_GROUPS": '["homogeneousCluster"]',
    "SM_INSTANCE_GROUPS_DICT": f'{{"homogeneousCluster":{GROUP}}}',
    "SM_DISTRIBUTION_INSTANCE_GROUPS": "[]",
    "SM_IS_HETERO": "false",
    "SAGEMAKER_JOB_NAME": "the-job",
    "SAGEMAKER_REGION": "eu-west-1",
    "CURRENT_HOST": "algo-2",
}
TRAINING = {
    "additional_framework_parameters": {"sagemaker_mpi_num_of_processes_per_host": 4},
    "channel_input_dirs": {"train": "/opt/ml/input/data/train", "test": "/opt/ml/input/data/test"},
    "current_host": "algo-2",
    "current_instance_group": "homogeneousCluster",
    "current_instance_group_hosts": ["algo-1", "algo-2"],
    "current_instance_type": "ml.m5.xlarge",
    "distribution_hosts": [],
    "distribution_instance_groups": [],
    "framework_module": "sagemaker_pytorch_container.training:main",
    "hosts": ["algo-1", "algo-2"],
    "hyperparameters": json.loads(HPS),
    "input_config_dir": "/opt/ml/input/config",
    "input_data_config": CHANNELS,
    "input_dir": "/opt/ml/input",
    "instance_groups": ["homogeneousCluster"],
    "instance_groups_dict": {"homogeneousCluster": json.loads(GROUP)},
    "is_hetero": False,
    "is_master": False,
    "is_modelparallel_enabled": None,
    "job_name": "the-job",
    "log_level": 20,
    "master_hostname": "algo-1",
    "model_dir": "/opt/ml/model",
    "module_dir": SUBMITTED,
    "module_name": "train",
    "network_interface_name": "eth0",
    "num_cpus": 8,
    "num_gpus": 2,
    "num_neurons": 0,
    "output_data_dir": "/opt/ml/output/data",
    "output_dir": "/opt/ml/output",
    "output_intermediate_dir": "/opt/ml/output/intermediate",
    "resource_config": RESOURCES,
    "user_entry_point": "train.py",
}


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script_environment, "gpus", lambda: 2)
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(8)))


def of(hyperparameters: dict[str, str], **variables: str) -> Environment:
    """Read as a program reads it, but at the real paths."""
    loaded = {name: script_environment._loaded(text) for name, text in hyperparameters.items()}
    return Environment(OPT_ML, loaded, RESOURCES, CHANNELS, variables)


@pytest.fixture
def told() -> dict[str, str]:
    module = "sagemaker_pytorch_container.training:main"
    return of(HYPERPARAMETERS, SAGEMAKER_TRAINING_MODULE=module, TRAINING_JOB_NAME="the-job").to_variables()


@pytest.mark.parametrize("name", EXPECTED)
def test_each_variable_is_told_as_the_toolkit_tells_it(name: str, told: dict[str, str]) -> None:
    assert told[name] == EXPECTED[name]


def test_nothing_else_is_told(told: dict[str, str]) -> None:
    assert told.keys() == EXPECTED.keys() | {"SM_TRAINING_ENV"}


def test_the_training_environment_holds_all_of_it(told: dict[str, str]) -> None:
    assert json.loads(told["SM_TRAINING_ENV"]) == TRAINING


def test_arguments_come_sorted_and_spelled_as_the_toolkit_spells_them() -> None:
    assert of(HYPERPARAMETERS).arguments == ARGUMENTS
    assert of({"v": "true", "Z": "1"}).arguments == ["-Z", "1", "-v", "True"]


def test_a_framework_that_spreads_over_hosts_says_over_which() -> None:
    given = {"sagemaker_program": "train.py", "sagemaker_torch_distributed_enabled": "true"}
    told = of(given).to_variables()
    assert told["SM_DISTRIBUTION_INSTANCE_GROUPS"] == '["homogeneousCluster"]'
    assert json.loads(told["SM_TRAINING_ENV"])["distribution_hosts"] == ["algo-1", "algo-2"]


def test_the_variable_counts_for_more_than_the_hyperparameter() -> None:
    assert of({"sagemaker_program": "a.py"}, SAGEMAKER_PROGRAM="b.py").entry_point == "b.py"


def test_no_script_is_the_users_fault() -> None:
    with pytest.raises(ClientFault, match="sagemaker_program"):
        _ = of({}).entry_point


TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0="), min_size=1)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(TEXTS, VALUES, max_size=5))
def test_what_the_sdk_encodes_comes_back(hyperparameters: dict[str, object]) -> None:
    sent = {name: json.dumps(value) for name, value in hyperparameters.items()}
    environment = of({**sent, "sagemaker_program": '"a.py"'})
    own = {name: value for name, value in hyperparameters.items() if not script_environment._is_ours(name)}
    told = environment.to_variables()
    assert json.loads(told["SM_HPS"]) == own
    assert environment.arguments[::2] == [f"-{name}" if len(name) == 1 else f"--{name}" for name in sorted(own)]
    assert all(isinstance(value, str) for value in told.values())
    assert {f"SM_HP_{name.upper()}" for name in own} <= told.keys()


@given(st.dictionaries(TEXTS, TEXTS, max_size=5))
def test_what_others_send_bare_is_kept_unless_it_is_json(hyperparameters: dict[str, str]) -> None:
    for name, value in of(hyperparameters).given.items():
        sent = hyperparameters[name]
        assert value == sent or json.loads(sent) == value or value != value


@pytest.mark.parametrize("hyperparameters", [{"a=b": "1"}, {"a\0": "1"}, {"a": '"\\u0000"'}])
def test_what_no_program_can_be_told_is_named(hyperparameters: dict[str, str], tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.lay_out()
    layout.configure(hyperparameters, {}, {})
    with pytest.raises(ClientFault, match="cannot be told"):
        script_environment.read(layout)
