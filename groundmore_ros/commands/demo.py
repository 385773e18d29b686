# SPDX-License-Identifier: Apache-2.0
"""``groundmore demo``: watch a real ROS 2 node answer questions about the sample bags."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from groundmore_ros.commands.ros import keep_to_this_machine, require_ros
from groundmore_ros.errors import GroundmoreError

if TYPE_CHECKING:
    from groundmore_ros.bags.sheet import AnsweredFilm
    from groundmore_ros.bags.truth import BagTruth, TrueAnswer
    from groundmore_ros.ros.demo import Recording

__all__ = ["register"]

RATE = 5.0  # Hz, of the overlay video
TABLE_WIDTH = 150
RESULTS = ("answers.json", "answers.mcap", "overlay.mp4", "contact_sheet.png")


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command(name="demo")(demo)


def demo(
    out: Path = typer.Option(Path("build/demo"), help="Folder for the results."),
    model: str = typer.Option("mora-nano", help="A folder, a shipped model, or a cached hub id."),
    samples: Path = typer.Option(None, help="Folder of simulated bags; the shipped ones if unset."),
) -> None:
    """Play the sample bags to a node over DDS, ask their questions, compare with the truth."""
    require_ros()
    keep_to_this_machine()
    from groundmore_ros.bags.truth import read_truth
    from groundmore_ros.ros.demo import record

    bags = _sample_bags(samples)
    truths = [read_truth(bag) for bag in bags]
    questions = [a.question_id for truth in truths for a in truth.answers]
    typer.echo(f"{len(bags)} bags, {len(questions)} questions; starting a node and a bag player")
    recording = record(bags, questions, model)
    rows = [
        _row(answer, truth, recording)
        for truth in truths
        for answer in truth.answers
        if answer.question_id in recording.answers
    ]
    _print(rows)
    _write(out, truths, recording, rows)
    typer.echo(f"wrote {', '.join(sorted(p.name for p in out.iterdir()))} to {out}")
    answered = {r["question_id"] for r in rows if r["status"] in ("OK", "NO_OBJECT")}
    missing = [q for q in questions if q not in answered]
    if missing:
        raise GroundmoreError(
            f"no answer to {len(missing)} of {len(questions)}: {', '.join(missing)}"
        )


def _sample_bags(folder: Path | None) -> list[Path]:
    from groundmore_ros.resources import find_resource

    place = folder or find_resource("samples")
    bags = sorted(p.parent for p in place.glob("*/metadata.yaml")) if place else []
    if not bags:
        raise GroundmoreError(f"no bags in {place}; make some with groundmore simulate")
    return bags


def _row(answer: "TrueAnswer", truth: "BagTruth", recording: "Recording") -> dict[str, Any]:
    """One question's figures: what was answered, and how that compares with the truth."""
    import numpy as np

    from groundmore_ros.evaluation.metrics import region_similarity, temporal_iou
    from groundmore_ros.mora.answer import Status

    said = recording.answers[answer.question_id]
    masks = recording.masks.get(answer.question_id, {})
    spans = [(_seconds(s.start), _seconds(s.end)) for s in said.spans]
    row: dict[str, Any] = {
        "question_id": answer.question_id,
        "type": answer.type,
        "question": answer.question,
        "status": Status(said.status).name,
        "answer": said.answer,
        "truth": answer.answer,
        "score": said.score,
        "spans": spans,
        "true span": None,
        "right": said.status == Status.NO_OBJECT,
        "J": None,
        "temporal IoU": None,
    }
    if answer.object is not None and answer.span is not None:
        true_span = (answer.span[0] / 1e9, answer.span[1] / 1e9)
        overlaps, inside = [], []
        for stamp in truth.pictures:
            wanted = truth.masks[stamp, answer.object].decode()
            if not wanted.any():
                continue
            found, active = _union(masks, stamp, wanted)
            overlaps.append(region_similarity(wanted, found))
            if answer.span[0] <= stamp <= answer.span[1]:
                inside.append(region_similarity(wanted, found & active))
        row |= {
            "true span": true_span,
            "right": bool(np.mean(overlaps) > 0.5),
            "J": float(np.mean(inside)) if inside else 0.0,
            "temporal IoU": max((temporal_iou(s, true_span) for s in spans), default=0.0),
        }
    return row


