# SPDX-License-Identifier: Apache-2.0
"""What must agree across the repository."""

import ast
import re
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import yaml

from groundmore_ros import __version__
from groundmore_ros.ros.parameters import PARAMETERS

ROOT = Path(__file__).parents[1]


def test_every_source_file_names_its_licence() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "*.py", "*.sh", "*.in", "*.yaml", "*.toml", "*.msg", "Makefile",
         "CMakeLists.txt", "package.xml", ".ci/run"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    files = [ROOT / name for name in listed.stdout.split()]
    assert len(files) > 80
    missing = [
        str(path.relative_to(ROOT))
        for path in files
        if "samples" not in path.parts
        and "SPDX-License-Identifier: Apache-2.0" not in path.read_text()[:400]
    ]
    assert missing == []


def test_one_version() -> None:
    manifest = ElementTree.parse(ROOT / "package.xml").getroot()
    project = (ROOT / "pyproject.toml").read_text()
    assert manifest.findtext("version") == __version__
    assert f'version = "{__version__}"' in project
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_parameter_file_has_every_parameter_and_its_default() -> None:
    file = yaml.safe_load((ROOT / "config" / "mora.yaml").read_text())
    assert file["/**"]["ros__parameters"] == {p.name: p.default for p in PARAMETERS}


def test_the_readmes_table_has_every_parameter_default_and_range() -> None:
    readme = (ROOT / "README.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", readme, re.MULTILINE))
    for parameter in PARAMETERS:
        default = parameter.default
        shown = str(default).lower() if isinstance(default, bool) else str(default)
        cells = rows[parameter.name].split(" | ")
        assert cells[0] == f"`{shown}`", parameter.name
        allowed = ", ".join(parameter.choices)
        if parameter.low is not None and parameter.high is not None:
            allowed = f"{parameter.low:,.15g} to {parameter.high:,.15g}"
        assert cells[1] == allowed, parameter.name
        assert cells[2] == parameter.description, parameter.name


def test_imports_point_one_way() -> None:
    """``mora`` uses no other part; only ``ros`` imports rclpy, and nothing imports ``ros``."""
    package = ROOT / "groundmore_ros"
    for path in package.rglob("*.py"):
        part = path.relative_to(package).parts[0]
        text = path.read_text()
        imported = set(re.findall(r"^\s*(?:from|import) groundmore_ros\.(\w+)", text, re.MULTILINE))
        if part == "mora":
            assert imported <= {"mora", "errors", "measuring", "resources"}, path
        if part not in ("ros", "commands"):
            assert "ros" not in imported, path
            assert not re.search(r"^\s*(from|import) rclpy", text, re.MULTILINE), path


def test_shipped_files_are_small() -> None:
    def size(folder: str) -> int:
        return sum(p.stat().st_size for p in (ROOT / folder).rglob("*") if p.is_file())

    assert size("models/mora-nano") <= 40e6
    assert size("samples") <= 8e6


def test_samples_hold_all_types_and_are_the_first_test_seeds() -> None:
    from groundmore_ros.bags.truth import read_truth
    from groundmore_ros.simulation import MOTION_TYPES, TEST_SEEDS

    bags = sorted((ROOT / "samples").iterdir())
    seeds = [int(bag.name.removeprefix("episode_")) for bag in bags]
    assert seeds == list(range(TEST_SEEDS.start, TEST_SEEDS.start + len(seeds)))
    types = {a.type for bag in bags for a in read_truth(bag).answers}
    assert types >= set(MOTION_TYPES)


def test_the_launch_file_declares_every_argument_with_a_description() -> None:
    """`launch` is not among the wheels: what it declares is read from the source."""
    tree = ast.parse((ROOT / "launch" / "mora.launch.py").read_text())
    declared = {
        node.args[0].value: {keyword.arg for keyword in node.keywords}
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") == "DeclareLaunchArgument"
        and isinstance(node.args[0], ast.Constant)
    }
    assert declared.keys() == {
        "namespace", "params_file", "use_sim_time", "image_topics", "image_transport", "model",
        "device", "encoder", "decoder", "autostart", "bag",
    }  # fmt: skip
    assert all({"default_value", "description"} <= given for given in declared.values())
    chosen = {p.name for p in PARAMETERS if p.choices} & declared.keys()
    for name in chosen | {"use_sim_time", "autostart"}:
        assert "choices" in declared[name], name


def test_every_subcommand_is_in_the_readme_or_the_docs() -> None:
    words = "".join(p.read_text() for p in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
    files = (ROOT / "groundmore_ros" / "commands").glob("*.py")
    commands = {p.stem for p in files if "def register(" in p.read_text()}
    assert "evaluate" in commands
    assert {c for c in commands if f"groundmore {c}" not in words} == set()
