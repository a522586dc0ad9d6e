"""`groundfog interrupt`: what happens to spot instances, when you want it to."""

import click

from groundfog.cli.options import HOME, options, settings_of
from groundfog.cli.servers import engine_to_read, running


@click.command()
@HOME
@options("database")
@click.option(
    "--for",
    "away",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    metavar="SECONDS",
    help="How long there are no other instances.",
)
@click.argument("job")
def interrupt(job: str, away: float, **given: str | None) -> None:
    """Take the instances of the training job JOB away, as happens on the spot market.

    Its program is asked to end (SIGTERM) and has 120 seconds for that. Then the job waits, and starts again with what
    its CheckpointConfig kept in S3. Only for jobs with EnableManagedSpotTraining.
    """
    from groundfog.engine.errors import Busy, Missing, Unfit
    from groundfog.engine.jobs import job_of

    settings = settings_of(given)
    engine = engine_to_read(settings)
    try:
        engine.jobs.interrupt(job, away=away)
        kept = [mirror for mirror in job_of(engine.resources.find("training-job", job)).mirrors if mirror.fetched]
    except Missing:
        raise click.ClickException(f"no training job {job} in {settings.home}: see `groundfog status`") from None
    except Unfit as unfit:
        raise click.ClickException(f"{unfit}; create it with EnableManagedSpotTraining") from None
    except Busy as busy:
        raise click.ClickException(
            f"{job} has the status {busy}: there is something to interrupt while it is Training"
        ) from None
    _tell(job, [f"s3://{mirror.bucket}/{mirror.prefix}" for mirror in kept])
    if running(settings.home) is None:
        click.echo("No server is running: the next one sees to it.")


def _tell(job: str, kept: list[str]) -> None:
    if kept:
        click.echo(f"{job} is interrupted, and will go on with what {kept[0]} holds then")
    else:
        click.echo(f"{job} is interrupted, and will begin anew: it has no CheckpointConfig")
