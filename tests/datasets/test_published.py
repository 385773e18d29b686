# SPDX-License-Identifier: Apache-2.0
"""Published data sets, from tiny copies of their layouts."""

import json
import pickle
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import layouts
import numpy as np
import pytest
from layouts import known, square

from groundmore_ros.datasets import open_dataset
from groundmore_ros.datasets.groundmore import GroundMore
from groundmore_ros.datasets.referring import Mevis, ReferYoutubeVos
from groundmore_ros.errors import SourceError


def test_groundmore_questions_spans_and_object_lists(tmp_path: Path) -> None:
    dataset = open_dataset(str(layouts.groundmore(tmp_path)))
    assert isinstance(dataset, GroundMore)
    assert dataset.frames == 20
    assert list(dataset.ids) == [
        "bare_0200_0202",
        "gone_0100_0102",
        "one_1103_1107",
        "two_0010_0012",
    ]
    video = dataset.video("one_1103_1107")
    first, second = video.questions
    assert (first.type, first.objects, second.type, second.objects) == (
        "Causal",
        (1,),
        "Sequential",
        (1, 2),
    )
    # 11:03 to 11:05 in a clip from 11:03 are frames 0 to 11, six a second.
    assert first.span == pytest.approx((0, 11 / 6))
    assert second.span == pytest.approx((2, 23 / 6))
    assert len(video.names) == len(video.stamps) == 24
    assert np.array_equal(known(video.truth(second, 3)), square(1) | square(2))
    assert known(video.pictures([5])[0]).shape == (40, 50, 3)


def test_groundmore_a_missing_mask_is_empty_only_in_a_video_with_masks(tmp_path: Path) -> None:
    dataset = open_dataset(str(layouts.groundmore(tmp_path)))
    video = dataset.video("one_1103_1107")
    assert not known(video.truth(video.questions[0], 20)).any()
    bare = dataset.video("bare_0200_0202")
    assert bare.truth(bare.questions[0], 0) is None


def test_groundmore_both_file_name_schemes_and_both_layouts(tmp_path: Path) -> None:
    root = layouts.groundmore(tmp_path)
    (root / "annotations").rename(root / "groundmore_videos")
    (root / "test_v2.json").rename(root / "test_meta.json")
    dataset = open_dataset(str(root / "test_meta.json"))
    video = dataset.video("two_0010_0012")
    assert list(video.names[:2]) == ["0000000", "0000001"]
    assert np.array_equal(known(video.truth(video.questions[0], 11)), square(3))


def test_groundmore_missing_frames_are_told_and_questions_known(tmp_path: Path) -> None:
    video = open_dataset(str(layouts.groundmore(tmp_path))).video("gone_0100_0102")
    assert "gone_0100_0102/images holds no frames" in video.missing
    assert len(video.questions) == 1


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"obj_id": "one"}, "question 0 is not as published"),
        ({"action_start": "soon"}, "question 0 is not as published"),
        ({"question": None, "drop": "q_type"}, "'q_type'"),
    ],
)
def test_groundmore_errors_name_the_file(tmp_path: Path, change: dict, complaint: str) -> None:
    root = layouts.groundmore(tmp_path)
    file = root / "test_v2.json"
    content = json.loads(file.read_text())
    record = content["videos"]["two_0010_0012"]["questions"]["0"]
    record |= change
    record.pop(change.get("drop"), None)
    file.write_text(json.dumps(content))
    with pytest.raises(SourceError, match=complaint) as caught:
        open_dataset(str(root)).video("two_0010_0012")
    assert "test_v2.json" in str(caught.value)


def test_groundmore_a_damaged_mask_is_named(tmp_path: Path) -> None:
    root = layouts.groundmore(tmp_path)
    mask = root / "annotations/two_0010_0012/masks/0000003.png"
    mask.write_bytes(b"no picture")
    video = open_dataset(str(root)).video("two_0010_0012")
    with pytest.raises(SourceError, match="0000003.png cannot be read"):
        video.truth(video.questions[0], 3)
    layouts.save_picture(mask)
    with pytest.raises(SourceError, match="RGB picture"):
        video.truth(video.questions[0], 3)


