"""Everything, put together. The only file that knows every room."""

import asyncio
import fcntl
import functools
import json
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from groundfog.engine import Engine
from groundfog.engine.endpoints import Endpoints
from groundfog.engine.environments import Environments
from groundfog.engine.environments.index import Index
from groundfog.engine.environments.profiles import Profiles
from groundfog.engine.invocations import Invocations
from groundfog.engine.jobs import Jobs
from groundfog.engine.keys import KeyStore
from groundfog.engine.launch import Program
from groundfog.engine.launch.local import Local
from groundfog.engine.launch.ray import Cluster, Ray
from groundfog.engine.logs import Logs
from groundfog.engine.measurements import Measurements
from groundfog.engine.objects import Objects
from groundfog.engine.resources import Resources
from groundfog.engine.sandbox import Amount, Containers, Door, Limits, Sandbox
from groundfog.engine.state import Database
from groundfog.engine.transforms import Transforms
from groundfog.services import bind
from groundfog.settings import Settings
from groundfog.wire.app import Send, Wire
from groundfog.wire.caller import Key
from groundfog.wire.request import Message, Receive

Application = Callable[[Message, Receive, Send], Awaitable[None]]
"""What uvicorn runs: https://asgi.readthedocs.io"""

DOOR = Path("door", "server.sock")
"""In home: where the server listens too, for programs that have no other way to it. Containers find its folder."""
OWNER = "groundfog"
"""The role in whose name the owner's key pair speaks: the SageMaker SDK wants its caller to be a role."""


def assemble(settings: Settings, *, alone: bool = False, url: str = "") -> Engine:
    """The engine over what lies in `settings.home`, with nothing running yet. Raises Unfit for a database that cannot
    be used; and Busy, where it is to serve from it `alone`, if another server does. `url` is where clients on this
    machine will reach it, and programs."""
    home = settings.home
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    state = Database(settings.database or home / "state.db", "state", durable=settings.durable, alone=alone)
    resources, logs = Resources(state), Logs(home / "logs", state)
    measurements = Measurements(state)
    objects = Objects(home / "objects", durable=settings.durable)
    owner = f"arn:aws:sts::{settings.account}:assumed-role/{OWNER}/owner"
    keys = KeyStore(home / "credentials", resources, owner)
    local = _local(settings, url, keys)
    launcher = _ray(settings, url, keys) if settings.launcher == "ray" else local
    environments = Environments(
        Path(settings.environments).expanduser().absolute() if settings.environments else home / "environments",
        local,
        profiles=Profiles(home / "images.toml"),
        room=int(settings.environments_room * 1e9),
        index=Index.of_this_machine(settings.around(), home.absolute() / "wheels"),
        elsewhere=settings.launcher == "ray",
    )
    jobs = functools.partial(
        Jobs,
        resources,
        objects,
        launcher,
        logs,
        at_once=settings.jobs_at_once,
        most_hosts=settings.most_instances,
        environments=environments,
        measurements=measurements,
    )
    endpoints = Endpoints(
        resources,
        objects,
        launcher,
        logs,
        wait=settings.endpoint_wait,
        environments=environments,
        measurements=measurements,
    )
    return Engine(
        objects=objects,
        resources=resources,
        logs=logs,
        measurements=measurements,
        launcher=launcher,
        jobs=jobs(kind="training-job"),
        processing=jobs(kind="processing-job"),
        endpoints=endpoints,
        invocations=Invocations(resources, objects, endpoints, logs),
        transforms=Transforms(
            resources,
            objects,
            launcher,
            logs,
            at_once=settings.jobs_at_once,
            environments=environments,
            measurements=measurements,
        ),
        environments=environments,
        keys=keys,
        network=settings.network,
        runs_images=settings.launcher == "container",
    )


def _local(settings: Settings, url: str, keys: KeyStore) -> Local:
    door = Door(urlsplit(url).port or 0, settings.home / DOOR) if url else None
    limits = _limits(settings)
    containers = None
    if settings.launcher == "container":
        containers = Containers.found(settings.around(), most_processes=limits.processes, most_bytes=limits.most_memory)
    return Local(
        settings.home / "runs",
        sandbox=Sandbox(settings.sandbox, door=door, limits=limits, containers=containers),
        warm=settings.warm,
        network=settings.network,
        passes=_Passes(keys, url, settings.region),
    )


def _limits(settings: Settings) -> Limits:
    return Limits(memory=Amount(settings.job_memory), disk=Amount(settings.job_disk), processes=settings.job_processes)


def _ray(settings: Settings, url: str, keys: KeyStore) -> Ray:
    reached = _reached(settings, url)

    def store(holder: str) -> Mapping[str, str]:
        pair = keys.lend_to(holder, keys.owner.identity)
        return {
            "url": reached,
            "region": settings.region,
            "access_key": pair.access_key,
            "secret": pair.secret,
            "token": pair.token or "",
        }

    return Ray(
        settings.home / "nodes",
        Cluster(
            address=settings.ray_address,
            sandbox=settings.sandbox,
            limits=_limits(settings),
            environments=settings.environments,
            environments_room=int(settings.environments_room * 1e9),
        ),
        passes=_Passes(keys, reached, settings.region),
        store=store,
    )


