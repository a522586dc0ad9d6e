"""What `groundfog exec` does where AWS_ENDPOINT_URL does not reach: in any Python, and leaving nothing else changed."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from groundfog.opt_ml import redirect

OURS = "http://127.0.0.1:4599"
AMAZONS = "https://sts.us-east-1.amazonaws.com"


def python(script: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """A Python that finds our folder first; what is empty in `environment` is not there at all."""
    around = os.environ | {"PYTHONPATH": str(redirect.HERE), "AWS_ENDPOINT_URL": OURS} | environment
    around = {name: value for name, value in around.items() if value}
    return subprocess.run([sys.executable, "-c", script], env=around, capture_output=True, text=True, timeout=60)


def endpoint_of_a_client(asked: str, **environment: str) -> str:
    script = f"""
import boto3
pair = {{"aws_access_key_id": "a", "aws_secret_access_key": "b"}}
print(boto3.client("sts", "us-east-1", endpoint_url={asked!r}, **pair).meta.endpoint_url)
"""
    return python(script, **environment).stdout.strip()


def test_a_clients_fixed_address_of_aws_gives_way():
    assert endpoint_of_a_client(AMAZONS) == OURS


def test_another_explicit_address_stays():
    assert endpoint_of_a_client("https://sts.amazonaws.com.example.org") == "https://sts.amazonaws.com.example.org"


def test_without_the_variable_nothing_changes():
    assert endpoint_of_a_client(AMAZONS, AWS_ENDPOINT_URL="") == AMAZONS


def test_botocore_is_not_imported_for_it_and_no_trace_is_on_the_path():
    loaded = python("import sys; print('botocore' in sys.modules, sys.path)").stdout
    assert loaded.startswith("False")
    assert str(redirect.HERE) not in loaded


def test_a_sitecustomize_of_the_users_own_runs_as_ever(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import builtins; builtins.seen = __file__")
    found = python(
        "import sitecustomize; print(seen, sitecustomize.__file__)",
        PYTHONPATH=os.pathsep.join([str(redirect.HERE), str(tmp_path)]),
    )
    assert found.stdout.split() == [str(tmp_path / "sitecustomize.py")] * 2


@pytest.mark.parametrize("fault", ["import nowhere_to_be_found", "1 / 0"])
def test_what_is_wrong_with_it_is_told_as_ever(tmp_path, fault):
    (tmp_path / "sitecustomize.py").write_text(fault)
    alone = python("print('on')", PYTHONPATH=str(tmp_path))
    behind_us = python("print('on')", PYTHONPATH=os.pathsep.join([str(redirect.HERE), str(tmp_path)]))
    assert behind_us.stdout == alone.stdout == "on\n"
    assert behind_us.stderr.splitlines()[-2:] == alone.stderr.splitlines()[-2:]
    assert alone.stderr


def test_it_is_for_any_python_from_3_8_on_and_imports_the_standard_library_only():
    tree = ast.parse((redirect.HERE / "sitecustomize.py").read_text(), feature_version=(3, 8))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names


def exec_(server, script: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "groundfog", "exec", "--home", str(server.home), "--", *("sh", "-c", script)]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=60)


def test_what_is_stronger_than_our_variables_is_taken_away(server):
    """And the children of the command are turned too."""
    child = f"import boto3; print(boto3.client('sts', endpoint_url='{AMAZONS}').get_caller_identity()['Account'])"
    ran = exec_(
        server,
        f'"{sys.executable}" -c "{child}"',
        AWS_PROFILE="not-there",
        AWS_DEFAULT_PROFILE="not-there",
        AWS_ENDPOINT_URL_STS="http://127.0.0.1:1",
        AWS_IGNORE_CONFIGURED_ENDPOINT_URLS="true",
        HTTP_PROXY="http://127.0.0.1:1",
    )
    assert ran.stdout == "000000000000\n", ran.stderr


def test_the_sdks_telemetry_is_off_and_defaults_of_the_users_stay(server):
    show = "echo $SAGEMAKER_ADMIN_CONFIG_OVERRIDE $DISABLE_JUMPSTART_TELEMETRY"
    assert exec_(server, show).stdout.split() == [str(redirect.HERE / "sagemaker.yaml"), "1"]
    assert exec_(server, show, SAGEMAKER_ADMIN_CONFIG_OVERRIDE="/mine.yaml").stdout.split()[0] == "/mine.yaml"


def test_the_administrators_defaults_are_not_hidden(server, tmp_path: Path):
    (tmp_path / "sagemaker").mkdir()
    (tmp_path / "sagemaker" / "config.yaml").write_text("SchemaVersion: '1.0'")
    shown = exec_(server, "echo [$SAGEMAKER_ADMIN_CONFIG_OVERRIDE]", XDG_CONFIG_DIRS=f"/nowhere:{tmp_path}")
    assert shown.stdout == "[]\n"


def test_env_exports_the_same_and_takes_the_same_away(server):
    command = [sys.executable, "-m", "groundfog", "env", "--home", str(server.home)]
    around = os.environ | {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1", "PYTHONPATH": f"/mine:{redirect.HERE}"}
    printed = subprocess.run(command, env=around, capture_output=True, text=True, check=True).stdout
    shown = subprocess.run(
        [
            "bash",
            "-c",
            f'eval "$0"; "{sys.executable}" -c "import os, json; print(json.dumps(dict(os.environ)))"',
            printed,
        ],
        env=around,
        capture_output=True,
        text=True,
        check=True,
    )
    given = json.loads(shown.stdout)
    assert given["PYTHONPATH"] == f"{redirect.HERE}:/mine"
    assert "AWS_ENDPOINT_URL_S3" not in given
