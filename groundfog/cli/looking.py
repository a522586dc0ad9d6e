"""`groundfog status` and `groundfog logs`: what is and was, read beside the server that writes it."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from groundfog.cli.options import HOME, options, settings_of
from groundfog.cli.servers import engine_to_read, has_state, running

if TYPE_CHECKING:
    from groundfog.engine import Engine


@click.command()
@HOME
@options("database")
def status(**given: str | None) -> None:
    """Say whether a server runs, and what it is doing."""
    settings = settings_of(given)
    server = running(settings.home)
    click.echo(f"server     {server['url']} (pid {server['pid']})" if server else "server     not running")
    click.echo(f"home       {settings.home}")
    if not has_state(settings):
        return
    engine = engine_to_read(settings)
    for kind, title in (
        ("training-job", "training jobs"),
        ("processing-job", "processing jobs"),
        ("transform-job", "transform jobs"),
        ("endpoint", "endpoints"),
    ):
        from groundfog.engine.resources import Wanted

        found, more = engine.resources.page(kind, Wanted(limit=20))
        click.echo(f"\n{title}" + (" (the newest 20)" if more else "" if found else ": none"))
        for resource in found:
            created = time.strftime("%Y-%m-%d %H:%M", time.localtime(resource.created))
            click.echo(f"  {resource.status:<12} {created}  {resource.name}")


@click.command()
@HOME
@options("database")
@click.argument("name")
@click.option("--follow", is_flag=True, help="Go on as lines appear, until the job ends.")
@click.option(
    "--metrics", is_flag=True, help="Only the metrics of a training job, a line for each second that has any."
)
def logs(name: str, follow: bool, metrics: bool, **given: str | None) -> None:
    """Print what the training job, processing job, transform job or endpoint NAME has said."""
    from groundfog.engine.errors import Missing

    settings = settings_of(given)
    engine = engine_to_read(settings)
    if metrics:
        _print_metrics(engine, name, follow)
        return
    for kind, group, prefix in (
        ("training-job", "/aws/sagemaker/TrainingJobs", f"{name}/"),
        ("processing-job", "/aws/sagemaker/ProcessingJobs", f"{name}/"),
        ("transform-job", "/aws/sagemaker/TransformJobs", f"{name}/"),
        ("endpoint", f"/aws/sagemaker/Endpoints/{name}", ""),
    ):
        try:
            engine.resources.find(kind, name)
        except Missing:
            continue
        for line in _lines(engine, kind, name, group, prefix, follow):
            click.echo(line)
        return
    raise click.ClickException(f"no job or endpoint {name} in {settings.home}: see `groundfog status`")


def _lines(engine: "Engine", kind: str, name: str, group: str, prefix: str, follow: bool) -> Iterator[str]:
    """What has been said, stream after stream; with `follow`, also what is being said, until it has ended."""
    from groundfog.engine.errors import Missing
    from groundfog.engine.logs import Span

    read: dict[str, int] = {}
    while True:
        try:
            living = engine.resources.find(kind, name).status in _LIVING
            streams = [stream.name for stream in engine.logs.streams(group, prefix=prefix)]
        except Missing:
            living, streams = engine.resources.has(kind, name), []
        for stream in streams:
            while events := (
                page := engine.logs.read(group, stream, start=read.get(stream, 0), limit=1000, span=Span())
            ).events:
                read[stream] = page.after
                yield from (event.message for event in events)
        if not (follow and living):
            return
        time.sleep(0.2)


def _print_metrics(engine: "Engine", name: str, follow: bool) -> None:
    from groundfog.engine.errors import Missing

    try:
        for at, said in _metrics(engine, name, follow):
            click.echo(f"{time.strftime('%H:%M:%S', time.localtime(at))}  {said}")
    except Missing:
        raise click.ClickException(f"no training job {name}: see `groundfog status`") from None


def _metrics(engine: "Engine", name: str, follow: bool) -> Iterator[tuple[int, str]]:
    """What was said within a second, and when; a second that has hardly passed is not complete yet."""
    from groundfog.engine.jobs import job_of

    job = engine.resources.find("training-job", name)
    definitions, shown = job_of(job).metrics, job.created
    while definitions is not None:
        over = not follow or engine.resources.find("training-job", name).status not in _LIVING
        until = time.time() + (_LAG if over else -_LAG)
        found: dict[int, list[str]] = {}
        for metric, _ in definitions.expressions:
            for point in engine.measurements.points(definitions.metric(metric), shown, until):
                value = point.summary.total / point.summary.count
                found.setdefault(point.at, []).append(f"{metric} {value:g}")
        yield from ((at, "  ".join(said)) for at, said in sorted(found.items()))
        if over:
            return
        shown = max(shown, until)
        time.sleep(1)


_LAG = 3.0
_LIVING = ("InProgress", "Stopping", "Creating", "Updating", "SystemUpdating", "RollingBack", "InService")
