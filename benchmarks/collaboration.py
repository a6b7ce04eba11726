"""Accuracy against bytes on the wire, for every way of collaborating: a table, a plot, and sweeps of what goes wrong.

    simulate="skyweave simulate configs/world/hidden.yaml --set validation=0"
    $simulate -o recordings/fresh --scenes 50 --frames 12 --seed 300
    $simulate -o recordings/test --scenes 20 --frames 16 --seed 900
    python benchmarks/collaboration.py --data recordings -o runs/collaboration --seeds 3
    python benchmarks/collaboration.py ... --strategies dual_branch late_fusion --sweeps

Every strategy is trained on the same cached features of the same perception model, for the same steps, with the same
losses, each with a reader (memory, trunk, heads) that learns along, and sends through the same quantiser, entropy
coder, chunks and headers; what differs is what it sends and how it fuses. All messages are really encoded, cut to the
budget and decoded; the bytes are the mean of a platform's frames, headers and handshakes included. `full_features`
sends 16-bit floats of every cell seen, uncoded. Runs and scores that are there already are used again.
"""

import argparse
import copy
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from skyweave.collaboration.cache import FeatureCache, build_feature_cache
from skyweave.collaboration.config import CollaborationConfig
from skyweave.collaboration.dataset import CachedDataset
from skyweave.collaboration.evaluation import EvaluationConditions, evaluate_collaboration
from skyweave.collaboration.model import CollaborativeModel
from skyweave.collaboration.strategies import STRATEGIES
from skyweave.collaboration.train import CollaborationTrainConfig, train_model
from skyweave.collaboration.weights import load_collaboration
from skyweave.core.atomic_write import write_aside
from skyweave.core.config import load_config_file
from skyweave.core.geometry.camera import CameraGeometry
from skyweave.core.geometry.frames import rotation_about_z
from skyweave.perception.train import load_scenes
from skyweave.perception.weights import load_perception
from skyweave.training.run_dir import WEIGHTS_FILE

CONFIG = Path(__file__).resolve().parents[1] / "configs/collaboration/hidden.yaml"
BUDGETS = ("200", "500", "1000", "2000", "5000", "10000", "50000", "none")
METRICS = ("mAP", "IoU", "VPQ", "minADE_3", "trajectory_recall")
SWEEPS: dict[str, list[EvaluationConditions]] = {
    "packet loss": [EvaluationConditions(packet_loss=share) for share in (0.0, 0.1, 0.2, 0.3, 0.5, 1.0)],
    "delay in seconds": [EvaluationConditions(delay=seconds) for seconds in (0.0, 0.1, 0.2, 0.3, 0.5, 1.0)],
    "peers": [EvaluationConditions(max_peers=peers) for peers in range(8)],
    "peers with boxes only": [EvaluationConditions(boxes_only_peers=peers) for peers in (0, 1, 2, 3)],
    "irrelevant peers": [EvaluationConditions(irrelevant_peers=irrelevant) for irrelevant in (False, True)],
}
SWEPT_FIELDS = {
    "packet loss": "packet_loss",
    "delay in seconds": "delay",
    "peers": "max_peers",
    "peers with boxes only": "boxes_only_peers",
    "irrelevant peers": "irrelevant_peers",
}
POSE = "pose"
POSE_ERRORS = ((0.0, 0.0), (0.5, 1.0), (1.5, 3.0))  # metres, degrees


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--perception", default="crossing")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--train", default="fresh", help="recording to train on")
    parser.add_argument("--test", default="test", help="recording to score on")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--strategies", nargs="+", default=list(STRATEGIES), choices=list(STRATEGIES))
    parser.add_argument("--budgets", nargs="+", default=BUDGETS, help='bytes, or "none" for no bound')
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--scenes", type=int, nargs=2, default=(50, 20), help="to train and to score on at most")
    parser.add_argument("--every", type=int, default=3, help="score every so many-th sample")
    parser.add_argument(
        "--sweeps", action="store_true", help="what goes wrong, at --sweep-budget, instead of the curve"
    )
    parser.add_argument("--sweep-budget", type=int, default=10_000)
    parser.add_argument("--sweep", nargs="+", default=[*SWEEPS, POSE], choices=[*SWEEPS, POSE], help="these only")
    parser.add_argument("--platforms", type=int, default=4, help="that are scored together")
    parser.add_argument("--plot", type=Path, help="write the curves as SVG; needs matplotlib")
    arguments = parser.parse_args()
    if arguments.plot and not find_spec("matplotlib"):
        parser.error("--plot needs matplotlib: pip install matplotlib")
    torch.set_num_threads(1)
    benchmark = CollaborationBenchmark(arguments)
    rows = benchmark.sweeps() if arguments.sweeps else benchmark.curve()
    print(table(rows, "condition" if arguments.sweeps else "budget"))
    if arguments.plot:
        plot(rows, arguments.plot)


