"""What every notebook begins with."""

import json
import sys

import sagemaker
from sagemaker.s3 import S3Downloader, S3Uploader

session = sagemaker.Session()
uri = session.upload_data(sys.argv[1], key_prefix="numbers")
S3Uploader.upload_string_as_file_body("hello", f"s3://{session.default_bucket()}/numbers/note.txt")
print(
    json.dumps(
        {
            "account": session.account_id(),
            "bucket": session.default_bucket(),
            "role": sagemaker.get_execution_role(),
            "uploaded": uri,
            "listed": sorted(S3Downloader.list(f"s3://{session.default_bucket()}/numbers/")),
            "note": S3Downloader.read_file(f"s3://{session.default_bucket()}/numbers/note.txt"),
        }
    )
)
