"""How far errors of a peer's pose are undone: metres by which what it tells of the ground that both see lies wrong.

    simulate="skyweave simulate configs/world/hidden.yaml --set validation=0"
    $simulate -o recordings/fresh --scenes 50 --frames 12 --seed 300
    python benchmarks/alignment.py --data recordings -o runs/collaboration

What each platform finds alone is worked out once (the cache that benchmarks/collaboration.py trains on is used where it
is there). Then the boxes of every peer are placed as a pose that is wrong for the whole flight would place them, and
the corrected ground is compared with the true one every fifth frame.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from collaboration import POSE_ERRORS, disturbed
from skyweave.collaboration.cache import FeatureCache, build_feature_cache, platform_names
from skyweave.collaboration.observer import EgoMaps
from skyweave.collaboration.pose_alignment import PoseAligner
from skyweave.perception.train import load_scenes
from skyweave.perception.weights import load_perception
from skyweave.recordings.recording import RecordedScene

EVERY, STRIDE = 5, 4  # frames that are compared, and cells
LEAST = 4  # places that both see
FARTHEST = 40.0  # metres: ground that a wrong pose places farther off is beyond the map


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--recording", default="fresh")
    parser.add_argument("--perception", default="crossing")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--scenes", type=int, nargs=2, default=(50, 30), help="to work out, and to compare on, at most")
    arguments = parser.parse_args()
    model = load_perception(arguments.perception)
    card = model.card
    scenes = load_scenes([arguments.data / arguments.recording], None)[: arguments.scenes[0]]
    cache = build_feature_cache(
        arguments.output / "cache_train", model, str(card.parts["perception_fingerprint"]), scenes
    )
    scenes = scenes[: arguments.scenes[1]]
    print("| poses wrong by | moments | before: median, 90 % | left out | of the rest: median, 90 % | corrected |")
    print("|" + " --- |" * 6)
    for metres, degrees in POSE_ERRORS:
        found = np.array([one for scene in scenes for one in compared(scene, cache, metres, degrees)])
        before, after, trusted, corrected = found.T
        middle, most = np.percentile(before, [50, 90])
        kept = np.percentile(after[trusted > 0], [50, 90])
        out = 100 * (1 - trusted.mean())
        print(
            f"| {metres} m, {degrees} degrees | {len(found)} | {middle:.1f}, {most:.1f} | {out:.0f} % "
            f"| {kept[0]:.1f}, {kept[1]:.1f} | {100 * corrected.mean():.0f} % |",
            flush=True,
        )


def compared(scene: RecordedScene, cache: FeatureCache, metres: float, degrees: float) -> Iterator[tuple[float, ...]]:
    """Of each pair and moment: median metres before and after, whether the peer is trusted, and whether it is moved."""
    aligners: dict[tuple[str, str], PoseAligner] = {}
    for f, frame in enumerate(scene.frames):
        geometry = {capture.platform: capture.geometry for capture in frame.captures.values()}
        for ego in platform_names(frame)[::2]:
            for peer in platform_names(frame):
                if peer == ego:
                    continue
                own, theirs = cache[scene.name, f, ego], cache[scene.name, f, peer]
                true = geometry[peer].world_from_camera
                wrong = disturbed(geometry[peer], (scene.name, f, peer), metres, degrees).world_from_camera
                centres = placed(theirs.boxes.centres, true, wrong)
                told = replace(theirs.boxes, centres=centres)
                there = np.linalg.norm(centres - theirs.boxes.centres, axis=1) < FARTHEST
                aligner = aligners.setdefault((ego, peer), PoseAligner())
                aligner.update(own.boxes, told.select(np.flatnonzero(there)), wrong[:3, 3])
                if f % EVERY != EVERY - 1:
                    continue
                ground = seen_by_both(own, theirs, scene)
                before = placed(ground, true, wrong)
                near = np.linalg.norm(before - ground, axis=1) < FARTHEST
                if near.sum() < LEAST:
                    continue
                error = aligner.estimate()
                correction = error.correction(wrong[:3, 3])
                after = before if correction is None else correction.correct_points(before)
                off = [float(np.median(np.linalg.norm((at - ground)[near], axis=1))) for at in (before, after)]
                yield *off, float(error.trusted), float(correction is not None)


def placed(points: np.ndarray, true: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """Where points (n, 3) seen from one pose (4, 4) are placed at their heights by who believes another."""
    rays = (points - true[:3, 3]) @ true[:3, :3] @ wrong[:3, :3].T
    return wrong[:3, 3] + rays * ((points[:, 2] - wrong[2, 3]) / rays[:, 2])[:, None]


def seen_by_both(own: EgoMaps, theirs: EgoMaps, scene: RecordedScene) -> np.ndarray:
    """(n, 3) places on the ground."""
    places = own.grid.cell_centres()[::STRIDE, ::STRIDE][own.visible.numpy()[::STRIDE, ::STRIDE]]
    index = theirs.grid.index(places)
    places = places[(index >= 0) & theirs.visible.numpy().ravel()[np.maximum(index, 0)]]
    return np.concatenate([places, scene.ground.height(places)[:, None]], 1)


if __name__ == "__main__":
    main()