class CollaborationBenchmark:
    """The models, caches and scores of a run, each made once.

    Args:
        arguments: of the command line.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments, self.output = arguments, arguments.output
        self.perception = load_perception(arguments.perception)
        card = self.perception.card
        self.fingerprint = str(card.parts["perception_fingerprint"])
        self.train_scenes, self.test_scenes = (
            load_scenes([arguments.data / name], None)[:limit]
            for name, limit in zip((arguments.train, arguments.test), arguments.scenes, strict=True)
        )
        self.train_cache = build_feature_cache(
            self.output / "cache_train", self.perception, self.fingerprint, self.train_scenes
        )
        self.test_cache = build_feature_cache(
            self.output / "cache_test", self.perception, self.fingerprint, self.test_scenes
        )

    def model(self, strategy: str, seed: int) -> CollaborativeModel:
        """Return a trained model; one that was trained before is read.

        Args:
            strategy: its name.
            seed: of the training.
        """
        if not STRATEGIES[strategy].needs_training:
            return CollaborativeModel(self.perception, CollaborationConfig(strategy)).eval()
        folder = self.output / f"{strategy}_{seed}"
        if not (folder / WEIGHTS_FILE).exists():
            changes = [f"perception={self.arguments.perception}", f"recordings=[{self.arguments.train}]"]
            changes += [f"collaboration.strategy={strategy}", f"optimiser.steps={self.arguments.steps}", f"seed={seed}"]
            config = load_config_file(CONFIG, CollaborationTrainConfig, changes)
            model = CollaborativeModel(copy.deepcopy(self.perception), config.collaboration, seed)
            samples = CachedDataset(self.train_scenes, self.perception.config, self.train_cache)
            train_model(folder, config, model, samples, self.train_cache, progress=False)
        return load_collaboration(folder / WEIGHTS_FILE)

    def scores(
        self, strategy: str, seed: int, conditions: EvaluationConditions, cache: FeatureCache, name: str
    ) -> dict[str, float]:
        """Return the scores of one model, which are kept in a file.

        Args:
            strategy: its name.
            seed: of its training.
            conditions: of links and peers.
            cache: of what peers send.
            name: of the file.
        """
        file = self.output / "scores" / f"{strategy}_{seed}_{name}.json"
        if file.exists():
            return dict(json.loads(file.read_text()))
        samples = CachedDataset(self.test_scenes, self.perception.config, self.test_cache, self.arguments.platforms)
        results, bandwidth = evaluate_collaboration(
            self.model(strategy, seed), samples, conditions, self.arguments.every, sent_cache=cache
        )
        values = {"bytes": bandwidth.mean, **{metric: results.values[metric] for metric in METRICS}}
        file.parent.mkdir(parents=True, exist_ok=True)
        with write_aside(file) as aside:
            aside.write_text(json.dumps(values))
        print(strategy, seed, asdict(conditions), {k: round(v, 3) for k, v in values.items()}, flush=True)
        return values

    def curve(self) -> list[dict[str, object]]:
        """Return a row for each strategy and budget."""
        rows = []
        for strategy in self.arguments.strategies:
            kind = STRATEGIES[strategy]
            free = not (kind.sends_boxes or kind.sends_features)
            for budget in [None] if free else [None if b == "none" else int(b) for b in self.arguments.budgets]:
                scores = self.over_seeds(strategy, EvaluationConditions(budget), self.test_cache, f"budget_{budget}")
                rows.append({"strategy": strategy, "budget": budget or "none", **scores})
        return rows

    def sweeps(self) -> list[dict[str, object]]:
        """Return a row for each strategy and condition."""
        rows: list[dict[str, object]] = []
        for strategy in self.arguments.strategies:
            for label, conditions, cache in self.swept_conditions():
                name = label.replace(" ", "_").replace(",", "")
                rows.append({
                    "strategy": strategy, "condition": label, **self.over_seeds(strategy, conditions, cache, name)
                })  # fmt: skip
        return rows

    def over_seeds(
        self, strategy: str, conditions: EvaluationConditions, cache: FeatureCache, name: str
    ) -> dict[str, object]:
        """Return the scores of a strategy over all seeds; without training there is one."""
        seeds = range(self.arguments.seeds if STRATEGIES[strategy].needs_training else 1)
        return summarise_seeds([self.scores(strategy, seed, conditions, cache, name) for seed in seeds])

    def swept_conditions(self) -> Iterator[tuple[str, EvaluationConditions, FeatureCache]]:
        """Give the conditions that are swept, each with its label and what peers send under it."""
        budget = self.arguments.sweep_budget
        for sweep in self.arguments.sweep:
            for conditions in SWEEPS.get(sweep, ()):
                if sweep != "peers" or conditions.max_peers < self.arguments.platforms:
                    label = f"{sweep}: {getattr(conditions, SWEPT_FIELDS[sweep])}"
                    yield label, replace(conditions, budget=budget), self.test_cache
        for metres, degrees in POSE_ERRORS if POSE in self.arguments.sweep else ():
            cache = self.disturbed_cache(metres, degrees) if metres else self.test_cache
            yield f"pose: {metres} m, {degrees} degrees", EvaluationConditions(budget), cache

    def disturbed_cache(self, metres: float, degrees: float) -> FeatureCache:
        """Return the cache of what peers send when their poses are wrong."""
        disturb = partial(disturb_pose, metres=metres, degrees=degrees)
        folder = self.output / f"cache_pose_{metres}_{degrees}"
        return build_feature_cache(folder, self.perception, self.fingerprint, self.test_scenes, disturb)


def disturb_pose(geometry: CameraGeometry, key: tuple[str, int, str], metres: float, degrees: float) -> CameraGeometry:
    """Return a camera whose pose is wrong by the same position and three angles for a whole flight.

    Args:
        geometry: camera and true pose.
        key: scene, frame and platform; all frames of a platform err alike.
        metres: standard deviation of the position east and north; half as much upwards.
        degrees: standard deviation of each angle.
    """
    generator = np.random.default_rng([ord(letter) for letter in key[0] + key[2]])
    matrix = geometry.world_from_camera.copy()
    matrix[:3, 3] += generator.normal(0, 1, 3) * metres * (1, 1, 0.5)
    angles = np.deg2rad(generator.normal(0, 1, 3) * degrees)
    matrix[:3, :3] = rotation_about_z(angles[2]) @ matrix[:3, :3] @ small_rotation(*angles[:2])
    return replace(geometry, world_from_camera=matrix)


def small_rotation(pitch: float, roll: float) -> np.ndarray:
    """Return the rotation of a camera about its x and z axes.

    Args:
        pitch: radians.
        roll: radians.
    """
    about_x = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    about_z = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    return np.asarray(about_x @ about_z)


def summarise_seeds(results: Sequence[dict[str, float]]) -> dict[str, object]:
    """Return means over seeds, with the standard deviation where there are several.

    Args:
        results: bytes and metrics of each seed.
    """
    row: dict[str, object] = {"bytes": round(float(np.mean([result["bytes"] for result in results])))}
    for metric in METRICS:
        values = np.array([result[metric] for result in results], np.float64)
        row[metric] = f"{values.mean():.3f}" + (f" ± {values.std(ddof=1):.3f}" if len(values) > 1 else "")
    return row


def table(rows: Sequence[dict[str, object]], key: str) -> str:
    names = ["strategy", key, "bytes", *METRICS]
    lines = ["| " + " | ".join(names) + " |", "|" + " --- |" * len(names)]
    return "\n".join(lines + ["| " + " | ".join(str(row[name]) for name in names) + " |" for row in rows])


def plot(rows: Sequence[dict[str, object]], path: Path) -> None:
    import matplotlib.pyplot as plt

    strategies = list(dict.fromkeys(str(row["strategy"]) for row in rows))
    colours = dict(zip(strategies, map(plt.get_cmap("tab20"), range(20)), strict=False)) | {"dual_branch": "black"}
    figure, axes = plt.subplots(1, 3, figsize=(14, 4), constrained_layout=True)
    for axis, metric in zip(axes, METRICS[:3], strict=True):
        for strategy in strategies:
            curve_rows = [row for row in rows if row["strategy"] == strategy]
            x = [max(float(str(row["bytes"])), 1) for row in curve_rows]
            y = [float(str(row[metric]).split()[0]) for row in curve_rows]
            if len(curve_rows) == 1:  # one number, whatever the budget
                style = ":" if strategy == "no_fusion" else "--"
                axis.axhline(y[0], linestyle=style, label=strategy, color="grey")
            else:
                width = 2.5 if strategy == "dual_branch" else 1.2
                axis.plot(x, y, marker=".", label=strategy, linewidth=width, color=colours[strategy])
        axis.set(xscale="log", xlabel="bytes a frame and platform", ylabel=metric)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", fontsize=8)
    figure.savefig(path)


if __name__ == "__main__":
    main()
