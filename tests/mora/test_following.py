# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from groundmore_ros.mora import Mora
from groundmore_ros.mora.objects import FrameObjects
from groundmore_ros.mora.tracking import link
from groundmore_ros.simulation import generate


def _iou(truth: NDArray[np.bool_], mask: NDArray[np.bool_]) -> float:
    return float((truth & mask).sum() / max(1, (truth | mask).sum()))


def test_what_is_right_in_the_clip_stays_right(nano: Mora, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten frames are answered, six are followed, without a word of the language model."""
    clips, lives = [], []
    for seed in range(1_000_303, 1_000_308):
        episode = generate(seed)
        question = next(q for q in episode.questions if q.type == "Referring")
        features = [nano.encode(f) for f in episode.frames]
        stamps = episode.stamps.tolist()
        answer = nano.answer_features(features[:10], stamps[:10], question.text)
        truth = episode.object_masks == question.target
        if not answer.objects or _iou(truth[:10], answer.mask_logits > 0) < 0.5:
            continue  # the wrong object, which is another matter
        follower = nano.follow(answer.objects[0].prompt)
        with monkeypatch.context() as patched:
            patched.setattr(type(nano.model), "generate", None)
            patched.setattr(nano.model.language_model, "forward", None)
            live = np.stack([follower.see(f) for f in features[10:]])
        assert live.shape == truth[10:].shape
        clips.append(_iou(truth[:10], answer.mask_logits > 0))
        lives.append(_iou(truth[10:], live > 0))
    assert len(clips) >= 2
    assert np.mean(lives) > np.mean(clips) - 0.1


def test_following_goes_on_as_the_clip_would_have(nano: Mora) -> None:
    """Whatever is found in the later frames lies where the clip of all frames has it."""
    episode = generate(1_000_301)
    features = [nano.encode(f).features for f in episode.frames]
    with torch.inference_mode():
        whole = nano.model.compare(features)
        part = nano.model.compare(features[:10])
    assert whole.linker is not None
    assert part.linker is not None
    assert whole.tracks is not None
    assert part.tracks is not None
    live = [part.linker.keep(k) for k in range(int(part.tracks.valid.sum()))]
    for t, frame in enumerate(features[10:], 10):
        assert frame.objects is not None
        found = [track.see(frame.objects) for track in live]
        boxes = [frame.objects.boxes[i] for i in found if i is not None]
        there = whole.tracks.boxes[whole.tracks.present[:, t], t]
        assert len(boxes) >= 2
        for box in boxes:
            assert min(float((box - other).abs().max()) for other in there) == 0.0


def test_live_tracks_forget_what_is_long_gone() -> None:
    """Objects that come and go for hours: memory stays bounded, the one that is meant is kept."""

    def seen(t: int) -> FrameObjects:
        passing = torch.tensor([0.2 + 0.6 * (t % 7) / 7, 0.9, 0.1, 0.1])
        looks = torch.nn.functional.one_hot(torch.tensor([0, 1 + t % 31]), 32).float()
        boxes = torch.stack([torch.tensor([0.5, 0.1, 0.1, 0.1]), passing])
        return FrameObjects(torch.tensor([0.9, 0.9]), boxes, torch.zeros(2, 4), looks)

    _, linker = link([seen(t) for t in range(3)], 3)
    track = linker.keep(0)
    for t in range(3, 600):
        assert track.see(seen(t)) == 0
    assert len(track._tracks) < 80
    assert all(len(k.found) == 1 for k in track._tracks)
