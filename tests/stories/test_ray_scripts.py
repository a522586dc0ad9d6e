"""Stories of one machine, told of a Ray cluster: users' own scripts, in environments that the nodes make."""

import pytest
from clusters import a_cluster, why_none
from package_index import an_index
from served import Server
from test_script_mode import (  # noqa: F401  run here again
    BUCKET,
    IMAGES,
    client,
    completed,
    ended,
    index,
    log,
    order,
    test_a_script_learns_and_its_model_is_put_away,
    test_a_users_own_image_stands_in_images_toml,
    test_a_wheel_in_the_source_directory_is_one_of_its_requirements,
    test_requirements_are_installed_once_and_told_in_the_log,
    test_requirements_that_cannot_be_met_fail_the_job_with_what_pip_says,
    test_source_that_a_channel_brings_is_found_there,
)
from test_user_inference import (  # noqa: F401  run here again
    desk,
    test_a_script_may_be_an_archive_of_its_own_and_finds_what_its_requirements_name,
    test_a_transform_job_is_done_by_the_same_script,
)

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why_none()), reason=why_none())]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """pip on the nodes knows an index that the server does not."""
    home = tmp_path_factory.mktemp("scripts") / "home"
    home.mkdir()
    (home / "images.toml").write_text(IMAGES)
    with an_index() as patch, a_cluster(0, 8) as cluster:
        patch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
        options = ("--warm", "0", "--launcher", "ray", "--ray-address", cluster.address)
        server = Server(home, (*options, "--environments", str(home / "made-by"))).start()
        server.client("s3").create_bucket(Bucket=BUCKET)
        yield server
        server.stop()


def test_a_python_that_the_node_has_not_fails_the_job(client):  # noqa: F811
    job = ended(client, order(client, {"train.py": b""}, image="of-the-future:1"))
    assert job["FailureReason"].startswith("ClientError: Python 3.99 is not on the machine ")


def test_the_server_makes_none(server):
    """Last: all the others have made some."""
    folders = list(server.home.glob("made-by*"))
    assert len(folders) == 1 and folders[0].name.startswith("made-by.")
