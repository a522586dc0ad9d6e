"""What a host reaches, and what reaches it."""

import json
import os
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from engine.hosts import PROGRAMS, log_of, wait_for_the_end, wait_until

from groundfog.engine.launch import Program
from groundfog.engine.launch.local import Local
from groundfog.engine.sandbox import Door, Sandbox

PORT = 4321


def program(*wish: str, **further: object) -> Program:
    return Program(module="network_program", arguments=wish, **further)  # type: ignore[arg-type]


class Answering(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"the server, " + b"x" * 300_000
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "a program"

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def answering(path: Path) -> Iterator[None]:
    """A server at a socket, where one may have died before."""
    path.unlink(missing_ok=True)
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's path must be short
    with socketserver.ThreadingUnixStreamServer(path.name, Answering) as server:
        os.chdir(here)
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        yield
        server.shutdown()
        serving.join()


@pytest.fixture
def launcher(tmp_path: Path, walled: Sandbox) -> Iterator[Local]:
    sandbox = Sandbox(modules=[PROGRAMS], door=Door(PORT, tmp_path / "server.sock"))
    local = Local(tmp_path / "runs", sandbox=sandbox)
    yield local
    local.close()
    for directory in (tmp_path / "runs").iterdir():
        local.remove(directory)


def test_of_the_machine_a_host_reaches_the_servers_port_alone(launcher: Local, tmp_path: Path) -> None:
    with answering(tmp_path / "server.sock"):
        directory = launcher.make()
        launcher.start(directory, program("fetch", str(PORT), str(PORT + 1)))
        assert wait_for_the_end(launcher, directory).exit_code == 0, log_of(directory)
    said, other = "".join(log_of(directory)).split(str(PORT + 1))
    assert said == f"{PORT} the server, " + "x" * 300_000
    assert other == " nobody"


def test_a_request_waits_for_a_server_that_starts_again(launcher: Local, tmp_path: Path) -> None:
    with answering(tmp_path / "server.sock"):
        directory = launcher.make()
        launcher.start(directory, program("fetch_twice", str(PORT)))
        wait_until(lambda: "fetched" in log_of(directory))
    (directory / "opt_ml" / "model" / "go").touch()
    wait_until(lambda: "asking again" in log_of(directory))
    with answering(tmp_path / "server.sock"):
        assert wait_for_the_end(launcher, directory).exit_code == 0
    assert log_of(directory) == ["fetched", "asking again", "fetched"]


def test_the_hosts_of_a_job_find_each_other_by_name_and_no_other_job_does(launcher: Local) -> None:
    names = ("algo-1", "algo-2", "algo-3")
    directories = [launcher.make() for _ in names]
    for name, directory in zip(names, directories, strict=True):
        neighbour = "" if name == "algo-1" else str(directories[0])
        one = program("meet", ",".join(names), host=name, hosts=names, neighbour=neighbour)
        launcher.start(directory, one)
    stranger = launcher.make()
    launcher.start(stranger, program("find_hosts", "10.0.0.2", "10.0.0.3", "algo-2"))
    for name, directory in zip(names, directories, strict=True):
        assert wait_for_the_end(launcher, directory).exit_code == 0, log_of(directory)
        met = json.loads(log_of(directory)[0])
        assert met == {"me": name, "heard": list(names), "interfaces": ["lo", "eth0"]}
    wait_for_the_end(launcher, stranger)
    assert log_of(stranger) == ["[]"]
    assert launcher.interface(Program(module="m", arguments=())) == "eth0"


def test_a_first_host_that_is_done_at_once_has_waited_for_the_others(launcher: Local) -> None:
    names = ("algo-1", "algo-2")
    first, second = launcher.make(), launcher.make()
    launcher.start(first, program("find_hosts", host="algo-1", hosts=names))
    launcher.start(second, program("find_hosts", host="algo-2", hosts=names, neighbour=str(first)))
    for directory in (first, second):
        assert wait_for_the_end(launcher, directory).exit_code == 0, log_of(directory)


def test_a_host_without_its_neighbour_fails_and_says_so(launcher: Local, tmp_path: Path) -> None:
    directory = launcher.make()
    one = program("find_hosts", host="algo-2", hosts=("algo-1", "algo-2"), neighbour=str(tmp_path / "gone"))
    launcher.start(directory, one)
    host = wait_for_the_end(launcher, directory)
    assert host.exit_code == 126
    assert log_of(directory) == ["The network of this host could not be made: The job's first host has no network."]


def test_an_open_network_is_the_machines(launcher: Local) -> None:
    with socketserver.TCPServer(("127.0.0.1", 0), Answering) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        directory = launcher.make()
        launcher.start(directory, program("fetch", str(server.server_address[1]), network="open"))
        assert wait_for_the_end(launcher, directory).exit_code == 0
        server.shutdown()
        serving.join()
    assert "the server" in log_of(directory)[0]
