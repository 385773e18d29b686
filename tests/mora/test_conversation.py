# SPDX-License-Identifier: Apache-2.0
import pytest

from groundmore_ros.mora.conversation import IMAGE, build_prompt


@pytest.mark.parametrize(
    "text", ["which object FALLS?", "Which object falls?", " WHICH object falls? "]
)
def test_the_plain_template_reads_any_case_as_a_sentence(text: str) -> None:
    assert build_prompt("plain", text) == [IMAGE, " which object falls\n"]


def test_llavas_templates_leave_the_question_alone() -> None:
    for template in ("llava_v1", "llava_llama_2"):
        parts = build_prompt(template, "WHICH one?")
        assert "\nWHICH one? " in str(parts[-1])
