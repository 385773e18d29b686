# SPDX-License-Identifier: Apache-2.0
"""``groundmore play``: a bag's images and questions onto ROS topics."""

import sys
from pathlib import Path

import typer

from groundmore_ros.commands.ros import require_ros

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command(name="play")(play)


def play(
    bags: list[Path] = typer.Argument(..., help="Bags, played one after the other."),
    rate: float = typer.Option(1.0, min=0.01, help="Speed: 2 plays twice as fast."),
    questions: bool = typer.Option(True, help="Ask the bag's questions too, at their times."),
    loop: bool = typer.Option(False, "--loop", help="Begin again at the end."),
    clock: bool = typer.Option(False, "--clock", help="Publish /clock, for use_sim_time."),
    wait: float = typer.Option(10.0, help="How long to wait for somebody to listen (s)."),
) -> None:
    """Play bags beside a node."""
    require_ros()
    from groundmore_ros.ros.player import play_bags

    sys.exit(play_bags(bags, speed=rate, questions=questions, loop=loop, clock=clock, wait=wait))
