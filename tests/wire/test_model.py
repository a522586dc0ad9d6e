"""What we say about services before their models are loaded is what the models say."""

import subprocess
import sys

import pytest

from groundfog.wire import model, route


@pytest.mark.parametrize("service", model.KNOWN)
def test_the_table_of_services_agrees_with_the_models(service: str) -> None:
    described, known = model.load(service), model.KNOWN[service]
    assert described.signing_name == known.signing_name
    assert described.metadata.get("targetPrefix") == known.target
    assert ("query" in described.metadata["protocols"]) == known.query


def test_no_two_services_are_taken_for_each_other() -> None:
    targets = [known.target for known in model.KNOWN.values() if known.target]
    assert len(targets) == len(set(targets))
    query = [known.signing_name for known in model.KNOWN.values() if known.query]
    assert len(query) == len(set(query))


def test_nothing_is_loaded_before_it_is_asked_for() -> None:
    said = "from groundfog.wire import app, model; print(model.load.cache_info().currsize)"
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"


def test_paths_of_one_scope_lead_to_different_services() -> None:
    for signing_name, services in model.REST.items():
        paths = [
            (method, template.path.pattern)
            for service in services
            for method, templates in route._templates(service).items()
            for template in templates
        ]
        assert len(paths) == len(set(paths)), signing_name
