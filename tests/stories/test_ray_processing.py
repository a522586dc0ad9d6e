"""Stories of one machine, told of a Ray cluster: processing jobs."""

import pytest
from clusters import a_cluster, why_none
from served import Server
from test_processing_jobs import (  # noqa: F401  run here again
    s3,
    sagemaker,
    test_a_program_is_told_of_its_job,
    test_a_source_directory_comes_as_the_sdk_brings_it,
    test_continuous_outputs_come_while_it_runs_and_the_others_when_it_is_stopped,
    test_inputs_lie_where_they_are_wanted_and_outputs_are_kept,
    test_one_that_fails_says_why_and_keeps_no_half_results,
    test_without_its_input_it_fails_and_says_what_is_missing,
)

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why_none()), reason=why_none())]


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    home = tmp_path_factory.mktemp("processing") / "home"
    with a_cluster(0, 8) as cluster:
        options = ("--warm", "0", "--launcher", "ray", "--ray-address", cluster.address)
        server = Server(home, (*options, "--environments", str(home / "made-by"))).start()
        made = {}
        yield lambda service: made.setdefault(service, server.client(service))
        server.stop()