def _union(masks: dict[Any, Any], stamp: int, like: Any) -> tuple[Any, bool]:
    found, active = like & False, False
    for (at, _), (mask, is_active) in masks.items():
        if at == stamp and mask.shape == like.shape:
            found, active = found | mask, active or is_active
    return found, active


def _seconds(stamp: Any) -> float:
    return float(stamp.sec + stamp.nanosec / 1e9)


def _print(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("question", "type", "answer", "truth", "span (s)", "true span (s)", "tIoU", "J")
    for row in rows:
        start = (row["true span"] or (row["spans"] or [(0,)])[0])[0] // 10 * 10
        spans = ", ".join(f"{a - start:.1f}-{b - start:.1f}" for a, b in row["spans"])
        true = row["true span"]
        table.add_row(
            escape(row["question"]),
            row["type"],
            f"[{'green' if row['right'] else 'red'}]{escape(row['answer'] or row['status'])}",
            row["truth"],
            spans or "-",
            f"{true[0] - start:.1f}-{true[1] - start:.1f}" if true else "-",
            *(f"{row[k]:.2f}" if row[k] is not None else "-" for k in ("temporal IoU", "J")),
        )
    console = Console()
    wide = console if console.width >= 100 else Console(width=TABLE_WIDTH)
    wide.print(table)
    right = sum(row["right"] for row in rows)
    wide.print(f"{right} of {len(rows)} answers name the right object (or rightly none)")


def _write(
    out: Path, truths: list["BagTruth"], recording: "Recording", rows: list[dict[str, Any]]
) -> None:
    from PIL import Image

    from groundmore_ros.bags.sheet import contact_sheet, film
    from groundmore_ros.bags.writer import VideoWriter

    out.mkdir(parents=True, exist_ok=True)
    for name in RESULTS:
        (out / name).unlink(missing_ok=True)
    (out / "answers.json").write_text(json.dumps(rows, indent=1) + "\n")
    _write_bag(out, truths, recording)
    films = [
        _film(answer, truth, recording)
        for truth in truths
        for answer in truth.answers
        if answer.question_id in recording.answers
    ]
    if films:
        Image.fromarray(contact_sheet(films)).save(out / "contact_sheet.png")
        video = VideoWriter(out / "overlay.mp4", RATE)
        for answered in films:
            for picture in film(answered):
                video.add(picture)
        video.close()


def _film(answer: "TrueAnswer", truth: "BagTruth", recording: "Recording") -> "AnsweredFilm":
    import numpy as np

    from groundmore_ros.bags.sheet import AnsweredFilm

    said = recording.answers[answer.question_id]
    masks = recording.masks.get(answer.question_id, {})
    stamps = sorted(truth.pictures)
    blank = np.zeros(truth.pictures[stamps[0]].shape[:2], bool)
    drawn = [_union(masks, stamp, blank) for stamp in stamps]
    true = answer.span
    return AnsweredFilm(
        pictures=[truth.pictures[s] for s in stamps],
        stamps=[s / 1e9 for s in stamps],
        masks=np.stack([mask for mask, _ in drawn]),
        active=np.array([active for _, active in drawn]),
        question=f"{answer.type}: {answer.question}",
        answer=said.answer,
        spans=[(_seconds(s.start), _seconds(s.end)) for s in said.spans],
        truth=answer.answer,
        true_spans=[(true[0] / 1e9, true[1] / 1e9)] if true else [],
    )


def _write_bag(out: Path, truths: list["BagTruth"], recording: "Recording") -> None:
    from groundmore_ros.bags.images import to_jpeg
    from groundmore_ros.bags.writer import BagFile

    messages: list[tuple[int, Any]] = []
    for truth in truths:
        for stamp, picture in truth.pictures.items():
            messages.append((stamp, (stamp, to_jpeg(picture))))
    messages += [(stamp, (topic, kind, raw)) for topic, kind, stamp, raw in recording.raw]
    with BagFile(out / "answers.mcap") as bag:
        for stamp, content in sorted(messages, key=lambda m: m[0]):
            if len(content) == 2:
                bag.write_jpeg("/image/compressed", stamp, "camera", content[1])
            else:
                topic, kind, raw = content
                bag.write_raw(topic, kind, stamp, raw)
