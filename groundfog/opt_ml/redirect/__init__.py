"""The folder that is put first on PYTHONPATH, of clients and of jobs, for what AWS_ENDPOINT_URL does not reach.

`sitecustomize.py` runs when any Python starts, of whatever version from 3.8 on, in whatever environment: it is small,
standard library only, and imports nothing of ours. `sagemaker.yaml` switches the SageMaker SDK's telemetry off.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

HERE = Path(__file__).parent
SDK_DEFAULTS = "SAGEMAKER_ADMIN_CONFIG_OVERRIDE"


def environment(around: Mapping[str, str]) -> dict[str, str]:
    """What a client needs beside the endpoint's address and a key pair, given the environment that it would run in."""
    on_path = [folder for folder in around.get("PYTHONPATH", "").split(os.pathsep) if folder and Path(folder) != HERE]
    wanted = {"PYTHONPATH": os.pathsep.join([str(HERE), *on_path]), "DISABLE_JUMPSTART_TELEMETRY": "1"}
    if not _administered(around):
        wanted[SDK_DEFAULTS] = around.get(SDK_DEFAULTS) or str(HERE / "sagemaker.yaml")
    host = urlsplit(around.get("AWS_ENDPOINT_URL", "")).hostname or ""
    if any(around.get(name) for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")):
        direct = around.get("NO_PROXY") or around.get("no_proxy") or ""
        wanted["NO_PROXY"] = wanted["no_proxy"] = (
            direct if host in direct.split(",") else f"{direct},{host}".lstrip(",")
        )
    return wanted


def _administered(around: Mapping[str, str]) -> bool:
    """Whether this machine's administrator has defaults for the SDK: ours would hide them, and so stay away."""
    folders = around.get("XDG_CONFIG_DIRS") or "/etc/xdg"
    return any(Path(folder, "sagemaker", "config.yaml").exists() for folder in folders.split(os.pathsep))
