# SPDX-License-Identifier: Apache-2.0
"""SAM's parts elsewhere than in torch: ONNX Runtime for real, TensorRT by a stand-in."""

import contextlib
import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from groundmore_ros.errors import MissingDependencyError, ModelError
from groundmore_ros.mora import Mora
from groundmore_ros.mora.backends import tensorrt
from groundmore_ros.mora.backends.advice import export_command
from groundmore_ros.mora.backends.graph import DECODER, ENCODER
from groundmore_ros.mora.backends.manifest import Manifest
from groundmore_ros.mora.backends.onnx import OnnxGraph
from groundmore_ros.mora.backends.target import load_target, target_names
from groundmore_ros.simulation import generate


@pytest.fixture(scope="module")
def by_onnx(nano_engines: Path) -> Mora:
    return Mora.from_pretrained("mora-nano", encoder="onnx", decoder="onnx", engines=nano_engines)


def test_answers_are_those_of_torch_and_say_what_ran(nano: Mora, by_onnx: Mora) -> None:
    assert by_onnx.backends == {
        "encoder": "onnx (CPUExecutionProvider)", "decoder": "onnx (CPUExecutionProvider)",
    }  # fmt: skip
    assert nano.backends == {"encoder": "torch (cpu)", "decoder": "torch (cpu)"}
    episode = generate(1_000_303)
    frames, stamps = list(episode.frames), episode.stamps.tolist()
    for question in episode.questions[:4]:
        ours = by_onnx.answer(frames, stamps, question.text)
        theirs = nano.answer(frames, stamps, question.text)
        assert ours.text == theirs.text
        assert np.abs(ours.mask_logits - theirs.mask_logits).max() < 1e-2
        assert np.array_equal(ours.masks, theirs.masks)


def test_torchs_copy_of_the_encoder_is_let_go(by_onnx: Mora) -> None:
    assert all(p.is_meta for p in by_onnx.model.segmenter.image_encoder.parameters())


@pytest.fixture
def copy(nano_engines: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(nano_engines, tmp_path / "engines"))


def _changed(folder: Path, **changes: Any) -> None:
    file = folder / "sam_decoder.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda f: (f / "sam_decoder.onnx").unlink(), "no .*sam_decoder.onnx; make it"),
        (lambda f: (f / "sam_decoder.json").unlink(), "is no manifest"),
        (lambda f: (f / "sam_decoder.json").write_text("{"), "is no manifest"),
        (lambda f: _changed(f, part="encoder"), "is the encoder; expected the decoder"),
        (lambda f: _changed(f, fingerprint={}), "was made from other weights"),
        (lambda f: _changed(f, sha256="0"), "is not what its manifest tells of"),
    ],
)
def test_a_missing_or_foreign_file_is_refused_with_the_command(
    copy: Path, spoil: Any, complaint: str
) -> None:
    spoil(copy)
    with pytest.raises(ModelError, match=complaint) as caught:
        Mora.from_pretrained("mora-nano", decoder="onnx", engines=copy)
    command = f"groundmore export decoder --model mora-nano --to onnx --out {copy}"
    assert command in str(caught.value)


def test_a_provider_that_this_runtime_lacks(nano_engines: Path) -> None:
    complaint = "shall run by CUDAExecutionProvider, but this ONNX Runtime has"
    with pytest.raises(ModelError, match=complaint):
        OnnxGraph(nano_engines / "sam_decoder.onnx", DECODER, "cuda")


def test_commands_name_what_they_write_and_make_it_as_it_was(copy: Path) -> None:
    (copy / "sam_decoder.onnx").rename(copy / "mine.onnx")
    file = f"onnx:{copy / 'mine.onnx'}"
    with pytest.raises(ModelError, match=r"\(which writes sam_decoder.onnx\)$"):
        Mora.from_pretrained("mora-nano", decoder=file)
    with pytest.raises(ModelError, match="describe it in .*mine.yaml"):
        Mora.from_pretrained("mora-nano", encoder=file)
    (copy / "mine.onnx").rename(copy / "sam_decoder.onnx")
    told = export_command(DECODER, "m", copy / "mine.onnx", "discrete", build_only=True)
    assert told.endswith(" --build-only (after mine.onnx is renamed to sam_decoder.onnx)")
    _changed(copy, sha256="0", precision="mixed", opset=17)
    with pytest.raises(ModelError, match="--precision mixed --opset 17$"):
        Mora.from_pretrained("mora-nano", decoder="onnx", engines=copy)


