# SPDX-License-Identifier: Apache-2.0
"""Tiny data sets in their published layouts. Masks are squares, so that figures can be worked out.

Frames are 40 x 50 pixels; object k's square has its left edge at 10 (k - 1) + 2.
"""

import json
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from groundmore_ros.run_lengths import encode

HEIGHT, WIDTH, SIDE = 40, 50, 8
T = TypeVar("T")


def known(value: T | None) -> T:
    """What must not be None."""
    assert value is not None
    return value


def square(k: int, top: int = 4) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    left = 10 * (k - 1) + 2
    mask[top : top + SIDE, left : left + SIDE] = True
    return mask


def save_picture(path: Path, shade: int = 90) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((HEIGHT, WIDTH, 3), shade, np.uint8)).save(path)


def save_map(path: Path, *objects: int, top: int = 4) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    maps = np.zeros((HEIGHT, WIDTH), np.uint8)
    for k in objects:
        maps[square(k, top)] = k
    picture = Image.fromarray(maps, "P")
    picture.putpalette([c for k in range(256) for c in (k, 255 - k, 0)])
    picture.save(path)


def question(text: str, kind: str, obj_id: object, start: str, end: str) -> dict:
    return {
        "question": text,
        "answer": "the player",
        "obj_id": obj_id,
        "q_type": kind,
        "action_start": start,
        "action_end": end,
    }


def groundmore(root: Path) -> Path:
    """Two videos with both ways to name files, a missing one, and one without masks.

    ``one`` has 24 frames (4 s from 11:03); its objects 1 and 2 are seen in frames 0 to 17.
    ``two`` has 12 frames (2 s from 00:10) numbered with seven digits from 0; object 3 in all.
    """
    videos = {
        "one_1103_1107": {
            "0": question("Who moves?", "Causal", "1", "11:03", "11:05"),
            "1": question("Who moves then?", "sequential", "1, 2", "11:05", "11:07"),
        },
        "two_0010_0012": {"0": question("What is thrown?", "Descriptive", 3, "00:10", "00:12")},
        "gone_0100_0102": {"0": question("Who left?", "Counterfactual", "1", "01:00", "01:01")},
        "bare_0200_0202": {"0": question("Who is bare?", "Descriptive", "1", "02:00", "02:01")},
    }
    content = {"videos": {v: {"questions": q} for v, q in videos.items()}}
    root.mkdir(parents=True, exist_ok=True)
    (root / "test_v2.json").write_text(json.dumps(content))
    place = root / "annotations"
    for k in range(24):
        save_picture(place / f"one_1103_1107/images/frame_{k:06d}.jpg")
        if k < 18:
            save_map(place / f"one_1103_1107/masks/frame_{k:06d}.png", 1, 2)
    for k in range(12):
        save_picture(place / f"two_0010_0012/images/{k:07d}.jpg")
        save_map(place / f"two_0010_0012/masks/{k:07d}.png", 3)
        save_picture(place / f"bare_0200_0202/images/frame_{k:06d}.jpg")
    return root


def refer_youtube_vos(root: Path) -> Path:
    """Its training part: one video, every fifth frame, two expressions."""
    frames = [f"{5 * k:05d}" for k in range(4)]
    expressions = {
        "0": {"exp": "the left square", "obj_id": "1"},
        "1": {"exp": "the right square", "obj_id": "2"},
    }
    content = {"videos": {"abc": {"frames": frames, "expressions": expressions}}}
    file = root / "meta_expressions" / "train" / "meta_expressions.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(content))
    for name in frames:
        save_picture(root / "train" / "JPEGImages" / "abc" / f"{name}.jpg")
        save_map(root / "train" / "Annotations" / "abc" / f"{name}.png", 1, 2)
    return root


def mevis(root: Path) -> Path:
    """``valid_u``: one video of 3 frames; a union of two objects, one object, none."""
    frames = [f"{k:05d}" for k in range(3)]
    expressions = {
        "0": {"exp": "the two squares", "obj_id": [0, 1], "anno_id": [7, 8]},
        "1": {"exp": "the left square", "obj_id": [0], "anno_id": [7]},
        "2": {"exp": "a flying elephant", "obj_id": [], "anno_id": []},
    }
    content = {"videos": {"xyz": {"vid_id": 0, "frames": frames, "expressions": expressions}}}
    place = root / "valid_u"
    place.mkdir(parents=True)
    (place / "meta_expressions.json").write_text(json.dumps(content))
    left = {"size": [HEIGHT, WIDTH], "counts": encode(square(1)).tolist()}
    right = {"size": [HEIGHT, WIDTH], "counts": encode(square(2)).tolist()}
    masks = {"7": [left, left, left], "8": [right, None, right]}
    (place / "mask_dict.json").write_text(json.dumps(masks))
    for name in frames:
        save_picture(place / "JPEGImages" / "xyz" / f"{name}.jpg")
    return root
