"""Who may ask: the owner's key pair, made on first start, and temporary ones with an end.

A key pair may have a holder, a program that runs: it ends with it, and so does what was lent to who came with it.
"""

import configparser
import contextlib
import os
import secrets
import string
import time
from dataclasses import dataclass
from pathlib import Path

from groundfog.engine.errors import Missing
from groundfog.engine.resources import Resources

_KIND = "temporary-key"


@dataclass(frozen=True, kw_only=True)
class KeyPair:
    access_key: str
    secret: str
    identity: str
    token: str | None = None
    expires: float | None = None
    """Seconds since the epoch."""
    holder: str = ""


class KeyStore:
    """The owner's pair lies in a file that AWS's own clients can read, for nobody else's eyes (mode 0600)."""

    def __init__(self, file: Path, resources: Resources, owner: str) -> None:
        self._resources = resources
        self.file = file
        self.owner = _read(file, owner) if file.exists() else _make(file, owner)

    def find(self, access_key: str) -> KeyPair | None:
        """Expired ones too: whoever checks a signature has another answer for those."""
        if access_key == self.owner.access_key:
            return self.owner
        try:
            return KeyPair(**self._resources.find(_KIND, access_key).document)
        except Missing:
            return None

    def lend(self, identity: str, seconds: float, *, lender: str = "") -> KeyPair:
        """A temporary pair that speaks for `identity`, asked for by who has the access key `lender`."""
        asking = self.find(lender)
        return self._add(identity, time.time() + seconds, asking.holder if asking is not None else "")

    def lend_to(self, holder: str, identity: str) -> KeyPair:
        """A pair without an end of its own, which is good until it is withdrawn."""
        return self._add(identity, None, holder)

    def withdraw(self, holder: str) -> None:
        for resource in self._resources.in_status(_KIND, holder):
            with contextlib.suppress(Missing):
                self._resources.delete(_KIND, resource.name)

    def _add(self, identity: str, expires: float | None, holder: str) -> KeyPair:
        pair = KeyPair(
            access_key="ASIA" + _letters(16, string.ascii_uppercase + "234567"),
            secret=_letters(40, string.ascii_letters + string.digits),
            identity=identity,
            token=secrets.token_urlsafe(120),
            expires=expires,
            holder=holder,
        )
        # A resource is found by its name, its kind and its status: who holds it is the nearest that a key has to one.
        self._resources.add(_KIND, pair.access_key, dict(vars(pair)), status=holder, tags={})
        return pair


def _make(file: Path, owner: str) -> KeyPair:
    pair = KeyPair(
        access_key="AKIA" + _letters(16, string.ascii_uppercase + "234567"),
        secret=_letters(40, string.ascii_letters + string.digits),
        identity=owner,
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    being_written = file.with_suffix(".new")
    being_written.unlink(missing_ok=True)
    with os.fdopen(os.open(being_written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(f"[default]\naws_access_key_id = {pair.access_key}\naws_secret_access_key = {pair.secret}\n")
        out.flush()
        os.fsync(out.fileno())
    being_written.rename(file)
    return pair


def _read(file: Path, owner: str) -> KeyPair:
    file.chmod(0o600)
    kept = configparser.ConfigParser(interpolation=None)
    kept.read(file)
    try:
        section = kept["default"]
        return KeyPair(access_key=section["aws_access_key_id"], secret=section["aws_secret_access_key"], identity=owner)
    except KeyError as missing:
        raise ValueError(f"{file} names no {missing}: delete it and a new key pair is made") from None


def _letters(count: int, alphabet: str) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(count))
