"""A source directory with requirements looks at numbers that lie in a bucket."""

import json
import sys

from sagemaker.core import image_uris
from sagemaker.core.helper.session_helper import Session, get_execution_role
from sagemaker.core.processing import FrameworkProcessor
from sagemaker.core.shapes import (
    ProcessingInput,
    ProcessingOutput,
    ProcessingS3Input,
    ProcessingS3Output,
)

look, numbers = sys.argv[1:]
session = Session()
bucket = session.default_bucket()
session.upload_data(numbers, bucket, "looked-at")
image = image_uris.retrieve("sklearn", session.boto_region_name, version="1.2-1", instance_type="ml.m5.xlarge")
processor = FrameworkProcessor(
    image_uri=image,
    role=get_execution_role(),
    command=["python3"],
    instance_type="ml.m5.xlarge",
    instance_count=1,
    sagemaker_session=session,
)
place = "/opt/ml/processing"
processor.run(
    code="look.py",
    source_dir=look,
    inputs=[
        ProcessingInput(
            input_name="train",
            s3_input=ProcessingS3Input(
                s3_uri=f"s3://{bucket}/looked-at/numbers.txt", local_path=f"{place}/train", s3_data_type="S3Prefix"
            ),
        )
    ],
    outputs=[
        ProcessingOutput(
            output_name="seen",
            s3_output=ProcessingS3Output(
                s3_uri=f"s3://{bucket}/seen", local_path=f"{place}/seen", s3_upload_mode="EndOfJob"
            ),
        )
    ],
)
seen = session.read_s3_file(bucket, "seen/seen.json")
print(json.dumps({"seen": json.loads(seen), "status": processor.latest_job.refresh().processing_job_status}))
