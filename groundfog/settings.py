"""Every setting: its name, its default and one sentence. Nobody else reads the environment.

A setting `jobs_at_once` is given as `--jobs-at-once` to the command that takes it, or as `GROUNDFOG_JOBS_AT_ONCE`.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal


def _setting(default: Any, sentence: str) -> Any:
    return field(default=default, metadata={"sentence": sentence})


@dataclass(frozen=True, kw_only=True)
class Settings:
    home: Path = _setting(Path("~/.groundfog").expanduser(), "Where everything is kept: objects, state, jobs, keys.")
    database: str = _setting(
        "", "Where state is kept, if not in a file of home: postgresql://USER@HOST/NAME; needs the extra postgresql."
    )
    host: str = _setting("127.0.0.1", "The address to listen on; anything but loopback lets others in.")
    port: int = _setting(4290, "The port to listen on; 0 takes a free one.")
    account: str = _setting("000000000000", "The account number in ARNs: twelve digits.")
    region: str = _setting("us-east-1", "The region that `groundfog env` sets for clients.")
    jobs_at_once: int = _setting(
        max(1, (os.cpu_count() or 2) // 2), "How many training jobs run at the same time; the others wait in line."
    )
    most_instances: int = _setting(
        16, "How many instances one training job may ask for, wherever they run; AWS calls this a quota."
    )
    environments: str = _setting(
        "", "Where the environments of framework images are kept, if not in home; servers may share the folder."
    )
    environments_room: float = _setting(
        20.0, "How many gigabytes of environments are kept; beyond, those go that were not used for longest."
    )
    sandbox: str = _setting(
        "auto", "`auto`: behind bubblewrap where it works; `none`: plain processes, for programs that you trust."
    )
    launcher: Literal["local", "ray", "container"] = _setting(
        "local",
        "Where hosts of jobs run: `local`: on this machine; `ray`: on a Ray cluster's; needs the extra ray; "
        "`container`: on this machine, frameworks' images in containers of Docker or Podman.",
    )
    ray_address: str = _setting(
        "auto", "The Ray cluster, as HOST:PORT of its head; `auto`: the one that this machine belongs to."
    )
    reached_at: str = _setting(
        "", "The URL at which the cluster's machines reach this server, where it cannot be told from host and port."
    )
    network: Literal["server", "open"] = _setting(
        "server", "What jobs reach: `server`: this server and each other; `open`: whatever their machine reaches."
    )
    job_memory: str = _setting(
        "90%", "The most memory that a host of a job may take: bytes, as 16G, a share of the machine's, or none."
    )
    job_disk: str = _setting(
        "90%", "The most that a host of a job may write: bytes, as 100G, a share of what is free at its start, or none."
    )
    job_processes: int = _setting(4096, "How many processes and threads a host of a job may have.")
    warm: int = _setting(1, "How many interpreters stand ready with torch loaded, so that jobs start at once.")
    durable: bool = _setting(False, "Flush to the platter before answering, so that a power cut loses nothing either.")
    endpoint_wait: float = _setting(
        5.0, "Seconds that CreateEndpoint waits for InService before it answers, since waiters poll rarely."
    )

    @classmethod
    def read(cls, **given: Any) -> "Settings":
        """What was given on the command line (None: not given), then the environment, then the defaults."""
        chosen: dict[str, Any] = {}
        for setting in fields(cls):
            value = given.get(setting.name)
            if value is None:
                value = os.environ.get(f"GROUNDFOG_{setting.name.upper()}")
            if value is not None:
                chosen[setting.name] = _as(type(setting.default), value, setting.name)
        settings = cls(**chosen)
        if not (settings.account.isdigit() and len(settings.account) == 12):
            raise ValueError(f"account must be twelve digits, not {settings.account!r}")
        if settings.database and not settings.database.startswith(("postgresql://", "postgres://")):
            raise ValueError("database must be the URL of a PostgreSQL database, postgresql://USER@HOST/NAME")
        if settings.sandbox not in ("auto", "none"):
            raise ValueError(f"sandbox must be auto or none, not {settings.sandbox!r}")
        if settings.launcher not in ("local", "ray", "container"):
            raise ValueError(f"launcher must be local, ray or container, not {settings.launcher!r}")
        if settings.network not in ("server", "open"):
            raise ValueError(f"network must be server or open, not {settings.network!r}")
        return settings

    @staticmethod
    def around() -> Mapping[str, str]:
        """What whoever runs this server has set for other programs, such as pip."""
        return os.environ


def _as(kind: type[Any], value: Any, name: str) -> Any:
    if issubclass(kind, Path):
        return Path(value).expanduser().absolute()
    if kind is bool:
        if str(value).lower() not in ("1", "true", "yes", "0", "false", "no"):
            raise ValueError(f"{name} must be true or false, not {value!r}")
        return str(value).lower() in ("1", "true", "yes")
    try:
        return kind(value)
    except ValueError:
        raise ValueError(f"{name} must be {kind.__name__}, not {value!r}") from None
