"""The command as a person uses it, in processes of its own."""

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from served import wait_until

GROUNDFOG = [sys.executable, "-m", "groundfog"]


def run(*arguments: str, **more) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*GROUNDFOG, *arguments], capture_output=True, text=True, timeout=60, check=False, **more)


def test_serve_says_where_it_is_and_what_to_paste(tmp_path: Path):
    with subprocess.Popen(
        [*GROUNDFOG, "serve", "--home", str(tmp_path), "--port", "0"], stdout=subprocess.PIPE, text=True
    ) as serving:
        said = [serving.stdout.readline() for _ in range(4)]
        serving.send_signal(signal.SIGTERM)
        assert serving.wait(timeout=20) == 0
    assert "answers at http://127.0.0.1:" in said[0]
    assert str(tmp_path) in said[1]
    assert f"eval $(groundfog env --home {tmp_path})" in said[3]
    assert not (tmp_path / "server.json").exists()


def test_serve_loads_no_torch(own_server):
    server = own_server("--warm", "0")
    mapped = Path(f"/proc/{server.process.pid}/maps").read_text()
    assert "libtorch" not in mapped


def test_the_key_pair_is_for_the_owners_eyes(server):
    assert stat.S_IMODE((server.home / "credentials").stat().st_mode) == 0o600
    assert stat.S_IMODE(server.home.stat().st_mode) & 0o077 == 0


def test_the_key_pair_stays_when_the_server_starts_again(own_server):
    server = own_server("--warm", "0")
    before = (server.home / "credentials").read_text()
    server.stop()
    server.start()
    assert (server.home / "credentials").read_text() == before


def test_one_home_has_one_server(server):
    second = run("serve", "--home", str(server.home), "--port", "0")
    assert second.returncode == 1
    assert "another server has" in second.stderr


def test_a_port_that_is_taken_is_named(server, tmp_path):
    second = run("serve", "--home", str(tmp_path), "--port", str(server.port))
    assert second.returncode == 1
    assert f"cannot listen on 127.0.0.1:{server.port}" in second.stderr


def test_a_setting_that_cannot_be_is_refused_by_name(tmp_path):
    refused = run("serve", "--home", str(tmp_path), "--account", "12")
    assert refused.returncode == 2
    assert "account must be twelve digits" in refused.stderr


def test_env_is_what_a_shell_can_take(server):
    printed = run("env", "--home", str(server.home)).stdout
    shell = subprocess.run(
        ["bash", "-c", 'eval "$0"; echo $AWS_ENDPOINT_URL $AWS_REGION', printed], capture_output=True, text=True
    )
    assert shell.stdout.split() == [server.url, "us-east-1"]


def test_env_without_a_server_says_how_to_start_one(tmp_path):
    refused = run("env", "--home", str(tmp_path))
    assert refused.returncode == 1
    assert f"groundfog serve --home {tmp_path}" in refused.stderr


def test_exec_turns_clients_to_the_server_and_returns_their_code(server):
    script = "import boto3, sys; sys.exit(len(boto3.client('sts').get_caller_identity()['Account']))"
    ran = run("exec", "--home", str(server.home), "--", sys.executable, "-c", script)
    assert ran.returncode == 12, ran.stderr


def test_exec_serve_brings_its_own_server_and_takes_it_away(tmp_path):
    script = "import os, boto3; boto3.client('s3').create_bucket(Bucket='mine'); print(os.environ['AWS_ENDPOINT_URL'])"
    ran = run("exec", "--serve", "--home", str(tmp_path), "--", sys.executable, "-c", script)
    assert ran.returncode == 0, ran.stderr
    assert str(tmp_path) in ran.stderr
    assert run("env", "--home", str(tmp_path)).returncode == 1


def test_exec_serve_over_a_home_that_is_taken_says_so(server):
    refused = run("exec", "--serve", "--home", str(server.home), "--", "true")
    assert refused.returncode == 1
    assert "another server has" in refused.stderr


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 7), (signal.SIGTERM, 128 + signal.SIGTERM)])
def test_exec_that_is_told_to_end_leaves_no_server(tmp_path, how, code):
    """Ctrl-C reaches the command too, which may have something to say to the server before it ends."""
    script = """
import signal, sys, time, boto3
def end(*_):
    boto3.client("s3").create_bucket(Bucket="last-words")
    sys.exit(7)
signal.signal(signal.SIGINT, end)
print("ready", flush=True)
time.sleep(60)
"""
    with subprocess.Popen(
        [*GROUNDFOG, "exec", "--serve", "--home", str(tmp_path), "--", sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as running:
        assert running.stdout.readline() == "ready\n"
        # As a terminal does it: to every process of the group.
        os.killpg(running.pid, how)
        assert running.wait(timeout=20) == code
    assert "not running" in run("status", "--home", str(tmp_path)).stdout


def test_exec_of_what_is_not_there_says_so(server):
    refused = run("exec", "--home", str(server.home), "--", "no-such-command")
    assert refused.returncode == 1
    assert "no-such-command: no such command" in refused.stderr


def test_status_with_and_without_a_server(server, tmp_path):
    assert server.url in run("status", "--home", str(server.home)).stdout
    assert "not running" in run("status", "--home", str(tmp_path)).stdout


def test_logs_of_what_is_not_there_says_so(server):
    refused = run("logs", "nothing", "--home", str(server.home))
    assert refused.returncode == 1
    assert "no job or endpoint nothing" in refused.stderr


def test_health_needs_no_signature(server):
    import urllib.request

    with urllib.request.urlopen(f"{server.url}/health") as answer:
        assert json.load(answer) == {"status": "ok"}


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_server_that_ended_leaves_nothing_that_keeps_the_next_from_starting(own_server, how):
    server = own_server("--warm", "0")
    server.client("s3").create_bucket(Bucket="kept")
    os.kill(server.process.pid, how)
    server.process.wait(timeout=20)
    server.start()
    wait_until(lambda: server.client("s3").list_buckets()["Buckets"], "the bucket is gone")
