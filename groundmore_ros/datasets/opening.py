# SPDX-License-Identifier: Apache-2.0
"""Which data set a source is."""

import re
from pathlib import Path

from groundmore_ros.datasets.bag import Bags, is_bag
from groundmore_ros.datasets.base import Dataset
from groundmore_ros.datasets.groundmore import ANNOTATIONS, GroundMore
from groundmore_ros.datasets.question_file import QuestionFile
from groundmore_ros.datasets.referring import Mevis, ReferYoutubeVos, expression_file
from groundmore_ros.errors import SourceError
from groundmore_ros.seeds import seed_range

__all__ = ["open_dataset"]

SEEDS = re.compile(r"\d+(:\d+)?")


def open_dataset(source: str, split: str | None = None, topic: str | None = None) -> Dataset:
    """Open what a source names.

    Args:
        source: ``FIRST:END`` (seeds of simulated episodes), a bag or a folder of bags with truth
            topics, a YAML file of questions, or the folder of GroundMoRe (or its JSON file),
            Refer-YouTube-VOS or MeViS.
        split: part of a published data set, such as ``valid_u``; of simulated episodes, the
            wordings: ``known`` or ``held-out``.
        topic: of a bag's images, where it has several.

    Raises:
        SourceError: it is none of these.
    """
    path = Path(source)
    if SEEDS.fullmatch(source) and not path.exists():
        from groundmore_ros.datasets.simulated import Simulated

        return Simulated(seed_range(source), split)
    if not path.exists():
        raise SourceError(f"{source} does not exist, and is no range of seeds (FIRST:END)")
    if path.suffix in (".yaml", ".yml"):
        return QuestionFile(path)
    if path.suffix == ".json" or any((path / name).is_file() for name in ANNOTATIONS):
        return GroundMore(path, split)
    if is_bag(path) or (path.is_dir() and any(map(is_bag, path.iterdir()))):
        return Bags(path, topic)
    file = expression_file(path, split) if path.is_dir() else None
    if file is not None:
        frames = (file.parent, path / file.parent.name)
        masks = any((folder / "mask_dict.json").is_file() for folder in frames)
        return Mevis(path, split) if masks else ReferYoutubeVos(path, split)
    raise SourceError(
        f"{source} is no bag, no folder of bags, no YAML file of questions and no folder of "
        "GroundMoRe, Refer-YouTube-VOS or MeViS"
    )