def test_fine_tuned_weights_are_other_weights_and_half_precision_is_not(
    nano: Mora, nano_engines: Path
) -> None:
    from copy import deepcopy

    manifest = Manifest.read(nano_engines / "sam_decoder.json")
    segmenter = deepcopy(nano.model.segmenter)
    assert manifest.is_of(segmenter, DECODER)
    for dtype in (torch.bfloat16, torch.float16):
        assert manifest.is_of(deepcopy(segmenter).to(dtype), DECODER)
    with torch.no_grad():
        segmenter.mask_decoder.iou_token.weight += 0.02
    assert not manifest.is_of(segmenter, DECODER)


@pytest.mark.parametrize(
    ("choice", "complaint"),
    [
        ({"decoder": "openvino"}, "decoder is 'openvino'; expected one of torch, onnx, tensorrt"),
        ({"encoder": "torch:x.onnx"}, "encoder is 'torch:x.onnx'"),
        ({"decoder": "onnx", "provider": "npu"}, "provider is 'npu'"),
        ({"decoder": "onnx", "provider": "cuda"}, "provider is 'cuda', on the device cpu"),
        ({"decoder": "tensorrt"}, "TensorRT needs a GPU; the device is cpu|tensorrt is missing"),
        ({"decoder": "tensorrt", "target": "toaster"}, "target 'toaster' cannot be read"),
    ],
)
def test_what_cannot_run_is_refused(
    nano_engines: Path, choice: dict[str, str], complaint: str
) -> None:
    with pytest.raises((ModelError, MissingDependencyError), match=complaint):
        Mora.from_pretrained("mora-nano", engines=nano_engines, **choice)  # type: ignore[arg-type]


def _stand_in(path: Path, channels: int = 64, side: int = 320, stride: int = 8) -> Path:
    """Another maker's encoder: averages of squares, spread over channels by a convolution."""
    weight = np.random.default_rng(0).normal(size=(channels, 3, 1, 1)).astype(np.float32)
    grid = side // stride
    graph = helper.make_graph(
        [
            helper.make_node(
                "AveragePool", ["image"], ["small"],
                kernel_shape=[stride, stride], strides=[stride, stride],
            ),
            helper.make_node("Conv", ["small", "weight"], ["features"]),
        ],
        "stand_in",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, side, side])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", channels, grid, grid])],
        [helper.make_tensor("weight", TensorProto.FLOAT, weight.shape, weight.ravel())],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 10
    onnx.save(model, str(path))
    return path


def test_another_makers_encoder_sees_what_its_description_says(tmp_path: Path) -> None:
    path = _stand_in(tmp_path / "mobile.onnx")
    description = tmp_path / "mobile.yaml"
    description.write_text("side: 320\nunit: 255\nmean: [0.5, 0.5, 0.5]\nstd: [0.5, 0.5, 0.5]\n")
    mora = Mora.from_pretrained("mora-nano", encoder=f"onnx:{path}")
    white = np.full((120, 160, 3), 255, np.uint8)
    embedding = mora.encode(white).features.embedding
    assert embedding.shape == (64, 40, 40)
    # White is 1 in its units; what lies below the frame is 0.
    weight = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    assert np.allclose(embedding[:, 5, 5], weight.sum(1), atol=1e-5)
    assert np.allclose(embedding[:, 35, 5], 0)
    assert mora.answer([white] * 2, [0.0, 0.2], "What moves?").mask_logits.shape == (2, 120, 160)


