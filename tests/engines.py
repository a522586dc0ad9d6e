"""The Docker or Podman that is here, for tests of containers themselves."""

import shutil
import subprocess

ENGINE = shutil.which("docker") or shutil.which("podman")


def why_none() -> str:
    """Why there is none that answers; empty if there is."""
    if ENGINE is None:
        return "neither Docker nor Podman is installed"
    answer = subprocess.run([ENGINE, "ps"], capture_output=True, text=True)
    return answer.stderr if answer.returncode else ""


def ask(*arguments: str, given: bytes = b"") -> str:
    assert ENGINE is not None
    return subprocess.run([ENGINE, *arguments], input=given, capture_output=True, check=True).stdout.decode()
