"""Checksums that we compute ourselves: of copies, and of objects that came in parts."""

import base64
from collections.abc import Sequence
from pathlib import Path

from groundfog.engine.objects import Part
from groundfog.engine.objects.blobs import blocks
from groundfog.wire.chunked import ALGORITHMS
from groundfog.wire.refusal import Refusal


class Digests:
    """A checksum of what it is updated with; none for no algorithm."""

    def __init__(self, algorithm: str | None) -> None:
        if algorithm is not None and algorithm.lower() not in ALGORITHMS:
            raise Refusal("NotImplemented", f"Checksums by {algorithm} are not implemented", 501)
        self._algorithm = algorithm
        self._hash = None if algorithm is None else ALGORITHMS[algorithm.lower()]()

    def update(self, data: bytes) -> None:
        if self._hash is not None:
            self._hash.update(data)

    def update_from(self, path: Path) -> None:
        with path.open("rb", buffering=0) as file:
            for block in blocks(file, 0, path.stat().st_size):
                self.update(block)

    def members(self) -> dict[str, str]:
        """As requests and answers have it: `{"ChecksumCRC32": base64}`."""
        if self._hash is None:
            return {}
        return {f"Checksum{self._algorithm}": base64.b64encode(self._hash.digest()).decode()}


class Joined:
    """The checksum of an upload's object: of the whole, or of its parts' checksums with their number."""

    def __init__(self, algorithm: str | None, kind: str | None) -> None:
        self._algorithm, self._kind = algorithm, kind

    def members(self, parts: Sequence[Part], path: Path) -> dict[str, str]:
        if self._algorithm is None or self._kind is None:
            return {}
        digests = Digests(self._algorithm)
        if self._kind == "FULL_OBJECT":
            digests.update_from(path)
            return {**digests.members(), "ChecksumType": self._kind}
        name = f"Checksum{self._algorithm}"
        for part in parts:
            digests.update(base64.b64decode(part.checksums[name]))
        return {name: f"{digests.members()[name]}-{len(parts)}", "ChecksumType": self._kind}
