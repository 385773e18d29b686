# SPDX-License-Identifier: Apache-2.0
"""The ``groundmore`` command. Each subcommand is a small file in ``commands``.

Heavy imports (torch, transformers, rclpy, mujoco) happen inside the functions that need them, so
that help answers at once.
"""

import sys

import typer

from groundmore_ros import __version__
from groundmore_ros.commands import (
    ask,
    bench,
    convert,
    demo,
    evaluate,
    export,
    fetch,
    info,
    merge,
    node,
    play,
    predict,
    simulate,
    train,
)
from groundmore_ros.errors import GroundmoreError

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Motion questions about camera streams, answered with masks and event spans.",
)
for module in (
    ask,
    bench,
    convert,
    demo,
    evaluate,
    export,
    fetch,
    info,
    merge,
    node,
    play,
    predict,
    simulate,
    train,
):
    module.register(app)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Show the version."
    ),
) -> None:
    del version


def main() -> None:
    """Run the command; a user's mistake is one line and exit code 1."""
    try:
        app()
    except GroundmoreError as error:
        typer.echo(f"groundmore: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
