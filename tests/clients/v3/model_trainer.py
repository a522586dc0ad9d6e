"""Version 3's one class for every training, and its one class for every model."""

import json
import sys

from sagemaker.core import image_uris
from sagemaker.core.helper.session_helper import Session, get_execution_role
from sagemaker.serve import ModelBuilder
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, InputData, MetricDefinition, SourceCode

source, numbers = sys.argv[1:]
session = Session()
image = image_uris.retrieve(
    "pytorch",
    session.boto_region_name,
    version="2.3",
    py_version="py311",
    instance_type="ml.m5.xlarge",
    image_scope="training",
)
trainer = ModelTrainer(
    training_image=image,
    source_code=SourceCode(source_dir=source, entry_script="train.py"),
    compute=Compute(instance_type="ml.m5.xlarge", instance_count=1),
    hyperparameters={"epochs": 2},
    base_job_name="mean",
).with_metric_definitions([MetricDefinition(name="mean", regex="mean_so_far=([0-9.]+);")])
trainer.train([InputData(channel_name="train", data_source=numbers)])
job = trainer._latest_training_job.refresh()

builder = ModelBuilder(
    image_uri=image.replace("pytorch-training", "pytorch-inference"),
    s3_model_data_url=job.model_artifacts.s3_model_artifacts,
    source_code=SourceCode(source_dir=source, entry_script="inference.py"),
    role_arn=get_execution_role(),
    sagemaker_session=session,
)
builder.build()
endpoint = builder.deploy(endpoint_name="mean", instance_type="ml.m5.xlarge")
answer = endpoint.invoke(body=json.dumps([1, 10]), content_type="application/json", accept="application/json")
predicted = json.loads(answer.body.read())
endpoint.delete()

trainer.hyperparameters = {"epochs": 1, "fail": "as asked"}
try:
    trainer.train([InputData(channel_name="train", data_source=numbers)])
    failed = None
except Exception as error:
    failed = f"{type(error).__name__}: {error}"
print(
    json.dumps(
        {
            "status": job.training_job_status,
            "model": job.model_artifacts.s3_model_artifacts,
            "metrics": {metric.metric_name: metric.value for metric in job.final_metric_data_list},
            "predicted": predicted,
            "failed": failed,
        }
    )
)
