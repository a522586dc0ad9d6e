"""Stories of one machine, told of a Ray cluster: what goes into a job while it runs, and what comes out."""

import functools
import sys

import pytest
from clusters import a_cluster, why_none
from served import Server
from test_pipe_mode import (  # noqa: F401  run here again
    test_a_job_that_waits_for_its_data_is_stopped_at_once,
    test_channels_of_workers_may_be_numbered,
    test_every_kind_of_channel_in_one_job,
    test_what_cannot_be_fed_fails_the_job_naming_channel_and_object,
    use,
)
from test_training_metrics import (  # noqa: F401  run here again
    BUCKET,
    test_nothing_is_lost_or_counted_twice_though_server_and_instances_go,
)
from test_training_survives import HELD

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why_none()), reason=why_none())]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Every image is a wish of `probe_program`."""
    with a_cluster(0, 1, 1) as cluster:
        options = ("--warm", "0", "--jobs-at-once", "2", "--launcher", "ray", "--ray-address", cluster.address)
        server = Server(tmp_path_factory.mktemp("piped"), options)
        server.command = (sys.executable, HELD, "none", "serve")
        server.start()
        use(server)
        # To make a client takes a process that asks for the keys.
        server.client = functools.cache(server.client)
        for bucket in ("bucket", BUCKET):
            server.s3.create_bucket(Bucket=bucket)
        yield server
        server.stop()


@pytest.fixture(scope="module")
def held(server):
    return server
