# SPDX-License-Identifier: Apache-2.0
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rosbags.highlevel import AnyReader

from groundmore_ros.bags.messages import typestore
from groundmore_ros.bags.outbox import Outbox
from groundmore_ros.errors import GroundmoreError
from groundmore_ros.mora import Mora
from groundmore_ros.offline import ask


def test_the_outbox_holds_masks_messages_answers_and_a_video(
    nano: Mora, sample: Path, tmp_path: Path
) -> None:
    answered = list(ask(nano, sample, "Which object moves first?", at=3.0))
    with Outbox(tmp_path / "out", 5.0) as outbox:
        for clip in answered:
            outbox.add(*clip)
    out = tmp_path / "out"
    assert {p.name for p in out.iterdir()} == {
        "masks", "answers.json", "answers.mcap", "overlay.mp4"
    }  # fmt: skip
    result = answered[0].result
    assert result.answer is not None
    names = [f"{stamp:020d}.png" for stamp in result.stamps]
    assert sorted(p.name for p in (out / "masks").iterdir()) == names
    for name, mask in zip(names, result.answer.masks, strict=True):
        png = np.asarray(Image.open(out / "masks" / name))
        assert np.array_equal(png, mask * np.uint8(255))
    told = json.loads((out / "answers.json").read_text())
    assert told[0]["answer"] == result.answer.plain_text
    with AnyReader([out / "answers.mcap"], default_typestore=typestore()) as reader:
        counts = {c.topic: c.msgcount for c in reader.connections}
    assert counts["/image/compressed"] == 16
    assert counts["/mora/answers"] == 1
    assert counts.get("/mora/masks", 0) == 16 * len(result.answer.objects)
    with pytest.raises(GroundmoreError, match="already has"):
        Outbox(out, 5.0)
