"""Write the parts of the documentation that the code knows better: coverage, settings, the command.

python docs/generate.py            writes docs/coverage.md and docs/command.md
python docs/generate.py --check    fails if they are not what would be written
"""

import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import botocore.session
import click
from botocore import xform_name

from groundfog.cli import main as command
from groundfog.services import bind
from groundfog.settings import Settings

HERE = Path(__file__).parent
GENERATED = "<!-- Written by docs/generate.py: change what it reads, not this. -->\n\n"


def main() -> None:
    pages = {HERE / "coverage.md": GENERATED + coverage(), HERE / "command.md": GENERATED + reference()}
    if "--check" in sys.argv:
        stale = [file.name for file, text in pages.items() if not file.exists() or file.read_text() != text]
        sys.exit(f"stale: {', '.join(stale)}; run python docs/generate.py" if stale else 0)
    for file, text in pages.items():
        file.write_text(text)


def coverage() -> str:
    """Per service: which operations of AWS's model are here, and which answer 501 NotImplemented."""
    session = botocore.session.get_session()
    handlers = bind(engine=None)  # type: ignore[arg-type]
    rows, details = [], []
    for service in sorted(handlers):
        names = session.get_service_model(service).operation_names
        done = [name for name in names if xform_name(name) in handlers[service]]
        rows.append(f"| [{service}](#{service}) | {len(done)} | {len(names)} |")
        listed = ", ".join(f"`{name}`" for name in sorted(done))
        details.append(f"## {service}\n\n{listed}\n")
    return (
        "# Coverage\n\n"
        "What each service answers. An operation that is in AWS's model and not listed here answers HTTP 501\n"
        "`NotImplemented` with its name, never an empty success.\n\n"
        "| service | operations here | in AWS's model |\n|---|---:|---:|\n"
        + "\n".join(rows)
        + "\n\n"
        + "\n".join(details)
    )


def reference() -> str:
    """The command's own help, and every setting."""
    context = click.Context(command, info_name="groundfog", max_content_width=100)
    assert isinstance(command, click.Group)
    parts = ["# Command and settings\n", f"```text\n{command.get_help(context)}\n```\n"]
    parts += [part for name, sub in command.commands.items() for part in _section(name, sub, context)]
    parts.append("## Settings\n\nEach is an option of `groundfog serve` and an environment variable.\n")
    rows = [
        f"| `{one.name}` | `GROUNDFOG_{one.name.upper()}` | `{_default(one.name)}` | {one.metadata['sentence']} |"
        for one in fields(Settings)
    ]
    parts.append("| setting | variable | default | meaning |\n|---|---|---|---|\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def _section(name: str, sub: click.Command, parent: click.Context) -> Iterator[str]:
    context = click.Context(sub, parent=parent, info_name=name, max_content_width=100)
    yield f"## {context.command_path}\n\n```text\n{_portable(sub.get_help(context))}\n```\n"
    if isinstance(sub, click.Group):
        for inner in sub.list_commands(context):
            found = sub.get_command(context, inner)
            assert found is not None
            yield from _section(inner, found, context)


def _default(name: str) -> str:
    return {"home": "~/.groundfog", "jobs_at_once": "half the cores"}.get(name, str(getattr(Settings, name)))


def _portable(text: str) -> str:
    """What depends on the machine is said in words."""
    return text.replace(f"[default: {Settings.jobs_at_once}]", "[default: half the cores]", 1)


if __name__ == "__main__":
    main()