def _reached(settings: Settings, url: str) -> str:
    """From the cluster's machines: a server that listens everywhere has an address by which it goes out to them."""
    if settings.reached_at or settings.host not in ("0.0.0.0", "::"):  # noqa: S104
        return settings.reached_at or url
    head = settings.ray_address.removeprefix("ray://").rpartition(":")[0] or "192.0.2.1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as going_out:
        going_out.connect((head, 9))
        return f"http://{going_out.getsockname()[0]}:{urlsplit(url).port}"


def build(engine: Engine, settings: Settings) -> Application:
    """The server: the wire over the services over the engine, and `GET /health` for whoever only asks if it lives."""
    wire = Wire(bind(engine), _Keys(engine.keys), settings.account)

    async def answer(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(engine, receive, send)
        elif scope["type"] == "http" and scope["path"] == "/health" and _unsigned(scope):
            await _health(send)
        else:
            await wire(scope, receive, send)

    return answer


@contextmanager
def owned(home: Path) -> Iterator[None]:
    """Only one server at a time over one home. Raises BlockingIOError while another has it."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


@contextmanager
def door(home: Path) -> Iterator[socket.socket]:
    """Where programs in networks of their own reach the server, and the next server over this home after it."""
    (home / DOOR).parent.mkdir(mode=0o700, exist_ok=True)
    folder = os.open((home / DOOR).parent, os.O_PATH | os.O_CLOEXEC)
    (home / DOOR).unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listening:
        # By way of the folder's descriptor: the path of a socket must be short.
        listening.bind(f"/proc/self/fd/{folder}/{DOOR.name}")
        os.close(folder)
        (home / DOOR).chmod(0o600)
        listening.listen(2048)
        yield listening


@contextmanager
def announced(home: Path, url: str) -> Iterator[None]:
    """While the server runs, `server.json` says where."""
    file = home / "server.json"
    being_written = file.with_suffix(".new")
    being_written.write_text(json.dumps({"url": url, "pid": os.getpid()}))
    being_written.rename(file)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


class _Passes:
    """What a program needs to ask this server, by the names at which AWS's clients look."""

    def __init__(self, keys: KeyStore, url: str, region: str) -> None:
        self._keys, self._url, self._region = keys, url, region

    def issue(self, holder: str, program: Program, *, apart: bool) -> Mapping[str, str]:
        where = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{urlsplit(self._url).port}" if apart else self._url,
            "AWS_REGION": self._region,
            "AWS_DEFAULT_REGION": self._region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        self._keys.withdraw(holder)
        if not program.identity or program.network == "none" or "AWS_ACCESS_KEY_ID" in program.environment:
            return where
        pair = self._keys.lend_to(holder, program.identity)
        return {
            **where,
            "AWS_ACCESS_KEY_ID": pair.access_key,
            "AWS_SECRET_ACCESS_KEY": pair.secret,
            "AWS_SESSION_TOKEN": pair.token or "",
        }

    def withdraw(self, holder: str) -> None:
        self._keys.withdraw(holder)


class _Keys:
    """The engine's key pairs, in the shape in which the wire asks for them."""

    def __init__(self, store: KeyStore) -> None:
        self._store = store

    def find(self, access_key: str) -> Key | None:
        pair = self._store.find(access_key)
        if pair is None:
            return None
        return Key(secret=pair.secret, identity=pair.identity, token=pair.token, expires=pair.expires)


async def _live(engine: Engine, receive: Receive, send: Send) -> None:
    await receive()
    _settle_in(engine)
    engine.environments.sweep()
    engine.launcher.sweep(lambda directory: engine.resources.mention(directory.name))
    engine.jobs.start()
    engine.processing.start()
    engine.transforms.start()
    engine.endpoints.start()
    engine.invocations.start()
    engine.launcher.warm_up()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await engine.invocations.close()
    engine.endpoints.close()
    await asyncio.to_thread(engine.transforms.close)
    engine.processing.close()
    engine.jobs.close()
    engine.launcher.close()
    await send({"type": "lifespan.shutdown.complete"})


def _settle_in(engine: Engine) -> None:
    """The owner's role stands among the others, so that `iam.get_role` finds whom `get_caller_identity` names."""
    if engine.resources.has("role", OWNER):
        return
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
    role = {
        "Path": "/",
        "AssumeRolePolicyDocument": json.dumps(trust),
        "Description": "In whose name the owner of this server speaks.",
        "MaxSessionDuration": 3600,
        "Inline": {},
        "Attached": [],
    }
    engine.resources.add("role", OWNER, role, tags={})


def _unsigned(scope: Message) -> bool:
    return b"X-Amz-" not in scope["query_string"] and all(name != b"authorization" for name, _ in scope["headers"])


async def _health(send: Send) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"status": "ok"}'})