@pytest.mark.parametrize(
    ("description", "changes", "complaint"),
    [
        ("side: 320\nsize: 3", {}, "is no description"),
        ("nothing", {}, "is no description"),
        ("side: 320", {"channels": 32}, r"gives \(1, 32, 40, 40\); expected \(1, 64, 40, 40\)"),
        ("side: 320", {"stride": 16}, r"gives \(1, 64, 20, 20\)"),
        ("side: 256", {}, r"mobile.onnx does not take \(1, 3, 256, 256\) in float32, as .*yaml"),
    ],
)
def test_an_encoder_that_does_not_fit(
    tmp_path: Path, description: str, changes: dict[str, int], complaint: str
) -> None:
    path = _stand_in(tmp_path / "mobile.onnx", **changes)
    (tmp_path / "mobile.yaml").write_text(description)
    with pytest.raises(ModelError, match=complaint):
        Mora.from_pretrained("mora-nano", encoder=f"onnx:{path}")


# --- TensorRT: the documented calls, in a stand-in that takes note of them
# ---------------------------------------------------------------------------------------------


class _Shapes:
    def __init__(self) -> None:
        self.shapes: dict[str, tuple] = {}

    def set_shape(self, name: str, least: tuple, usual: tuple, most: tuple) -> None:
        self.shapes[name] = (least, usual, most)


class _Config:
    def __init__(self) -> None:
        self.builder_optimization_level = -1
        self.profiles: list[_Shapes] = []
        self.limits: dict[str, int] = {}

    def set_memory_pool_limit(self, pool: str, size: int) -> None:
        self.limits[pool] = size

    def add_optimization_profile(self, profile: _Shapes) -> None:
        self.profiles.append(profile)

    def create_timing_cache(self, content: bytes) -> Any:
        if content == b"damaged":
            return None
        return SimpleNamespace(serialize=lambda: content + b"timed", content=content)

    def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        return bool(cache.content != b"of another driver")


def _fake(plan: bytes | None = b"plan", readable: bool = True) -> Any:
    seen = SimpleNamespace(flags=None, config=_Config())

    class Builder:
        def __init__(self, logger: Any) -> None: ...

        def create_network(self, flags: int) -> str:
            seen.flags = flags
            return "network"

        def create_builder_config(self) -> _Config:
            return seen.config

        def create_optimization_profile(self) -> _Shapes:
            return _Shapes()

        def build_serialized_network(self, network: str, config: _Config) -> bytes | None:
            return plan

    class Logger:
        WARNING = 2

        def __init__(self, level: int) -> None: ...

    class Parser:
        num_errors = 1

        def __init__(self, network: str, logger: Any) -> None: ...

        def parse_from_file(self, path: str) -> bool:
            return readable

        def get_error(self, i: int) -> Any:
            return SimpleNamespace(desc=lambda: "unsupported operator")

    return SimpleNamespace(
        __version__="10.3.0", Builder=Builder, Logger=Logger, OnnxParser=Parser,
        NetworkDefinitionCreationFlag=SimpleNamespace(STRONGLY_TYPED=1),
        MemoryPoolType=SimpleNamespace(WORKSPACE="workspace"), seen=seen,
    )  # fmt: skip


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Orin")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (8, 7))


