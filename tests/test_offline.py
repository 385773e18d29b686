# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import numpy as np
import pytest
from conftest import tiny_mora
from PIL import Image

from groundmore_ros.mora import Mora
from groundmore_ros.offline import Sampling, ask


def test_a_long_source_is_answered_window_by_window(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for k in range(45):
        picture = rng.integers(0, 255, (24, 32, 3), np.uint8)
        Image.fromarray(picture).save(tmp_path / f"{k:03d}.png")
    results = [
        answered.result
        for answered in ask(tiny_mora(), tmp_path, "What moves?", sampling=Sampling(2.0, 5.0, 16))
    ]
    assert [len(r.stamps) for r in results] == [11, 10, 2]


def test_node_and_offline_give_the_same_answers(nano: Mora, sample: Path) -> None:
    """The same bag, questions and times through DDS and through files."""
    from groundmore_ros.bags.truth import read_truth
    from groundmore_ros.ros.demo import record

    truth = read_truth(sample)
    recording = record([sample], [a.question_id for a in truth.answers], "mora-nano")
    assert recording.answers.keys() == {a.question_id for a in truth.answers}
    for asked in truth.answers:
        (offline,) = ask(
            nano,
            sample,
            asked.question,
            at=asked.end / 1e9,
            sampling=Sampling(window=asked.window),
        )
        result, online = offline.result, recording.answers[asked.question_id]
        assert result.answer is not None
        assert online.status == result.status
        assert online.answer == result.answer.plain_text
        assert online.score == pytest.approx(result.answer.score, abs=1e-4)
        spans = [
            (s.start.sec + s.start.nanosec / 1e9, s.end.sec + s.end.nanosec / 1e9)
            for s in online.spans
        ]
        assert np.allclose(spans, [s[:2] for s in result.answer.spans])
        masks = recording.masks.get(asked.question_id, {})
        for k, found in enumerate(result.answer.objects):
            for t, stamp in enumerate(result.stamps):
                mask, active = masks[stamp, k]
                # The same arithmetic on another thread may round differently at a mask's border.
                assert np.mean(mask != (found.mask_logits[t] > 0)) < 1e-3
                assert active == found.active[t]
