"""Where a job stands is written down, each step in one transaction."""

from dataclasses import asdict, replace
from typing import Any

from groundfog.engine.errors import Busy, Unfit
from groundfog.engine.jobs.documents import Interruption, Job, Progress, progress_of
from groundfog.engine.outcomes import Outcome, Secondary, Status
from groundfog.engine.resources import Document, Resource, Resources


class Records:
    """The jobs of one kind among the resources."""

    def __init__(self, resources: Resources, kind: str) -> None:
        self._resources, self._kind = resources, kind

    def add(self, name: str, job: Job, *, notes: Document, tags: dict[str, str]) -> Resource:
        """Raises Taken."""
        document = {"notes": notes, "job": asdict(job), "progress": asdict(Progress().entering("Starting"))}
        return self._resources.add(self._kind, name, document, status="InProgress", tags=tags)

    def find(self, name: str) -> Resource:
        """Raises Missing."""
        return self._resources.find(self._kind, name)

    def unfinished(self) -> list[Resource]:
        """What was under way first, what waits in line after it."""
        left = self._resources.in_status(self._kind, "InProgress", "Stopping")
        return sorted(left, key=lambda one: progress_of(one).step == "queued")

    def advance(
        self,
        name: str,
        secondary: Secondary | None = None,
        status: Status | None = None,
        *,
        only_from: tuple[Status, ...] = ("InProgress", "Stopping"),
        **changes: Any,
    ) -> Progress:
        """Raises Missing, and Busy unless in one of these statuses."""
        now: list[Progress] = []

        def change(document: Document) -> Document:
            progress = replace(Progress.read(document["progress"]), **changes)
            now.append(progress.entering(secondary) if secondary else progress)
            return {**document, "progress": asdict(now[0])}

        self._resources.change(self._kind, name, change, status=status, only_from=only_from)
        return now[0]

    def interrupt(self, name: str, until: float) -> None:
        """Raises Missing, Unfit for a job that may not be interrupted, and Busy unless its program runs."""

        def change(document: Document) -> Document:
            progress = Progress.read(document["progress"])
            if document["job"].get("max_wait") is None:
                raise Unfit(f"{name} does not train on spot instances, so nobody takes them away")
            if progress.step != "training" or progress.secondary == "Interrupted":
                raise Busy(progress.secondary)
            progress = replace(progress, interruption=Interruption(until)).entering("Interrupted")
            return {**document, "progress": asdict(progress)}

        self._resources.change(self._kind, name, change, only_from=("InProgress",))

    def conclude(self, name: str, outcome: Outcome, **changes: Any) -> None:
        """What remains is to clear up and to say so."""
        self.advance(name, step="settling", outcome=outcome, **changes)
