"""Where pip finds packages: as whoever runs this server has told their own pip, and in a folder of wheels of theirs.

What is passed on are a few options; where they name folders of this machine, these must be in sight.
"""

import configparser
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

_OPTIONS = ("index-url", "extra-index-url", "find-links", "trusted-host", "no-index", "proxy", "timeout", "cert")
_FILES = (Path("/etc/pip.conf"), Path("~/.pip/pip.conf"), Path("~/.config/pip/pip.conf"), Path(sys.prefix, "pip.conf"))
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


@dataclass(frozen=True)
class Index:
    """As whoever runs this server has it: `variables` are for pip, `readable` for the wall around it."""

    variables: Mapping[str, str]
    readable: tuple[str, ...]

    @classmethod
    def of_this_machine(cls, environment: Mapping[str, str], wheels: Path) -> "Index":
        """`wheels` is for packages that no index has; it is made if it is not there."""
        wheels.mkdir(parents=True, exist_ok=True)
        given = _configured(environment)
        # As a URL: there is no blank in one, and blanks stand between places.
        given["find-links"] = f"{given.get('find-links', '')} {wheels.absolute().as_uri()}"
        variables = {_variable(option): " ".join(value.split()) for option, value in given.items()}
        variables |= {name: environment[name] for name in _PROXIES if name in environment}
        places = [
            place
            for option in ("find-links", "index-url", "extra-index-url")
            for place in given.get(option, "").split()
        ]
        readable = [path for place in [*places, given.get("cert", "")] if (path := _folder(place))]
        return cls(variables, tuple(dict.fromkeys(readable)))


def _configured(environment: Mapping[str, str]) -> dict[str, str]:
    """A variable counts for more than a file, a later file for more than an earlier."""
    named = environment.get("PIP_CONFIG_FILE")
    parser = configparser.RawConfigParser()
    parser.read([file.expanduser() for file in (*_FILES, *([Path(named)] if named else ()))])
    found: dict[str, str] = {}
    for option in _OPTIONS:
        for section in ("global", "install"):
            if parser.has_option(section, option):
                found[option] = parser.get(section, option)
        if _variable(option) in environment:
            found[option] = environment[_variable(option)]
    return found


def _variable(option: str) -> str:
    return f"PIP_{option.upper().replace('-', '_')}"


def _folder(place: str) -> str:
    """That must be readable for this place, empty if none."""
    path = Path(unquote(place.removeprefix("file://")) if place.startswith("file://") else place)
    if not path.is_absolute() or not path.exists():
        return ""
    # An index's pages lie in a folder of this name, and the packages that they lead to beside it.
    return str(path if path.is_dir() and path.name != "simple" else path.parent)
