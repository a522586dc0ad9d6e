"""`groundfog notebook` where JupyterLab is missing; tests/clients has the one where it is there."""

import importlib.util

import pytest
from click.testing import CliRunner

from groundfog.cli.notebook import notebook


@pytest.mark.parametrize("missing", [{"jupytext"}, {"jupyterlab", "jupytext"}])
def test_a_missing_extra_is_named(monkeypatch, tmp_path, missing):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in missing else object())
    said = CliRunner().invoke(notebook, ["--home", str(tmp_path)])
    assert said.exit_code == 1
    assert f"{' and '.join(sorted(missing))} not installed" in said.output
    assert "pip install 'groundfog[notebook]'" in said.output
