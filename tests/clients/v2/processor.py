"""Processing jobs are not here yet: what is asked for is named."""

import json
import sys

import sagemaker
from botocore.exceptions import ClientError
from sagemaker.sklearn.processing import SKLearnProcessor

processor = SKLearnProcessor("1.2-1", sagemaker.get_execution_role(), instance_type="ml.m5.xlarge", instance_count=1)
try:
    processor.run(sys.argv[1])
    refused = None
except ClientError as error:
    refused = error.response["Error"]
print(json.dumps(refused))
