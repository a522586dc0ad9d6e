"""What a transform job is to do."""

from dataclasses import dataclass
from typing import Literal

from groundfog.engine.channels import Channel
from groundfog.engine.environments import Recipe
from groundfog.engine.jobs.code import Code
from groundfog.engine.launch import Program
from groundfog.engine.objects import Object
from groundfog.engine.resources import Document

SUFFIX = ".out"
"""What the key of an output has after that of its input."""
Split = Literal["None", "Line", "RecordIO"]


@dataclass(frozen=True, kw_only=True)
class Transform:
    program: Program
    model: tuple[str, str] | None
    """Bucket and key of the archive that becomes the model folder."""
    source: Channel
    bucket: str
    prefix: str
    """Where the output goes: what follows the source's prefix in a key is put after this one."""
    split: Split = "None"
    one_by_one: bool = False
    """A record for each request, instead of as many as fit."""
    most_bytes: int | None = 6 << 20
    """Of one request; None: no limit of the user's."""
    concurrent: int = 1
    """Requests under way at each instance."""
    instances: int = 1
    content_type: str | None = None
    accept: str | None = None
    lines: bool = False
    """Each answer ends with a line's end."""
    input_filter: str = "$"
    output_filter: str = "$"
    join: bool = False
    answer_seconds: float = 600
    retries: int = 3
    log_group: str
    """The namespace, too, of the metrics that say what its hosts take of the machine."""
    code: Code | None = None
    """The user's code, where the model's archive does not bring it."""
    recipe: Recipe | None = None
    """Of the environment in which the program runs the user's code; None: it runs none."""

    def has_made(self, found: Object, since: float) -> bool:
        """Outputs may go below the job's own input, where they are found while it runs."""
        place = found.bucket == self.bucket and found.key.startswith(self.prefix.lstrip("/"))
        return place and found.key.endswith(SUFFIX) and found.modified >= since

    @classmethod
    def read(cls, document: Document) -> "Transform":
        read = {
            "program": Program.read(document["program"]),
            "model": None if document["model"] is None else tuple(document["model"]),
            "source": Channel(**document["source"]),
            "code": Code(**document["code"]) if document.get("code") else None,
            "recipe": Recipe.read(document["recipe"]) if document.get("recipe") else None,
        }
        return cls(**{**document, **read})
