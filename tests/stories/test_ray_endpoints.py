"""An endpoint's replica on a Ray cluster, reached through the server."""

import json

import pytest
from clusters import a_cluster, why_none
from served import wait_until
from test_endpoints import Desk
from test_ray import SECONDS

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why_none()), reason=why_none())]


def test_a_replica_on_a_node_answers_and_outlives_its_server(own_server, archive):
    with a_cluster(0, 2) as cluster:
        server = own_server("--warm", "0", "--launcher", "ray", "--ray-address", cluster.address)
        desk = Desk(server.client, archive)
        desk.model("one")
        desk.config("config", first=1)
        desk.sagemaker.create_endpoint(EndpointName="there", EndpointConfigName="config")
        waiter = desk.sagemaker.get_waiter("endpoint_in_service")
        waiter.config.delay, waiter.config.max_attempts = 0.5, 2 * SECONDS
        waiter.wait(EndpointName="there")
        assert json.loads(desk.ask("there")["Body"].read())["predictions"]
        (placed,) = (server.home / "nodes").glob("*/placed")
        assert len(placed.read_text().split()) == 2
        server.kill()
        server.start()
        assert json.loads(desk.ask("there")["Body"].read())["predictions"]
        desk.sagemaker.delete_endpoint(EndpointName="there")
        desk.wait("endpoint_deleted", "there")
        wait_until(lambda: not list((server.home / "nodes").iterdir()), "the replica was not removed", SECONDS)
        server.stop()
