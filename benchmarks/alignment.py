"""How far errors of a peer's pose are undone: metres by which it misplaces the ground that both see.

    simulate="skyweave simulate configs/world/hidden.yaml --set validation=0"
    $simulate -o recordings/fresh --scenes 50 --frames 12 --seed 300
    python benchmarks/alignment.py --data recordings -o runs/collaboration

What each platform detects by itself is worked out once (the cache that benchmarks/collaboration.py trains on is used
where it is there). Then the boxes of every peer are placed as a pose that is wrong for the whole flight would place
them, and the corrected ground is compared with the true one every fifth frame.
"""

import argparse
import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from collaboration import POSE_ERRORS, disturb_pose
from skyweave.collaboration.cache import FeatureCache, build_feature_cache, platform_names
from skyweave.collaboration.observer import EgoMaps
from skyweave.collaboration.pose_alignment import PoseAligner
from skyweave.perception.train import load_scenes
from skyweave.perception.weights import load_perception
from skyweave.recordings.recording import RecordedScene
from skyweave.wire import BoxList

FRAME_STRIDE, CELL_STRIDE = 5, 4  # frames that are compared, and cells
MIN_PLACES = 4  # places that both see
MAX_DISTANCE_M = 40.0  # metres: ground that a wrong pose places farther off is beyond the map


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
    print("| poses wrong by | pairs | before: median, 90 % | left out | of the rest: median, 90 % | corrected |")
    print("|" + " --- |" * 6)
    for metres, degrees in POSE_ERRORS:
        comparisons = np.array([
            comparison for scene in scenes for comparison in compare_scene(scene, cache, metres, degrees)
        ])  # fmt: skip
        before, after, trusted, corrected = comparisons.T
        median, upper = np.percentile(before, [50, 90])
        median_after, upper_after = np.percentile(after[trusted > 0], [50, 90])
        print(
            f"| {metres} m, {degrees} degrees | {len(comparisons)} | {median:.1f}, {upper:.1f} "
            f"| {100 * (1 - trusted.mean()):.0f} % | {median_after:.1f}, {upper_after:.1f} "
            f"| {100 * corrected.mean():.0f} % |",
            flush=True,
        )


def compare_scene(
    scene: RecordedScene, cache: FeatureCache, metres: float, degrees: float
) -> Iterator[tuple[float, ...]]:
    """Compare every pair of platforms in every FRAME_STRIDE-th frame of a scene.

    Args:
        scene: of the recording.
        cache: of what its platforms see.
        metres: standard deviation of the position errors.
        degrees: standard deviation of the angle errors.

    Yields:
        median metres before and after the correction, whether the peer is trusted, and whether it is corrected.
    """
    aligners: dict[tuple[str, str], PoseAligner] = {}
    for f, frame in enumerate(scene.frames):
        geometry = {capture.platform: capture.geometry for capture in frame.captures.values()}
        for ego, peer in itertools.product(platform_names(frame)[::2], platform_names(frame)):
            if peer == ego:
                continue
            ego_maps, peer_maps = cache[scene.name, f, ego], cache[scene.name, f, peer]
            true = geometry[peer].world_from_camera
            wrong = disturb_pose(geometry[peer], (scene.name, f, peer), metres, degrees).world_from_camera
            aligner = aligners.setdefault((ego, peer), PoseAligner())
            aligner.update(ego_maps.boxes, wrongly_placed_boxes(peer_maps.boxes, true, wrong), wrong[:3, 3])
            if f % FRAME_STRIDE != FRAME_STRIDE - 1:
                continue
            ground = commonly_seen_ground(ego_maps, peer_maps, scene)
            before = project_points(ground, true, wrong)
            near = np.linalg.norm(before - ground, axis=1) < MAX_DISTANCE_M
            if near.sum() < MIN_PLACES:
                continue
            error = aligner.estimate()
            correction = error.correction(wrong[:3, 3])
            after = before if correction is None else correction.correct_points(before)
            distances = [float(np.median(np.linalg.norm((at - ground)[near], axis=1))) for at in (before, after)]
            yield *distances, float(error.trusted), float(correction is not None)


def wrongly_placed_boxes(boxes: BoxList, true: np.ndarray, wrong: np.ndarray) -> BoxList:
    """Place boxes as a platform does that believes a wrong pose; those that end up far away are left out.

    Args:
        boxes: seen from the true pose.
        true: (4, 4) pose of the camera.
        wrong: (4, 4) pose that the platform believes.
    """
    centres = project_points(boxes.centres, true, wrong)
    near = np.linalg.norm(centres - boxes.centres, axis=1) < MAX_DISTANCE_M
    return replace(boxes, centres=centres).select(np.flatnonzero(near))


def project_points(points: np.ndarray, true: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """Place points that are seen from one pose as a platform does that believes another, at their heights.

    Args:
        points: (n, 3) metres.
        true: (4, 4) pose of the camera.
        wrong: (4, 4) pose that the platform believes.
    """
    rays = (points - true[:3, 3]) @ true[:3, :3] @ wrong[:3, :3].T
    placed: np.ndarray = wrong[:3, 3] + rays * ((points[:, 2] - wrong[2, 3]) / rays[:, 2])[:, None]
    return placed


def commonly_seen_ground(ego: EgoMaps, peer: EgoMaps, scene: RecordedScene) -> np.ndarray:
    """Return (n, 3) places on the ground that two platforms see.

    Args:
        ego: maps of one platform.
        peer: maps of the other.
        scene: whose ground it is.
    """
    places = ego.grid.cell_centres()[::CELL_STRIDE, ::CELL_STRIDE][ego.visible.numpy()[::CELL_STRIDE, ::CELL_STRIDE]]
    index = peer.grid.index(places)
    places = places[(index >= 0) & peer.visible.numpy().ravel()[np.maximum(index, 0)]]
    return np.concatenate([places, scene.ground.height(places)[:, None]], 1)


if __name__ == "__main__":
    main()
