# SPDX-License-Identifier: Apache-2.0
import numpy as np

from groundmore_ros import run_lengths
from groundmore_ros.bags.messages import build_message, typestore
from groundmore_ros.bags.records import Result, answer_fields, event_fields, mask_fields
from groundmore_ros.mora.answer import Answer, AnsweredObject, Status

STAMPS = (5_000_000_000, 5_200_000_000, 5_400_000_000)


def result() -> Result:
    logits = np.full((3, 4, 5), -1, np.float32)
    logits[1:, 1:3, 2] = 2
    found = AnsweredObject(
        mask_logits=logits,
        frame_scores=np.array([0.1, 0.9, 0.8], np.float32),
        active=np.array([False, True, True]),
        spans=[(5.2, 5.4, 0.85)],
        score=0.7,
    )
    answer = Answer(
        "The red ball [SEG] [LOC].", Status.OK, 0.7, np.array([5, 5.2, 5.4]), (4, 5), [found]
    )
    return Result("q", "What moves?", "/image", "tiny", Status.OK, answer, STAMPS, ("a", "b", "c"))


def test_masks_carry_the_source_frames_stamps_and_the_mask_before_the_gate() -> None:
    masks = list(mask_fields(result()))
    assert [m["header"]["stamp"] for m in masks] == [
        {"sec": 5, "nanosec": n} for n in (0, 200_000_000, 400_000_000)
    ]
    assert [m["header"]["frame_id"] for m in masks] == ["a", "b", "c"]
    assert [m["active"] for m in masks] == [False, True, True]
    assert [m["area"] for m in masks] == [0, 2, 2]
    assert [m["last"] for m in masks] == [False, False, True]
    assert masks[1]["bbox"] == {
        "x_offset": 2, "y_offset": 1, "height": 2, "width": 1, "do_rectify": False
    }  # fmt: skip
    decoded = run_lengths.decode(masks[1]["counts"], 4, 5)
    assert np.array_equal(np.argwhere(decoded), [[1, 2], [2, 2]])


def test_events_are_the_frames_own_stamps() -> None:
    (event,) = event_fields(result())
    assert event["start"] == {"sec": 5, "nanosec": 200_000_000}
    assert event["end"] == {"sec": 5, "nanosec": 400_000_000}
    assert event["header"]["stamp"] == event["start"]


def test_fields_fill_the_packages_messages() -> None:
    fields = answer_fields(result())
    kind = "groundmore/msg/MotionAnswer"
    store = typestore()
    back = store.deserialize_cdr(store.serialize_cdr(build_message(kind, fields), kind), kind)
    assert back.answer == "The red ball."
    assert back.status == Status.OK
    assert back.spans[0].end.nanosec == 400_000_000
    assert (back.frames, back.objects) == (3, 1)


def test_status_numbers_are_the_messages_constants() -> None:
    constants = {
        name: value for name, _, value in typestore().fielddefs["groundmore/msg/MotionAnswer"][0]
    }
    assert {status.name: int(status) for status in Status} == constants
