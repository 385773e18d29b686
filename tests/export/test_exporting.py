# SPDX-License-Identifier: Apache-2.0
"""Real exports of tiny models, run in ONNX Runtime."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from lisa_layout import write_lisa

from groundmore_ros.errors import ModelError
from groundmore_ros.export import exporting, onnx_file, parity
from groundmore_ros.export.exporting import ExportOptions, export_onnx
from groundmore_ros.mora import Mora
from groundmore_ros.mora.backends.graph import DECODER, ENCODER
from groundmore_ros.mora.backends.manifest import Manifest
from groundmore_ros.mora.backends.onnx import OnnxGraph

REFUSED = {"Resize", "OneHot", "Tile", "NonZero", "If", "Loop"}


@pytest.fixture(scope="module")
def lisa(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lisa(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def exported(lisa: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("engines")
    export_onnx(str(lisa), DECODER, folder, ExportOptions())
    export_onnx(str(lisa), ENCODER, folder, ExportOptions())
    return folder


def test_the_decoder_is_one_file_with_t_free_and_plain_operators(exported: Path) -> None:
    assert sorted(f.name for f in exported.iterdir()) == [
        "sam_decoder.json", "sam_decoder.onnx", "sam_encoder.json", "sam_encoder.onnx",
    ]  # fmt: skip
    model = onnx.load(exported / "sam_decoder.onnx")
    assert [i.name for i in model.graph.input] == ["image_embeddings", "text_embeds"]
    assert [o.name for o in model.graph.output] == ["masks", "iou"]
    for value in (*model.graph.input, *model.graph.output):
        assert value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
        first, *others = value.type.tensor_type.shape.dim
        assert first.dim_param == "T"
        assert all(d.dim_value > 0 for d in others)
    assert not {n.op_type for n in model.graph.node} & REFUSED
    assert {o.domain: o.version for o in model.opset_import}[""] == 18


@pytest.mark.parametrize("frames", [1, 5])
def test_the_decoder_does_as_transformers_does(lisa: Path, exported: Path, frames: int) -> None:
    """Against transformers' own forward pass, which the exported graph was not made from."""
    segmenter = Mora.from_pretrained(lisa, dtype="float32").model.segmenter
    cells, prompts = torch.randn(frames, 256, 64, 64), torch.randn(frames, 1, 256)
    session = onnxruntime.InferenceSession(str(exported / "sam_decoder.onnx"))
    masks, iou = session.run(
        None, {"image_embeddings": cells.numpy(), "text_embeds": prompts.numpy()}
    )
    with torch.inference_mode():
        theirs, quality = segmenter.mask_decoder(
            cells,
            segmenter.grid_code(64).expand(frames, -1, -1, -1),
            prompts[:, None],
            segmenter.prompt_encoder.no_mask_embed.weight[..., None, None],
            multimask_output=False,
        )
    assert np.abs(masks - theirs[:, 0, 0].numpy()).max() < 1e-4
    assert np.abs(iou - quality[:, 0, 0].numpy()).max() < 1e-4


def test_a_manifest_tells_where_a_file_comes_from(lisa: Path, exported: Path) -> None:
    manifest = Manifest.read(exported / "sam_encoder.json")
    assert (manifest.part, manifest.opset, manifest.precision) == ("encoder", 18, "fp32")
    assert manifest.model == str(lisa)
    assert manifest.inputs == {"pixels": ["T", 3, 1024, 1024]}
    assert manifest.outputs == {"image_embeddings": ["T", 256, 64, 64]}
    assert manifest.parity["largest_difference"] < 1e-4
    assert manifest.parity["least_iou"] > 0.99


@pytest.mark.parametrize("part", [ENCODER, DECODER])
def test_older_operators_and_coarser_numbers(lisa: Path, tmp_path: Path, part) -> None:  # type: ignore[no-untyped-def]
    manifest = export_onnx(str(lisa), part, tmp_path, ExportOptions(opset=17, precision="mixed"))
    model = onnx.load(tmp_path / f"{part.stem}.onnx")
    assert {o.domain: o.version for o in model.opset_import}[""] == 17
    kinds = {t.data_type for t in model.graph.initializer}
    assert onnx.TensorProto.FLOAT16 in kinds
    assert onnx.TensorProto.FLOAT in kinds  # the normalisations'
    assert 1e-6 < manifest.parity["largest_difference"] < 0.1
    assert manifest.parity["least_iou"] > 0.98


def test_large_weights_go_beside_the_file(
    lisa: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_file, "LARGEST", 1000)
    manifest = export_onnx(str(lisa), DECODER, tmp_path, ExportOptions())
    assert (tmp_path / "sam_decoder.onnx.data").stat().st_size > 1000
    assert manifest.parity["largest_difference"] < 1e-4


def _refused_leaving_nothing(lisa: Path, folder: Path, complaint: str) -> None:
    with pytest.raises(ModelError, match=complaint):
        export_onnx(str(lisa), DECODER, folder, ExportOptions())
    assert list(folder.iterdir()) == []


def test_a_file_that_is_not_as_the_model_is_not_left(
    lisa: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parity, "WORST", 0.0)
    _refused_leaving_nothing(lisa, tmp_path, "is not as the model: differs by .*; expected 0")


def test_numbers_that_are_not_finite_are_refused(
    lisa: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where half precision overflows: a NaN is in no mask and larger than nothing."""
    run = OnnxGraph.run

    def overflowing(self: OnnxGraph, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        masks, *others = run(self, *inputs)
        return masks.masked_fill(masks < 0, torch.nan), *others

    monkeypatch.setattr(OnnxGraph, "run", overflowing)
    _refused_leaving_nothing(lisa, tmp_path, "numbers that are not finite, for 1 frames")


def test_an_exporter_that_fails_leaves_nothing_and_says_so(
    lisa: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise onnx.checker.ValidationError("no such operator")

    monkeypatch.setattr(exporting, "compare", failing)
    _refused_leaving_nothing(
        lisa, tmp_path, "sam_decoder.onnx is not as the model: no such operator"
    )


def test_a_machine_without_git_exports(
    lisa: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert export_onnx(str(lisa), DECODER, tmp_path, ExportOptions()).commit is None


def test_what_there_is_not(lisa: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="precision is 'int8'; expected one of fp32, mixed"):
        ExportOptions(precision="int8")
    with pytest.raises(ModelError, match=r"opset is 11; expected one of \(17, 18\)"):
        export_onnx(str(lisa), DECODER, tmp_path, ExportOptions(opset=11))
