"""Which scenes of the public recordings are for training and which for testing, as their authors list them.

nuScenes: ``splits.py`` of the devkit. Air-Co-Pred: ``splits.py`` of github.com/WangzcBruce/DHD, where validation and
test are the same 30 scenes. UAV3D: ``projects/splits.py`` of github.com/huiyegit/UAV3D, where the number decides.
"""

import re
from collections.abc import Callable, Iterable

ScenesBySplit = dict[str, tuple[str, ...]]

NUSCENES_VALIDATION = (  # first and last of runs of scene numbers; the rest of v1.0-trainval is for training
    *((3, 3), (12, 18), (35, 36), (38, 39), (92, 110), (221, 221), (268, 278), (329, 332), (344, 346), (519, 524)),
    *((552, 565), (625, 627), (629, 630), (632, 638), (770, 771), (775, 775), (777, 778), (780, 784), (794, 800)),
    *((802, 802), (904, 917), (919, 931), (962, 963), (966, 969), (971, 972), (1059, 1073)),
)
NUSCENES_MINI_VALIDATION = (103, 916)
AIR_CO_PRED_VALIDATION = (
    *(9, 19, 26, 32, 42, 47, 55, 56, 66, 74, 78, 90, 98, 100, 111, 115, 119, 125, 131, 136, 141, 156, 160),
    *(174, 178, 185, 189, 192, 193, 197),
)
UAV3D_MINI_VALIDATION = (1, 2, 11, 12)


def nuscenes_splits(version: str, scenes: Iterable[str]) -> ScenesBySplit:
    """Return the splits of plain nuScenes, whose scenes are called ``scene-0061``.

    Args:
        version: of the tables; those ending in ``mini`` and ``test`` have splits of their own.
        scenes: names.
    """
    if version.endswith("test"):
        return _by_number(scenes, r"scene-(\d{4})", lambda number: ["test"])
    if version.endswith("mini"):
        held = set(NUSCENES_MINI_VALIDATION)
    else:
        held = {number for first, last in NUSCENES_VALIDATION for number in range(first, last + 1)}
    return _by_number(scenes, r"scene-(\d{4})", lambda number: ["val" if number in held else "train"])


def air_co_pred_splits(version: str, scenes: Iterable[str]) -> ScenesBySplit:
    """Return the splits of Air-Co-Pred, whose scenes are called ``scene-0-101``.

    Args:
        version: of the tables; there is one.
        scenes: names.
    """
    held = set(AIR_CO_PRED_VALIDATION)
    return _by_number(scenes, r"scene-0-(\d+)", lambda number: ["val", "test"] if number in held else ["train"])


def uav3d_splits(version: str, scenes: Iterable[str]) -> ScenesBySplit:
    """Return the splits of UAV3D, whose scenes are called ``scene_0021`` (``scene_01`` in the small edition).

    Args:
        version: of the tables; those ending in ``mini`` are the small edition.
        scenes: names.
    """

    def splits(number: int) -> list[str]:
        if version.endswith("mini"):
            return ["val" if number in UAV3D_MINI_VALIDATION else "train"]
        if number % 10 not in (1, 3, 5):
            return ["train"]
        return ["val" if number // 10 % 2 == 0 else "test"]

    return _by_number(scenes, r"scene_(\d+)", splits)


def _by_number(scenes: Iterable[str], pattern: str, splits: Callable[[int], list[str]]) -> ScenesBySplit:
    by_split: dict[str, list[str]] = {}
    for scene in scenes:
        if match := re.fullmatch(pattern, scene):
            for split in splits(int(match[1])):
                by_split.setdefault(split, []).append(scene)
    return {split: tuple(by_split[split]) for split in ("train", "val", "test") if split in by_split}
