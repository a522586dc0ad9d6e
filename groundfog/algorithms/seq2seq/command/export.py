"""groundfog seq2seq export: a model for programs that have neither Groundfog nor torch."""

from pathlib import Path

import click

from . import asking


@click.command(cls=asking.Command)
@click.argument("model", type=asking.EXISTING)
@click.argument("output", type=asking.FOLDER)
@click.option(
    "--ensemble", type=asking.EXISTING, multiple=True, help="Another model that has a say too; may be given again."
)
def export(model: Path, output: Path, ensemble: tuple[Path, ...]) -> None:
    """Write MODEL as ONNX graphs to the folder OUTPUT.

    They run wherever ONNX does; a program beside them translates with numpy and onnxruntime alone. MODEL is a
    folder, or the model.tar.gz of a training job. Of an ensemble all members are in the graphs.

    \b
    groundfog seq2seq export pairs-model pairs-onnx
    echo tapeworm | python pairs-onnx/translate.py
    """
    from .models import open_models

    if output.exists() and any(output.iterdir()):
        raise click.UsageError(f"{output} is not empty: give a folder of its own")
    opened = open_models([model, *ensemble])
    opened.export_onnx(output)
    if opened.joint_ngrams and opened.joint_ngrams.weight:
        click.echo("The graphs are the network's: the joint n-grams that have a say in this model stay behind.")
    click.echo(f"{output} has encoder.onnx, decoder_step.onnx and what they need; its README.md says how to use them.")
    sides = opened.tokenizers.source, opened.tokenizers.target
    pieces = any(side.kind.startswith("sentencepiece") for side in sides)
    packages = "numpy, onnxruntime and sentencepiece" if pieces else "numpy and onnxruntime"
    click.echo(f"Go on, where {packages} are installed: python {output}/translate.py < lines.txt")