def test_refer_youtube_vos(tmp_path: Path) -> None:
    dataset = open_dataset(str(layouts.refer_youtube_vos(tmp_path)))
    assert isinstance(dataset, ReferYoutubeVos)
    video = dataset.video("abc")
    assert video.stamps == pytest.approx([0, 5 / 30, 10 / 30, 15 / 30])
    left, right = video.questions
    assert (left.text, left.type, left.has_target) == ("the left square", "Referring", True)
    assert left.span == pytest.approx((0, 0.5))
    assert np.array_equal(known(video.truth(right, 2)), square(2))
    assert known(video.pictures([0, 3])[1]).shape == (40, 50, 3)


def test_refer_youtube_vos_without_published_masks(tmp_path: Path) -> None:
    root = layouts.refer_youtube_vos(tmp_path)
    file = root / "meta_expressions" / "train" / "meta_expressions.json"
    content = json.loads(file.read_text())
    for record in content["videos"]["abc"]["expressions"].values():
        del record["obj_id"]
    file.write_text(json.dumps(content))
    video = open_dataset(str(root)).video("abc")
    assert video.questions[0].has_target is None
    assert video.truth(video.questions[0], 0) is None


def test_mevis_unions_nulls_and_expressions_without_target(tmp_path: Path) -> None:
    dataset = open_dataset(str(layouts.mevis(tmp_path)))
    assert isinstance(dataset, Mevis)
    video = dataset.video("xyz")
    both, left, none = video.questions
    assert np.array_equal(known(video.truth(both, 0)), square(1) | square(2))
    assert np.array_equal(known(video.truth(both, 1)), square(1))  # the right one is null there
    assert np.array_equal(known(video.truth(left, 2)), square(1))
    assert (none.has_target, none.span) == (False, None)
    assert not known(video.truth(none, 0)).any()
    assert dataset.video("xyz").missing == ""


def test_mevis_errors_name_file_and_annotation(tmp_path: Path) -> None:
    root = layouts.mevis(tmp_path)
    file = root / "valid_u" / "mask_dict.json"
    masks = json.loads(file.read_text())
    masks["7"][0]["counts"] = [5, 5]
    file.write_text(json.dumps(masks))
    video = open_dataset(str(root)).video("xyz")
    with pytest.raises(SourceError, match="annotation 7 of frame 00000"):
        video.truth(video.questions[0], 0)
    file.write_text(json.dumps({"8": masks["8"]}))
    with pytest.raises(SourceError, match=r"mask_dict.json: annotation 7 has no masks; expected 3"):
        open_dataset(str(root)).video("xyz")


def test_data_sets_travel_to_other_processes(tmp_path: Path) -> None:
    dataset = open_dataset(str(layouts.mevis(tmp_path)), "valid_u")
    assert pickle.loads(pickle.dumps(dataset)).video("xyz").questions[0].text == "the two squares"


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_what_is_no_source_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=name):
        open_dataset(str(tmp_path / name))


JUNK: tuple[Any, ...] = (
    None,
    7,
    -1.5,
    "x",
    "",
    [],
    ["x1"],
    [None],
    {},
    {"a": 1},
    True,
    "1, 2",
    [[1]],
)


def _paths(value: Any, path: tuple = ()) -> list[tuple]:
    """Where something stands in a JSON value."""
    if not isinstance(value, dict | list):
        return [path]
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    return [path] + [p for key, child in inner for p in _paths(child, (*path, key))]


def _replaced(value: Any, path: tuple, junk: Any) -> Any:
    if not path:
        return junk
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _replaced(value[path[0]], path[1:], junk)
    return copy


@pytest.mark.parametrize(
    ("layout", "file"),
    [
        (layouts.groundmore, "test_v2.json"),
        (layouts.refer_youtube_vos, "meta_expressions/train/meta_expressions.json"),
        (layouts.mevis, "valid_u/meta_expressions.json"),
        (layouts.mevis, "valid_u/mask_dict.json"),
    ],
)
def test_junk_anywhere_in_the_json_is_read_or_refused(
    tmp_path: Path, layout: Callable[[Path], Path], file: str
) -> None:
    root = layout(tmp_path)
    content = json.loads((root / file).read_text())
    rng = random.Random(0)
    for path in rng.sample(_paths(content), k=min(40, len(_paths(content)))):
        for junk in rng.sample(JUNK, k=4):
            (root / file).write_text(json.dumps(_replaced(content, path, junk)))
            with suppress(SourceError):
                _read_all(root)


def _read_all(root: Path) -> None:
    dataset = open_dataset(str(root))
    for video_id in dataset.ids:
        video = dataset.video(video_id)
        for question in video.questions:
            if not video.missing:
                video.truth(question, 0)
