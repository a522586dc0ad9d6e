"""Make the wheel of Horovod that the image `horovod-training` wants: one that runs with today's PyTorch.

    python walkthroughs/horovod_wheel.py                    # into ~/.groundfog/wheels; --into for another server's home

Horovod's last release, 0.28.1 of 2023, asks for C++14, and PyTorch's headers want C++17. With that changed it builds
and runs: some minutes of a compiler, once. Run this with the Python that the server runs with, since a wheel is for one
version of Python and one of PyTorch. It needs cmake and g++; where mpicxx is (`apt install libopenmpi-dev`), the wheel
speaks MPI as well as Gloo, so that `distribution={"mpi": ...}` starts its scripts.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

VERSION = "0.28.1"
NEEDS = ("setuptools<81", "wheel", "packaging", "cloudpickle", "psutil", "pyyaml")
OWN_VERSION = f"{VERSION}+groundfog"
"""By which no other is taken for it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    home = Path("~/.groundfog/wheels")
    parser.add_argument("--into", type=Path, default=home, help="the folder wheels of the server's home (%(default)s)")
    into = parser.parse_args().into.expanduser().absolute()
    for tool in ("cmake", "g++"):
        if shutil.which(tool) is None:
            sys.exit(f"{tool} is missing: apt install cmake g++")
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        source, needs = fetch(Path(folder)), Path(folder, "needs")
        modernise(source)
        pip("install", "--quiet", "--target", needs, *NEEDS)
        build(source, needs, into)
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    print(f"Jobs with the image horovod-training find it in {into}, for torch {version('torch')} and Python {python}.")


def fetch(folder: Path) -> Path:
    """The source, unpacked."""
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--no-binary", ":all:")
    pip("download", *options, "--dest", folder, f"horovod=={VERSION}")
    with tarfile.open(folder / f"horovod-{VERSION}.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return folder / f"horovod-{VERSION}"


def modernise(source: Path) -> None:
    """The one change, and a version of its own."""
    itself = source / "horovod" / "__init__.py"
    itself.write_text(itself.read_text().replace(VERSION, OWN_VERSION))
    for file in (source / "CMakeLists.txt", source / "horovod" / "torch" / "CMakeLists.txt"):
        file.write_text(re.sub(r"CMAKE_CXX_STANDARD 1[14]", "CMAKE_CXX_STANDARD 17", file.read_text()))


def build(source: Path, needs: Path, into: Path) -> None:
    with_mpi = shutil.which("mpicxx") is not None
    print("with Gloo and MPI" if with_mpi else "with Gloo only: mpicxx is not here", flush=True)
    wishes = {
        "HOROVOD_WITH_PYTORCH": "1",
        "HOROVOD_WITHOUT_TENSORFLOW": "1",
        "HOROVOD_WITHOUT_MXNET": "1",
        "HOROVOD_WITH_GLOO": "1",
        "HOROVOD_WITH_MPI" if with_mpi else "HOROVOD_WITHOUT_MPI": "1",
        "PYTHONPATH": str(needs),
    }
    options = ("--no-deps", "--no-build-isolation", "--wheel-dir", into)
    pip("wheel", *options, source, environment={**os.environ, **wishes})


def pip(*arguments: str | Path, environment: dict[str, str] | None = None) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
    if subprocess.run(command, env=environment).returncode:
        sys.exit("pip failed; what it says is above")


if __name__ == "__main__":
    main()
