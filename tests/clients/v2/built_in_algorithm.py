"""The walkthrough's steps with the SDK's own classes: a built-in algorithm, an endpoint, a batch transform."""

import json
import sys
from pathlib import Path

import sagemaker
from sagemaker.deserializers import JSONDeserializer
from sagemaker.estimator import Estimator
from sagemaker.exceptions import UnexpectedStatusException
from sagemaker.inputs import TrainingInput
from sagemaker.s3 import S3Downloader, S3Uploader
from sagemaker.serializers import JSONSerializer

session = sagemaker.Session()
bucket = session.default_bucket()
inputs = {
    channel.name: TrainingInput(
        session.upload_data(str(channel), key_prefix=f"toy/{channel.name}"), distribution="FullyReplicated"
    )
    for channel in Path(sys.argv[1]).iterdir()
}
estimator = Estimator(
    sagemaker.image_uris.retrieve("seq2seq", session.boto_region_name),
    sagemaker.get_execution_role(),
    instance_count=1,
    instance_type="ml.p2.xlarge",
    output_path=f"s3://{bucket}/toy/out",
    sagemaker_session=session,
)
sizes = dict.fromkeys(("rnn_num_hidden", "num_embed_source", "num_embed_target"), 16)
estimator.set_hyperparameters(**sizes, max_num_batches=2, batch_size=2, max_seq_len_target=4)
estimator.fit(inputs, wait=True, logs="All")

predictor = estimator.deploy(1, "ml.m4.xlarge", serializer=JSONSerializer(), deserializer=JSONDeserializer())
predicted = predictor.predict({"instances": [{"data": "A B"}, {"data": "C D"}]})
predictor.delete_model()
predictor.delete_endpoint()

transformer = estimator.transformer(
    1, "ml.m4.xlarge", strategy="SingleRecord", assemble_with="Line", output_path=f"s3://{bucket}/toy/spoken"
)
words = S3Uploader.upload_string_as_file_body('{"source": "A B"}\n{"source": "C"}\n', f"s3://{bucket}/toy/words.jsonl")
transformer.transform(words, content_type="application/jsonlines", split_type="Line", wait=True, logs=False)
spoken = S3Downloader.read_file(f"s3://{bucket}/toy/spoken/words.jsonl.out")

attached = Estimator.attach(estimator.latest_training_job.name, sagemaker_session=session)
estimator.set_hyperparameters(batch_size=-1)
try:
    estimator.fit(inputs)
    failed = None
except UnexpectedStatusException as unexpected:
    failed = {"text": str(unexpected), "status": unexpected.actual_status}
print(
    json.dumps(
        {
            "model": attached.model_data,
            "hyperparameters": attached.hyperparameters(),
            "predicted": predicted,
            "spoken": [json.loads(line) for line in spoken.splitlines()],
            "failed": failed,
        }
    )
)
