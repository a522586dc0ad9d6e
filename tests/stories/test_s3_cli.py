"""S3 through AWS's own command line, which lives in an environment of its own, `.clients/aws`."""

import os
import subprocess
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from served import Server

AWS = Path(__file__).parents[2] / ".clients" / "aws" / "bin" / "aws"

pytestmark = pytest.mark.skipif(not AWS.exists(), reason=f"AWS's command line is not installed in {AWS.parents[1]}")

Aws = Callable[..., str]


@pytest.fixture(scope="module")
def aws(server: Server) -> Aws:
    environment = server.environment | {"AWS_ENDPOINT_URL": server.url, "AWS_PAGER": ""}

    def run(*arguments: str) -> str:
        done = subprocess.run([AWS, *arguments], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="module")
def bucket(aws: Aws) -> str:
    name = f"cli-{uuid.uuid4().hex}"
    assert aws("s3", "mb", f"s3://{name}") == f"make_bucket: {name}\n"
    return name


def test_files_go_up_and_come_down(aws: Aws, bucket: str, tmp_path: Path) -> None:
    body = os.urandom(9 << 20)
    (tmp_path / "big file").write_bytes(body)
    aws("s3", "cp", "--no-progress", str(tmp_path / "big file"), f"s3://{bucket}/up/")
    aws("s3", "cp", "--no-progress", f"s3://{bucket}/up/big file", f"s3://{bucket}/up/copy")
    aws("s3", "cp", "--no-progress", f"s3://{bucket}/up/copy", str(tmp_path / "down"))
    assert (tmp_path / "down").read_bytes() == body
    listed = aws("s3", "ls", "--recursive", f"s3://{bucket}/up/")
    assert [line.split(None, 3)[2:] for line in listed.splitlines()] == [
        [str(len(body)), "up/big file"],
        [str(len(body)), "up/copy"],
    ]
    url = aws("s3", "presign", f"s3://{bucket}/up/copy").strip()
    with urllib.request.urlopen(url, timeout=20) as answer:
        assert answer.read() == body
    aws("s3", "rm", "--recursive", f"s3://{bucket}/up/")
    assert aws("s3", "ls", f"s3://{bucket}") == ""


def test_a_tree_is_kept_in_step(aws: Aws, bucket: str, tmp_path: Path) -> None:
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    for name in ("one", "deep/two"):
        (tmp_path / "tree" / name).write_text(name)
    assert len(aws("s3", "sync", "--no-progress", str(tmp_path / "tree"), f"s3://{bucket}/tree").splitlines()) == 2
    assert aws("s3", "sync", "--no-progress", str(tmp_path / "tree"), f"s3://{bucket}/tree") == ""
    (tmp_path / "tree" / "one").unlink()
    aws("s3", "sync", "--no-progress", "--delete", str(tmp_path / "tree"), f"s3://{bucket}/tree")
    assert aws("s3", "ls", f"s3://{bucket}/tree/").split() == ["PRE", "deep/"]
    listed = aws("s3api", "list-objects-v2", "--bucket", bucket, "--query", "Contents[].Key", "--output", "text")
    assert listed.split() == ["tree/deep/two"]
