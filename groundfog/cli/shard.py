"""`groundfog shard`: a channel for each worker, as training with many workers from pipes wants it."""

import os
from typing import TYPE_CHECKING, Any

import click

from groundfog.cli.options import HOME, settings_of
from groundfog.cli.servers import environment

if TYPE_CHECKING:
    from groundfog.cli.shards import Place, Shard

MOST_CHANNELS = 20
"""Of one job."""


@click.command()
@click.argument("source")
@click.argument("target")
@click.option(
    "--shards", type=click.IntRange(1, MOST_CHANNELS), required=True, help="How many: one for each worker of a host."
)
@click.option(
    "--records",
    type=click.Choice(["tfrecord", "recordio", "lines"]),
    help="Deal out the records in the objects instead of whole objects.",
)
@click.option(
    "--hosts",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="With --records: objects in each shard, of which ShardedByS3Key gives each host one.",
)
@click.option("--name", default="train", show_default=True, help="Of the channels: NAME_0, NAME_1 and so on.")
@HOME
def shard(source: str, target: str, shards: int, records: str | None, hosts: int, name: str, home: str | None) -> None:
    """Deal out what lies below SOURCE into equal shards below TARGET, both s3://bucket/prefix.

    A pipe has one reader, so each of several workers wants a channel of its own. Whole objects are copied, each to the
    shard that has the fewest bytes so far.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    from groundfog.cli.shards import Place, Unshardable, deal_objects, deal_records, format_of

    if hosts > 1 and records is None:
        raise click.UsageError("--hosts needs --records: whole objects are dealt out to hosts by ShardedByS3Key itself")
    try:
        given, s3 = Place.read(source), _s3(home)
        made = _empty_shards(s3, given, Place.read(target), name, shards)
        if records is None:
            deal_objects(s3, given, made)
        else:
            deal_records(s3, given, made, format_of(records), hosts)
    except (Unshardable, ClientError, BotoCoreError) as error:
        raise click.ClickException(str(error)) from None
    _tell(made, hosts)


def _s3(home: str | None) -> Any:
    """A client of the server that the environment names; else of the one over this home."""
    from botocore.session import Session

    given = {} if os.environ.get("AWS_ENDPOINT_URL") else environment(settings_of({"home": home}))
    return Session().create_client(
        "s3",
        endpoint_url=given.get("AWS_ENDPOINT_URL"),
        region_name=given.get("AWS_REGION"),
        aws_access_key_id=given.get("AWS_ACCESS_KEY_ID"),
        aws_secret_access_key=given.get("AWS_SECRET_ACCESS_KEY"),
    )


def _empty_shards(s3: Any, source: "Place", target: "Place", name: str, count: int) -> "list[Shard]":
    """Raises Unshardable where something lies there already, which would become part of a shard."""
    from groundfog.cli.shards import Shard, Unshardable, listed

    made = [Shard(f"{name}_{number}", target.below(f"{name}_{number}")) for number in range(count)]
    for one in made:
        if one.place.bucket == source.bucket and one.place.prefix.startswith(source.prefix):
            raise Unshardable(f"{one.place} lies below {source}, and would be dealt out itself the next time")
        if listed(s3, one.place):
            raise Unshardable(f"{one.place} holds objects already: delete them, or choose another place")
    return made


def _tell(shards: "list[Shard]", hosts: int) -> None:
    for one in shards:
        records = f"{one.records:>10} records" if one.records else ""
        click.echo(f"{one.name:<12} {one.objects:>6} objects {records} {one.size:>14} bytes  {one.place}")
    name, start = shards[0].name.rpartition("_")[0], str(shards[0].place).removesuffix(f"{shards[0].name}/")
    further = ', distribution="ShardedByS3Key"' if hosts > 1 else ""
    click.echo(
        "\nPass them as channels, and let each worker read its own:\n\n"
        f'    estimator.fit({{f"{name}_{{n}}": TrainingInput(f"{start}{name}_{{n}}/", input_mode="Pipe"{further})\n'
        f"                   for n in range({len(shards)})}})\n"
        f'    PipeModeDataset(f"{name}_{{local_rank}}", ...)'
    )
