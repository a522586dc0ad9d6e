"""What stands between a server and hosts elsewhere, without a cluster: directories, parcels, the door."""

import asyncio
import contextlib
import os
import socket
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundfog.engine.launch.ray import parcels
from groundfog.engine.launch.ray.desk import Desk
from groundfog.engine.launch.ray.door import NodeDoor
from groundfog.engine.launch.ray.folders import claim
from groundfog.engine.launch.ray.interface import interface_of
from groundfog.engine.launch.ray.mirror import Mirror
from groundfog.engine.launch.ray.tunnel import serve
from groundfog.engine.launch.ray.window import WORD, Window, is_open
from groundfog.engine.sandbox import prepare


@pytest.fixture
def mirror(tmp_path):
    directory = tmp_path / "host"
    directory.mkdir()
    prepare(directory)
    return Mirror(directory)


def test_each_start_is_an_attempt_with_a_name_of_its_own(mirror):
    assert not mirror.awaited and not mirror.order and mirror.actors == []
    mirror.place_order({"program": {}})
    mirror.place("10.0.0.2 node")
    assert mirror.awaited and mirror.actor == "host-1" and mirror.address == "10.0.0.2"
    mirror.lose("gone")
    assert not mirror.awaited and mirror.lost == "gone"
    mirror.say(b"1\tone\n", b"")
    mirror.place_order({"program": {}})
    assert mirror.awaited and not mirror.lost and not mirror.placed
    assert mirror.actors == ["host-1", "host-2"] and mirror.order["log"] == 6
    mirror.begin(5.5)
    mirror.begin(7.0)
    mirror.end({"exit_code": 1}, "no channel")
    assert (mirror.began, mirror.ended, mirror.awaited) == (5.5, {"exit_code": 1}, False)
    assert (mirror.directory / "feed.failure").read_text() == "no channel"
    mirror.forget()
    assert not mirror.ended and not mirror.order and mirror.actors == ["host-1", "host-2"]


def test_an_order_is_never_seen_with_what_came_of_an_earlier_one(mirror, monkeypatch):
    """The relay looks at any moment, and begins whatever it finds awaited."""
    mirror.place_order({"program": {}})
    mirror.lose("gone")
    seen = []
    unlink = Path.unlink

    def look(path, *arguments, **further):
        unlink(path, *arguments, **further)
        seen.append(mirror.awaited)

    monkeypatch.setattr(Path, "unlink", look)
    mirror.place_order({"program": {}})
    mirror.end({"exit_code": 0})
    mirror.forget()
    assert len(seen) > 8 and not any(seen)


def test_a_stop_outlives_an_order_and_not_a_renewal(mirror):
    (mirror.directory / "stop").touch()
    mirror.place_order({"program": {}})
    assert mirror.stopped
    mirror.forget()
    assert not mirror.stopped


@given(st.dictionaries(st.sampled_from(["model/a", "model/b/c", "checkpoints/a", "output/data/x"]), st.binary()))
def test_a_parcel_brings_folders_as_they_are(tmp_path_factory, files):
    here, there = tmp_path_factory.mktemp("here"), tmp_path_factory.mktemp("there")
    for root in (here, there):
        for folder in ("model", "checkpoints", "output"):
            (root / folder).mkdir()
    (there / "model" / "old").write_text("is gone then")
    for name, body in files.items():
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_bytes(body)
    parcel, copy = here / "parcel.tar", there / "parcel.tar"
    parcels.wrap(here, ["model", "checkpoints", "output"], parcel)
    offset = 0
    parcels.put(copy, 0, b"left by an earlier try")
    parcels.put(copy, 0, b"")
    while piece := parcels.take(parcel, offset):
        parcels.put(copy, offset, piece)
        parcels.put(copy, offset, piece)
        offset += len(piece)
    parcels.unwrap(copy, there, ["model", "checkpoints", "output"])
    copy.unlink()
    found = {path.relative_to(there).as_posix(): path.read_bytes() for path in there.rglob("*") if path.is_file()}
    assert found == files


def test_a_parcel_holds_no_link_that_leads_out(tmp_path):
    root = tmp_path / "root"
    (root / "model").mkdir(parents=True)
    (tmp_path / "secret").write_text("not to be had")
    (root / "model" / "link").symlink_to(tmp_path / "secret")
    (root / "output").symlink_to(tmp_path)
    (tmp_path / "below").mkdir()
    parcels.wrap(root, ["model", "output", "output/below"], tmp_path / "parcel.tar")
    assert b"not to be had" not in (tmp_path / "parcel.tar").read_bytes()


def test_what_an_actor_has_left_is_cleared_up_by_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (gone, lock), (alive, kept) = claim("gone"), claim("alive")
    (gone / "runs" / "host").mkdir(parents=True)
    os.close(lock)
    last, held = claim("last")
    assert not gone.exists() and alive.exists() and last.exists()
    os.close(kept)
    os.close(held)


def test_one_relay_at_a_time(tmp_path):
    desk = Desk(tmp_path / "desk")
    with desk.turn() as mine:
        assert mine is not None
        with Desk(tmp_path / "desk").turn() as other:
            assert other is None
    with desk.turn() as mine:
        assert mine is not None


def test_the_door_of_a_node_leads_to_the_server(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_answer, args=(server,), daemon=True).start()
        door = NodeDoor(f"http://127.0.0.1:{server.getsockname()[1]}", tmp_path / "door")
        with socket.socket(socket.AF_UNIX) as program:
            program.connect(str(tmp_path / "door"))
            program.sendall(b"hello")
            program.shutdown(socket.SHUT_WR)
            assert program.recv(100) == b"HELLO"
            assert program.recv(100) == b""
        assert door.door.port == server.getsockname()[1]
        door.close()


@pytest.fixture
def model_server(tmp_path):
    path = tmp_path / "serve.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        threading.Thread(target=_answer, args=(server,), daemon=True).start()
        yield path


def test_a_model_server_on_a_node_is_reached_by_a_socket_here(mirror, model_server):
    window = Window(model_server, WORD * "w")
    mirror.place("127.0.0.1 node")

    async def ask() -> bytes:
        serving = await serve(mirror, window.port, WORD * "w")
        folder = os.open(mirror.layout.root, os.O_PATH)
        reader, writer = await asyncio.open_unix_connection(f"/proc/self/fd/{folder}/serve.sock")
        os.close(folder)
        writer.write(b"hello")
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), 20)
        writer.close()
        serving.close()
        return answer

    assert asyncio.run(ask()) == b"HELLO"
    window.close()


def test_a_window_opens_for_the_word_alone_and_onto_no_other_socket(tmp_path, model_server):
    (tmp_path / "link").symlink_to(model_server)
    for path, word in ((model_server, "x"), (tmp_path / "link", "w")):
        window = Window(path, WORD * "w")
        with socket.create_connection(("127.0.0.1", window.port), timeout=20) as outside:
            outside.sendall(WORD * word.encode() + b"hello")
            with contextlib.suppress(OSError):
                assert outside.recv(100) == b""
        window.close()
    assert is_open(model_server) and not is_open(tmp_path / "link") and not is_open(tmp_path / "none")


def test_an_address_has_an_interface():
    assert interface_of("127.0.0.1") == "lo" == interface_of("203.0.113.9")


def _answer(server):
    come, _ = server.accept()
    with come:
        said = b""
        while block := come.recv(100):
            said += block
        come.sendall(said.upper())
