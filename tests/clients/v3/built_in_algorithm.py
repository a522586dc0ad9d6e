"""A built-in algorithm has no source code: channels in, a model out, an endpoint from its image alone."""

import json
import sys
from pathlib import Path

from sagemaker.core.helper.session_helper import Session, get_execution_role
from sagemaker.core.resources import Endpoint, TrainingJob
from sagemaker.serve import ModelBuilder
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, InputData

session = Session()
image = "811284229777.dkr.ecr.us-east-1.amazonaws.com/seq2seq:1"
sizes = dict.fromkeys(("rnn_num_hidden", "num_embed_source", "num_embed_target"), 16)
trainer = ModelTrainer(
    training_image=image,
    compute=Compute(instance_type="ml.p2.xlarge", instance_count=1),
    hyperparameters={**sizes, "max_num_batches": 2, "batch_size": 2, "max_seq_len_target": 4},
    base_job_name="toy",
)
channels = [InputData(channel_name=folder.name, data_source=str(folder)) for folder in Path(sys.argv[1]).iterdir()]
trainer.train(channels, logs=True)
job = TrainingJob.get(trainer._latest_training_job.training_job_name)

builder = ModelBuilder(
    image_uri=image,
    s3_model_data_url=job.model_artifacts.s3_model_artifacts,
    role_arn=get_execution_role(),
    sagemaker_session=session,
)
builder.build()
builder.deploy(endpoint_name="toy", instance_type="ml.m4.xlarge")
endpoint = Endpoint.get("toy")
answer = endpoint.invoke(body=json.dumps({"instances": [{"data": "A B"}]}), content_type="application/json")
predicted = json.loads(answer.body.read())
endpoint.delete()
print(
    json.dumps(
        {
            "jobs": [job.training_job_name.partition("-")[0] for job in TrainingJob.get_all(name_contains="toy")],
            "predicted": predicted,
        }
    )
)
