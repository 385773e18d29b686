# SPDX-License-Identifier: Apache-2.0
"""A bag evaluated through the running node, against the offline engine."""

from pathlib import Path

import numpy as np
import pytest

from groundmore_ros.datasets.bag import Bags
from groundmore_ros.evaluation.answering import Asking, answer_video
from groundmore_ros.mora import Mora
from groundmore_ros.ros.replay import replay


def test_node_and_offline_engine_predict_the_same(nano: Mora, sample: Path) -> None:
    dataset = Bags(sample)
    video = dataset.video(dataset.ids[0])
    offline = list(answer_video(lambda: nano, video, video.questions, Asking()))
    online = list(replay(video, video.questions, "mora-nano"))
    assert [p.question for p in online] == [q.id for q in video.questions]
    for one, other in zip(offline, online, strict=True):
        assert (one.status, one.text, one.error) == (other.status, other.text, other.error)
        assert one.score == pytest.approx(other.score, abs=1e-4)
        assert one.spans is not None
        assert other.spans is not None
        assert np.allclose([s[:2] for s in one.spans], [s[:2] for s in other.spans])
        assert one.masks.keys() == other.masks.keys()
        for name, mask in one.masks.items():
            for before, after in (
                (mask, other.masks[name]),
                (one.before_gate(name), other.before_gate(name)),
            ):
                assert before is not None
                assert after is not None
                # The same arithmetic on another thread may round differently at a border.
                assert np.mean(before.decode() != after.decode()) < 1e-3
