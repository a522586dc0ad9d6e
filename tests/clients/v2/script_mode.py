"""A script of the user's, trained by three frameworks' estimators, then served after being packed anew by the SDK."""

import json
import sys

import sagemaker
from sagemaker.deserializers import JSONDeserializer
from sagemaker.exceptions import UnexpectedStatusException
from sagemaker.huggingface import HuggingFace, HuggingFaceModel
from sagemaker.inputs import TrainingInput
from sagemaker.pytorch import PyTorch
from sagemaker.serializers import JSONSerializer
from sagemaker.sklearn import SKLearn

source, numbers = sys.argv[1:]
session = sagemaker.Session()
role = sagemaker.get_execution_role()
train = TrainingInput(session.upload_data(numbers, key_prefix="measured"), content_type="text/plain")
shared = {
    "entry_point": "train.py",
    "source_dir": source,
    "role": role,
    "instance_count": 1,
    "hyperparameters": {"epochs": 2},
    "metric_definitions": [{"Name": "mean", "Regex": r"mean_so_far=([0-9.]+);"}],
}
estimators = {
    "pytorch": PyTorch(framework_version="2.3", py_version="py311", instance_type="ml.g5.xlarge", **shared),
    "sklearn": SKLearn(framework_version="1.2-1", instance_type="ml.m5.xlarge", **shared),
    "huggingface": HuggingFace(
        transformers_version="4.28",
        pytorch_version="2.0",
        py_version="py310",
        instance_type="ml.g5.xlarge",
        **shared,
    ),
}
for estimator in estimators.values():
    estimator.fit({"train": train}, logs="All")

ends = {"serializer": JSONSerializer(), "deserializer": JSONDeserializer()}
huggingface = estimators["huggingface"]
model = HuggingFaceModel(
    model_data=huggingface.model_data,
    role=role,
    transformers_version="4.28",
    pytorch_version="2.0",
    py_version="py310",
    entry_point="inference.py",
    source_dir=source,
)
predictors = {
    "huggingface": model.deploy(1, "ml.m5.xlarge", **ends),
    "sklearn": estimators["sklearn"].deploy(1, "ml.m5.xlarge", entry_point="inference.py", source_dir=source, **ends),
}
predicted = {name: predictor.predict([1, 10]) for name, predictor in predictors.items()}
for predictor in predictors.values():
    predictor.delete_model()
    predictor.delete_endpoint()

failing = {**shared, "hyperparameters": {"epochs": 1, "fail": "as asked"}}
try:
    SKLearn(framework_version="1.2-1", instance_type="ml.m5.xlarge", **failing).fit({"train": train})
    failed = None
except UnexpectedStatusException as unexpected:
    failed = str(unexpected)
jobs = {name: estimator.jobs[0].describe() for name, estimator in estimators.items()}
print(
    json.dumps(
        {
            "models": {name: job["ModelArtifacts"]["S3ModelArtifacts"] for name, job in jobs.items()},
            "metrics": {
                name: {metric["MetricName"]: metric["Value"] for metric in job["FinalMetricDataList"]}
                for name, job in jobs.items()
            },
            "charted": estimators["pytorch"].training_job_analytics.dataframe()["value"].tolist(),
            "repacked": model.repacked_model_data,
            "predicted": predicted,
            "failed": failed,
        }
    )
)