def test_an_engine_is_built_for_its_target(
    copy: Path, gpu: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = _fake()
    monkeypatch.setitem(sys.modules, "tensorrt", fake)
    file = copy / "sam_decoder.onnx"
    manifest, target = Manifest.read(copy / "sam_decoder.json"), load_target("jetson-orin", DECODER)
    engine = tensorrt.build_engine(file, manifest, target)
    assert engine.read_bytes() == b"plan"
    assert engine.name.startswith("sam_decoder-jetson-orin-")
    assert fake.seen.flags == 1 << 1
    assert fake.seen.config.limits == {"workspace": target.workspace_bytes}
    assert fake.seen.config.builder_optimization_level == 3
    assert fake.seen.config.profiles[0].shapes == {
        "image_embeddings": ((1, 64, 40, 40), (8, 64, 40, 40), (16, 64, 40, 40)),
        "text_embeds": ((1, 4, 64), (8, 4, 64), (16, 4, 64)),
    }
    timings = copy / "timing-10.3.0-Orin.cache"
    assert timings.read_bytes() == b"timed"
    tensorrt.build_engine(file, manifest, target)
    assert timings.read_bytes() == b"timedtimed"
    for useless in (b"damaged", b"of another driver"):
        timings.write_bytes(useless)
        tensorrt.build_engine(file, manifest, target)
        assert timings.read_bytes() == b"timed"
    assert not list(copy.glob("*.part"))


def test_an_engine_is_known_by_all_that_it_depends_on(
    copy: Path, gpu: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = _fake()
    monkeypatch.setitem(sys.modules, "tensorrt", fake)
    file, target = copy / "sam_decoder.onnx", load_target("discrete", DECODER)
    names = {tensorrt.engine_path(file, "fp32", target).name}
    names.add(tensorrt.engine_path(file, "mixed", target).name)
    names.add(tensorrt.engine_path(file, "fp32", load_target("jetson-thor", DECODER)).name)
    fake.__version__ = "11.0.0"
    names.add(tensorrt.engine_path(file, "fp32", target).name)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "H200")
    names.add(tensorrt.engine_path(file, "fp32", target).name)
    file.write_bytes(b"another")
    names.add(tensorrt.engine_path(file, "fp32", target).name)
    assert len(names) == 6


@pytest.mark.parametrize(
    ("fake", "complaint"),
    [
        (_fake(readable=False), "cannot read .*: unsupported operator"),
        (_fake(plan=None), "TensorRT cannot build"),
    ],
)
def test_what_cannot_be_built_leaves_nothing(
    copy: Path, gpu: None, monkeypatch: pytest.MonkeyPatch, fake: Any, complaint: str
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", fake)
    before = sorted(copy.iterdir())
    manifest = Manifest.read(copy / "sam_decoder.json")
    with pytest.raises(ModelError, match=complaint):
        tensorrt.build_engine(copy / "sam_decoder.onnx", manifest, load_target("discrete", DECODER))
    assert sorted(copy.iterdir()) == before


class _Engine:
    """Another maker's, as TensorRT tells of it."""

    def __init__(self, tensors: dict[str, str], coarse: str = "") -> None:
        self.tensors = tensors
        self.num_io_tensors = len(tensors)
        self.coarse = coarse

    def get_tensor_name(self, i: int) -> str:
        return list(self.tensors)[i]

    def get_tensor_mode(self, name: str) -> str:
        return self.tensors[name]

    def get_tensor_dtype(self, name: str) -> str:
        return "half" if name == self.coarse else "float"

    def get_tensor_profile_shape(self, name: str, profile: int) -> list[tuple[int, ...]]:
        return [(least, 3, 320, 320) for least in (1, 2, 8)]

    def create_execution_context(self) -> str:
        return "context"


def test_an_engine_of_another_maker_tells_its_tensors(
    tmp_path: Path, stand_in: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = _fake()
    fake.float32, fake.TensorIOMode = "float", SimpleNamespace(INPUT="in")
    monkeypatch.setitem(sys.modules, "tensorrt", fake)
    path = tmp_path / "nanosam.engine"
    path.write_bytes(b"plan")

    def open_engine(engine: Any, device: str = "cuda") -> tensorrt.TensorRtGraph:
        fake.Runtime = _Runtime(engine)
        return tensorrt.TensorRtGraph.of_engine(path, ENCODER, device)

    tensors = {"image": "in", "features": "out"}
    graph = open_engine(_Engine(tensors))
    assert graph.where == "tensorrt 10.3.0 (nanosam.engine)"
    assert (graph._part.inputs, graph._part.outputs, graph._most) == (("image",), ("features",), 8)
    for engine, complaint in (
        (None, "TensorRT 10.3.0 cannot load .*nanosam.engine, as its log says; expected"),
        (_Engine(tensors | {"more": "out"}), r"outputs \['features', 'more'\]; expected 1 and 1"),
        (_Engine(tensors, "features"), "features not in float32"),
    ):
        with pytest.raises(ModelError, match=complaint):
            open_engine(engine)
    with pytest.raises(ModelError, match="TensorRT needs a GPU; the device is cpu"):
        open_engine(_Engine(tensors), "cpu")


def test_an_onnx_file_of_another_maker_has_no_engine_of_ours(tmp_path: Path) -> None:
    path = _stand_in(tmp_path / "mobile.onnx")
    (tmp_path / "mobile.yaml").write_text("side: 320")
    with pytest.raises(ModelError, match="is no engine; expected tensorrt:ENGINE, or onnx:"):
        Mora.from_pretrained("mora-nano", encoder=f"tensorrt:{path}")


def test_targets() -> None:
    assert target_names() == ["discrete", "jetson-orin", "jetson-thor"]
    for name in target_names():
        least, usual, most = load_target(name, DECODER).frames
        assert least == 1 <= usual <= most
        assert load_target(name, ENCODER).frames == (1, 1, 1)  # frames are encoded as they come


def test_a_target_of_the_users(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("encoder: [1, 1, 2]\ndecoder: [1, 2, 4]\nworkspace_bytes: 1000\n")
    target = load_target(str(file), DECODER)
    assert target.told == str(file)
    assert (target.name, target.frames, target.workspace_bytes) == ("mine", (1, 2, 4), 1000)
    file.write_text("encoder: [1, 1, 2]\ndecoder: [1, 2, 4]\nfast: true\n")
    with pytest.raises(ModelError, match="unexpected keyword"):
        load_target(str(file), DECODER)
    file.write_text("encoder: [1, 1, 2]\n")
    with pytest.raises(ModelError, match="cannot be read .*'decoder'"):
        load_target(str(file), DECODER)


class _Runtime:
    """Engines that deserialize, or do not, in this order."""

    def __init__(self, *engines: Any) -> None:
        self.engines = list(engines)

    def __call__(self, logger: Any) -> "_Runtime":
        return self

    def deserialize_cuda_engine(self, content: bytes) -> Any:
        return self.engines.pop(0)


@pytest.fixture
def stand_in(copy: Path, gpu: None, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Opens the decoder by TensorRT, for a target of the user's."""
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: None)
    target = copy / "mine.yaml"
    target.write_text("encoder: [1, 1, 1]\ndecoder: [1, 2, 4]\n")

    def open_engine(fake: Any) -> tensorrt.TensorRtGraph:
        monkeypatch.setitem(sys.modules, "tensorrt", fake)
        file, manifest = copy / "sam_decoder.onnx", Manifest.read(copy / "sam_decoder.json")
        profile = load_target(str(target), DECODER)
        if hasattr(fake, "Runtime"):
            tensorrt.build_engine(file, manifest, profile)
        return tensorrt.TensorRtGraph.of_onnx(file, manifest, DECODER, "cuda", profile)

    return open_engine


def test_a_missing_engine_is_refused_with_the_command(
    copy: Path, stand_in: Callable[..., Any]
) -> None:
    command = (
        f"groundmore export decoder --model mora-nano --to tensorrt --target {copy}/mine.yaml "
        f"--out {copy} --build-only"
    )
    with pytest.raises(ModelError, match=f"no engine .*; build it: {re.escape(command)}$"):
        stand_in(_fake())


def test_an_engine_that_does_not_load_is_built_anew(stand_in: Callable[..., Any]) -> None:
    fake, engine = _fake(), SimpleNamespace(create_execution_context=lambda: "context")
    fake.Runtime = _Runtime(None, engine)
    assert stand_in(fake).where == "tensorrt 10.3.0 (mine)"
    assert fake.Runtime.engines == []
    fake.Runtime = _Runtime(None, None)
    with pytest.raises(ModelError, match="cannot be loaded, nor what was built in its place"):
        stand_in(fake)


def test_an_engine_without_room_to_run_says_so(stand_in: Callable[..., Any]) -> None:
    fake = _fake()
    fake.Runtime = _Runtime(SimpleNamespace(create_execution_context=lambda: None))
    with pytest.raises(ModelError, match="for want of memory; expected room for 4 frames"):
        stand_in(fake)
