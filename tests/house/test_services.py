"""The folder is the registry: every handler is an operation of botocore's, and the coverage table is true."""

import subprocess
import sys
from pathlib import Path

import botocore.session
import pytest
from botocore import xform_name

from groundfog.services import bind

ROOT = Path(__file__).parents[2]
HANDLERS = bind(engine=None)  # type: ignore[arg-type]


@pytest.mark.parametrize("service", sorted(HANDLERS))
def test_a_handler_is_named_as_boto3_names_the_operation(service: str):
    model = botocore.session.get_session().get_service_model(service)
    assert set(HANDLERS[service]) <= {xform_name(name) for name in model.operation_names}


def test_the_coverage_table_is_what_is_there():
    checked = subprocess.run([sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
