# SPDX-License-Identifier: Apache-2.0
import torch
from conftest import tiny_config

from groundmore_ros.mora.modeling import MoraForCausalLM
from groundmore_ros.mora.objects import FrameObjects, ObjectQueries, track_features
from groundmore_ros.mora.tracking import link


def _found(*places: tuple[float, float], identity: list[int] | None = None) -> FrameObjects:
    """Objects at places, each with an identity of its own."""
    count = len(places)
    kinds = identity or list(range(count))
    boxes = torch.tensor([[x, y, 0.1, 0.1] for x, y in places])
    return FrameObjects(
        scores=torch.full((count,), 0.9),
        boxes=boxes,
        queries=torch.nn.functional.one_hot(torch.tensor(kinds), 8).float(),
        identities=torch.nn.functional.one_hot(torch.tensor(kinds), 8).float(),
    )


def test_objects_are_followed_whatever_their_order() -> None:
    frames = [
        _found((0.1, 0.1), (0.8, 0.8)),
        _found((0.75, 0.8), (0.2, 0.1), identity=[1, 0]),
        _found((0.3, 0.1), (0.7, 0.8)),
    ]
    tracks, _ = link(frames, 4)
    assert tracks.valid.tolist() == [True, True, False, False]
    assert tracks.present[:2].all()
    for k in range(2):
        identities = tracks.queries[k].argmax(-1).tolist()
        assert len(set(identities)) == 1


def test_an_object_that_is_hidden_for_a_while_keeps_its_track() -> None:
    frames = [_found((0.1, 0.1)), _faint(), _found((0.2, 0.1))]
    tracks, _ = link(frames, 2)
    assert tracks.valid.tolist() == [True, False]
    assert tracks.present[0].tolist() == [True, False, True]
    assert tracks.scores[0].tolist()[1] == 0
    assert torch.equal(tracks.boxes[0, 1], tracks.boxes[0, 0])  # the last known place


def test_nothing_found_is_no_track() -> None:
    tracks, _ = link([_faint(), _faint()], 3)
    assert not tracks.valid.any()
    assert not tracks.present.any()


def _faint() -> FrameObjects:
    return _found((0.5, 0.5))._replace(scores=torch.tensor([0.01]))


def test_queries_are_read_at_the_peaks() -> None:
    torch.manual_seed(0)
    finder = ObjectQueries(tiny_config())
    embedding = torch.randn(2, 16, 16, 16)
    logits, geometry, queries = finder.maps(embedding)
    found = finder(embedding)
    best = logits[0].flatten().argmax()
    assert torch.isclose(found.scores[0, 0], logits[0].flatten()[best].sigmoid())
    assert torch.allclose(found.queries[0, 0], queries[0].flatten(1)[:, best])
    assert found.boxes.shape == (2, 3, 4)
    assert torch.allclose(found.identities.norm(dim=-1), torch.ones(2, 3))


def test_track_features_hold_changes_where_both_frames_saw_the_object() -> None:
    boxes = torch.tensor([[[[0.1, 0.2, 0.3, 0.3], [0.2, 0.2, 0.3, 0.3], [0.3, 0.2, 0.3, 0.3]]]])
    present = torch.tensor([[[True, True, False]]])
    features = track_features(boxes, present.float(), present)
    assert torch.allclose(features[0, 0, 1, -4:], torch.tensor([2.0, 0, 0, 0]), atol=1e-6)
    assert (features[0, 0, 2, -4:] == 0).all()


def test_tracks_that_are_not_there_change_nothing() -> None:
    torch.manual_seed(0)
    reasoner = MoraForCausalLM(tiny_config()).eval().object_reasoner
    queries, extras = torch.randn(1, 3, 5, 16), torch.randn(1, 3, 5, 10)
    scene = torch.randn(1, 5, 16)
    valid = torch.tensor([[True, True, False]])
    with torch.no_grad():
        first = reasoner(queries, extras, valid, scene)
        queries[:, 2], extras[:, 2] = 9.0, 9.0
        second = reasoner(queries, extras, valid, scene)
        shorter = reasoner(queries[:, :2], extras[:, :2], valid[:, :2], scene)
    for field in ("tokens", "keys", "moments"):
        assert torch.allclose(
            getattr(first, field)[:, :2], getattr(second, field)[:, :2], atol=1e-6
        )
        assert torch.allclose(getattr(first, field)[:, :2], getattr(shorter, field), atol=1e-6)
