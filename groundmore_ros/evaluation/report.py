# SPDX-License-Identifier: Apache-2.0
"""A run's figures in files: JSON, CSV, and one HTML page that needs nothing else."""

import base64
import csv
import html
import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from groundmore_ros.datasets.base import Dataset, Video
from groundmore_ros.errors import GroundmoreError
from groundmore_ros.evaluation.predictions import PredictionFolder
from groundmore_ros.evaluation.scores import Score
from groundmore_ros.evaluation.strips import Film
from groundmore_ros.evaluation.summary import METRICS

__all__ = ["published_results", "write_report"]

SHOWN = 20  # best and worst answers with film strips


def published_results() -> dict[str, Any]:
    """Figures of published papers on GroundMoRe, with their sources."""
    text = (resources.files("groundmore_ros.evaluation") / "published.yaml").read_text()
    results: dict[str, Any] = yaml.safe_load(text)
    return results


def write_report(
    out: Path,
    dataset: Dataset,
    predictions: Path | None,
    scores: Sequence[Score],
    summary: dict[str, Any],
    *,
    all_overlays: bool = False,
) -> Path:
    """Write ``report.json``, ``scores.csv``, ``report.html`` and ``overlays/``.

    Args:
        out: folder.
        dataset: what was asked about, for the pictures.
        predictions: folder of the answers, likewise.
        scores: of all questions.
        summary: of :func:`groundmore_ros.evaluation.summary.summarise`, and what was evaluated.
        all_overlays: whether every question gets its overlay video, not only the best and worst.

    Returns:
        the page.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_text(json.dumps(summary, indent=1) + "\n")
    _write_csv(out / "scores.csv", scores)
    films = _films(out, dataset, predictions, scores, all_overlays)
    page = out / "report.html"
    data = {
        "summary": summary,
        "rows": [_row(s) for s in scores],
        "films": films,
        "published": published_results() if dataset.name.startswith("GroundMoRe") else None,
    }
    page.write_text(_page(str(summary["dataset"]), data))
    return page


def _write_csv(path: Path, scores: Sequence[Score]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        named = ("video", "question", "type", "text", "truth", "status", "answer", "score", "error")
        writer.writerow([*named, "span", "spans", *METRICS, *_latency_names(scores)])
        for s in scores:
            writer.writerow(
                [
                    *(getattr(s, name) for name in named),
                    "" if s.span is None else f"{s.span[0]:.3f}-{s.span[1]:.3f}",
                    " ".join(f"{a:.3f}-{b:.3f}" for a, b in s.spans),
                    *("" if (v := m(s.figures)) is None else f"{v:.6f}" for m in METRICS.values()),
                    *(s.latencies.get(name, "") for name in _latency_names(scores)),
                ]
            )


def _latency_names(scores: Sequence[Score]) -> list[str]:
    return sorted({name for s in scores for name in s.latencies})


def _row(score: Score) -> dict[str, Any]:
    """What the page knows of a question."""
    figures = {k: None if v is None else round(v, 4) for k, v in asdict(score.figures).items()}
    return {
        "v": score.video,
        "q": score.question,
        "type": score.type,
        "text": score.text,
        "truth": score.truth,
        "status": score.status,
        "answer": score.answer,
        "score": round(score.score, 3),
        "error": score.error,
        "seconds": round(score.seconds, 3),
        "start": round(score.start, 3),
        "span": score.span and [round(t, 3) for t in score.span],
        "spans": [[round(a, 3), round(b, 3)] for a, b in score.spans],
        "f": figures,
    }


def _quality(score: Score) -> float:
    for name in ("J&F union", "temporal IoU"):
        value = METRICS[name](score.figures)
        if value is not None:
            return value
    return 0.0


def _films(
    out: Path,
    dataset: Dataset,
    predictions: Path | None,
    scores: Sequence[Score],
    all_overlays: bool,
) -> dict[str, Any]:
    """Strips of the best and the worst answers to questions that have one, and overlays."""
    asked = sorted((s for s in scores if s.has_target), key=_quality)
    worst = asked[: min(SHOWN, len(asked) // 2)]
    best = asked[len(asked) - min(SHOWN, len(asked) - len(worst)) :][::-1]
    folder = PredictionFolder(predictions) if predictions else None
    strips: dict[str, Any] = {}
    overlays: dict[str, str] = {}
    shown = {_key(s) for s in (*worst, *best)}
    by_video: dict[str, list[Score]] = {}
    for score in scores if all_overlays else (*worst, *best):
        by_video.setdefault(score.video, []).append(score)
    for video_id, wanted in sorted(by_video.items()):
        video = dataset.video(video_id)
        for score in wanted:
            film = _film(out, video, folder, score)
            overlays[_key(score)] = film["overlay"]
            if _key(score) in shown:
                strips[_key(score)] = film
    return {
        "worst": [_key(s) for s in worst],
        "best": [_key(s) for s in best],
        "strips": strips,
        "overlays": overlays,
    }


def _film(out: Path, video: Video, folder: PredictionFolder | None, score: Score) -> dict[str, str]:
    """A film costs no report: what cannot be drawn is told instead."""
    overlay = f"overlays/{score.video}_{score.question}.mp4".replace("%", "_")
    try:
        question = next(q for q in video.questions if q.id == score.question)
        names = [] if video.missing else [video.names[i] for i in question.frames]
        known = folder.read(video.id, question.id, names) if folder else None
        film = Film(video, question, known)
        strip = film.strip()
        if strip:
            film.write_overlay(out / overlay)
    except (GroundmoreError, OSError) as error:
        return {"strip": "", "overlay": "", "error": str(error)}
    shown = f"data:image/jpeg;base64,{base64.b64encode(strip).decode()}" if strip else ""
    return {"strip": shown, "overlay": overlay if strip else "", "error": ""}


def _key(score: Score) -> str:
    return f"{score.video}/{score.question}"


def _page(title: str, data: dict[str, Any]) -> str:
    parts = resources.files("groundmore_ros.evaluation") / "page"
    # No tag in a question may end the script, or begin a comment in it.
    inlined = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    page = (parts / "report.html").read_text()
    for name, text in (
        ("TITLE", html.escape(title)),
        ("STYLE", (parts / "report.css").read_text()),
        ("SCRIPT", (parts / "report.js").read_text()),
        ("DATA", inlined),  # last: it may hold the other names
    ):
        page = page.replace(f"@{name}@", text, 1)
    return page
