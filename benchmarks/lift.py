"""The lift's pooling against the published sort-and-cumsum of Lift-Splat-Shoot, same machine, one run.

    git clone https://github.com/nv-tlabs/lift-splat-shoot
    python benchmarks/lift.py --peer lift-splat-shoot

Four cameras, 100 bins, 28 x 60 features of 64 channels onto 200 x 200 cells. Both start from depth weights (softmax
done), features and the geometry of the cameras, and end with the map; the peer's functions are imported from the
checkout and run as they are: `get_geometry`, `get_depth_feat` (outer product), `get_cam_feats`, `voxel_pooling` with
`QuickCumsum`. Only its networks are left out, and packages it imports but does not use here need not be installed.

Rows: `plan ready`, the geometry is as before: ours has its plan, the peer its coordinates. `plan rebuilt`, the cameras
have moved: ours makes a new plan, the peer new coordinates. Peak memory is of a process of its own, less its peak with
libraries and inputs loaded; making the plan, or the coordinates, counts in every row.
"""

import argparse
import importlib
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import MagicMock, patch

import numpy as np
import torch
from torch import Tensor

from skyweave.core.geometry.camera import CameraGeometry, PinholeCamera
from skyweave.core.geometry.frames import look_at
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.geometry.ground import GroundPlane
from skyweave.mapping import HeightBins, RatioBins, ground_rays, lift_features, plan_lift

CAMERAS, BINS, SHAPE, CHANNELS, CELLS, RESOLUTION = 4, 100, (28, 60), 64, 200, 0.5
ALTITUDE, SLAB = 50.0, 1000.0
GRID = MapGrid.around(0, 0, CELLS * RESOLUTION, RESOLUTION)
# imported by the peer's src/models.py and src/tools.py for its networks and readers, which are not used here
ABSENT = """efficientnet_pytorch torchvision torchvision.models torchvision.models.resnet tqdm PIL pyquaternion
    matplotlib matplotlib.pyplot nuscenes nuscenes.utils nuscenes.utils.data_classes nuscenes.utils.geometry_utils
    nuscenes.map_expansion nuscenes.map_expansion.map_api"""
Play = Callable[[], Any]


def main() -> None:
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    contenders = make_contenders(arguments)
    if arguments.memory:
        print(json.dumps(peak_memory(contenders[arguments.memory[0]][arguments.memory[1]])))
        return
    # first, while this process is small: a child begins with its parent's peak
    memory = {(code, task): measure_memory(code, task) for code, tasks in contenders.items() for task in tasks}
    difference = compare(arguments, torch.float64)
    single = compare(arguments, torch.float32)
    times = measure(contenders, arguments.rounds)
    rows = []
    for task in contenders["skyweave"]:
        peer, own = ("published", task), ("skyweave", task)
        rows.append(
            {
                "task": task,
                "published_ms": round(1e3 * times[peer], 1),
                "skyweave_ms": round(1e3 * times[own], 2),
                "times_faster": round(times[peer] / times[own], 1),
                "published_mb": round(memory[peer], 1),
                "skyweave_mb": round(memory[own], 1),
                "times_less_memory": round(memory[peer] / max(memory[own], 0.1), 1),
            }
        )
    report: dict[str, Any] = {"bins": arguments.bins, "threads": arguments.threads, "rounds": arguments.rounds}
    report |= {"torch": torch.__version__, "largest_difference": float(difference.max())}
    report |= {"share_of_cells_equal_with_float32_geometry": float((single.amax(0) < 1e-4).double().mean())}
    if arguments.json:
        print(json.dumps({**report, "results": rows}))
        return
    print(
        ", ".join(
            f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}" for key, value in report.items()
        )
    )
    print("\n| " + " | ".join(rows[0]) + " |\n|" + " --- |" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(str(value) for value in row.values()) + " |")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", type=Path, required=True, help="checkout of nv-tlabs/lift-splat-shoot")
    parser.add_argument("--bins", choices=["height", "ratio"], default="ratio", help="which nodes both place")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--memory", nargs=2, metavar=("CODE", "TASK"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not (arguments.peer / "src" / "models.py").is_file():
        parser.error(f"{arguments.peer} is no checkout of lift-splat-shoot: it has no src/models.py")
    return arguments


def make_contenders(arguments: argparse.Namespace) -> dict[str, dict[str, Play]]:
    """By code and task, something to do that leaves its result."""
    bins = HeightBins(10, BINS) if arguments.bins == "height" else RatioBins(0.198, BINS)
    weights, features = inputs()
    peer = cache(lambda: Published(arguments.peer, scene(), bins))
    coordinates = cache(lambda: peer().coordinates())
    plan = cache(lambda: plan_lift(scene(), GRID, bins, SHAPE))
    moving = [scene(turn) for turn in np.linspace(0, 0.1, 7)]  # not what a plan was kept for
    frame = iter(range(10**9))

    def rebuilt() -> Any:
        return plan_lift(moving[next(frame) % len(moving)], GRID, bins, SHAPE, cache=False)

    def learn(forward: Callable[[], Tensor]) -> Play:
        gradient: list[Tensor] = []

        def play() -> None:
            for tensor in (weights, features):
                tensor.requires_grad_(True)
                tensor.grad = None
            result = forward()
            if not gradient:
                gradient.append(torch.randn_like(result))
            result.backward(gradient[0])

        return play

    def infer(forward: Callable[[], Tensor]) -> Play:
        def play() -> None:
            with torch.no_grad():
                forward()

        return play

    ours = {"plan ready": lambda: lift_features(features, plan(), weights=weights)[0]}
    ours["plan rebuilt"] = lambda: lift_features(features, rebuilt(), weights=weights)[0]
    theirs = {"plan ready": lambda: peer().pool(coordinates(), weights, features)}
    theirs["plan rebuilt"] = lambda: peer().pool(peer().coordinates(), weights, features)

    def tasks(forwards: dict[str, Callable[[], Tensor]]) -> dict[str, Play]:
        forward = {f"forward, {name}": infer(play) for name, play in forwards.items()}
        return forward | {f"forward and backward, {name}": learn(play) for name, play in forwards.items()}

    return {"skyweave": tasks(ours), "published": tasks(theirs)}


def scene(turn: float = 0.0) -> list[CameraGeometry]:
    """Four cameras at 50 m over the corners of the map that look at its middle."""
    camera = PinholeCamera.from_field_of_view(np.radians(70), 224, 480)
    angles = np.pi / 4 + np.pi / 2 * np.arange(CAMERAS) + turn
    positions = [np.array([60 * np.cos(a), 60 * np.sin(a), ALTITUDE]) for a in angles]
    return [CameraGeometry(camera, look_at(p, np.array([0.2 * p[0], 0.2 * p[1], 0]))) for p in positions]


def inputs() -> tuple[Tensor, Tensor]:
    """Depth weights (cameras, bins, rows, columns) and features (cameras, channels, rows, columns)."""
    generator = torch.Generator().manual_seed(0)
    weights = (3 * torch.randn(CAMERAS, BINS, *SHAPE, generator=generator)).softmax(1)
    return weights, torch.randn(CAMERAS, CHANNELS, *SHAPE, generator=generator)


class Published:
    """The peer's own functions on our cameras: batch of one, its networks replaced by what they would have given."""

    def __init__(self, checkout: Path, cameras: list[CameraGeometry], bins: Any, kind: torch.dtype = torch.float32):
        models = import_peer(checkout)
        self.model, self.encode = models.LiftSplatShoot, models.CamEncode
        half = CELLS * RESOLUTION / 2
        bounds = [-half, half, RESOLUTION], [-half, half, RESOLUTION], [-SLAB, SLAB, 2 * SLAB]
        dx, bx, nx = models.gen_dx_bx(*bounds)
        # points of the picture with their depth (cameras, bins, rows, columns, 3): the prior gives every ray its own
        frustum = []
        for camera in cameras:
            depths = bins.depths(ground_rays(camera, GroundPlane(), SHAPE)).t().reshape(BINS, *SHAPE, 1)
            pixels = torch.as_tensor(camera.camera.pixel_centres(*SHAPE)).expand(BINS, -1, -1, -1)
            frustum.append(torch.cat([pixels, depths], -1))
        self.itself = SimpleNamespace(
            frustum=torch.stack(frustum)[None].nan_to_num(nan=1e6).to(kind),
            dx=dx.to(kind), bx=bx.to(kind), nx=nx, use_quickcumsum=True, D=BINS, camC=CHANNELS, downsample=1,
        )  # fmt: skip
        poses = torch.as_tensor(np.stack([c.world_from_camera for c in cameras])[None]).to(kind)
        intrinsics = torch.as_tensor(np.stack([c.camera.intrinsics for c in cameras])[None]).to(kind)
        still = torch.eye(3, dtype=kind).expand(1, CAMERAS, 3, 3), torch.zeros(1, CAMERAS, 3, dtype=kind)
        self.pose = poses[..., :3, :3], poses[..., :3, 3], intrinsics, *still

    def coordinates(self) -> Tensor:
        """(1, cameras, bins, rows, columns, 3) in the world."""
        found: Tensor = self.model.get_geometry(self.itself, *self.pose)
        return found

    def pool(self, coordinates: Tensor, weights: Tensor, features: Tensor) -> Tensor:
        """(1, channels, x, y): outer product, then voxel pooling."""
        both = torch.cat([weights, features], 1)  # as its convolution gives them
        encoder = SimpleNamespace(
            get_eff_depth=lambda x: x, depthnet=lambda x: x, get_depth_dist=lambda x: x, D=BINS, C=CHANNELS
        )
        self.itself.camencode = lambda x: self.encode.get_depth_feat(encoder, x)[1]
        frustum = self.model.get_cam_feats(self.itself, both[None])
        pooled: Tensor = self.model.voxel_pooling(self.itself, coordinates, frustum)
        return pooled


def import_peer(checkout: Path) -> Any:
    """`src.models` of the checkout; stands in for packages it imports at the top and needs for its networks only."""
    stand_ins: dict[str, Any] = {name: MagicMock() for name in ABSENT.split()}
    stand_ins["torchvision"].transforms.Normalize = SimpleNamespace  # the peer derives from it
    package = ModuleType("src")  # without its __init__, which imports the training script
    package.__path__ = [str(checkout / "src")]
    with patch.dict(sys.modules, {**stand_ins, "src": package}):
        return importlib.import_module("src.models")


def compare(arguments: argparse.Namespace, geometry: torch.dtype) -> Tensor:
    """(channels, x, y) absolute difference of the two float32 maps.

    Ours finds cells in float64, the peer in the precision of the geometry it is given: in float32, as its users have
    it, a node within micrometres of an edge may land in the next cell. The peer truncates coordinates towards zero, so
    what lies up to a cell outside the west or south edge of its map falls into the first cell; ours is placed on a map
    with one more cell there, which is then added to the first.
    """
    bins = HeightBins(10, BINS) if arguments.bins == "height" else RatioBins(0.198, BINS)
    weights, features = inputs()
    peer = Published(arguments.peer, scene(), bins, geometry)
    theirs = peer.pool(peer.coordinates(), weights, features)[0]  # (channels, x, y)
    wider = GRID.subgrid(0, -1, CELLS + 1, CELLS + 1)
    ours = lift_features(features, plan_lift(scene(), wider, bins, SHAPE), weights=weights)[0][0]
    ours = ours.flip(1).transpose(1, 2).contiguous()  # row 0 is north; theirs has x first and y from the south
    ours[:, 1] += ours[:, 0]
    ours[:, :, 1] += ours[:, :, 0]
    return (ours[:, 1:, 1:] - theirs).abs()


def measure(contenders: dict[str, dict[str, Play]], rounds: int) -> dict[tuple[str, str], float]:
    """Median seconds by code and task; the two take turns, so that both meet the same state of the machine."""
    times: dict[tuple[str, str], float] = {}
    for task in contenders["skyweave"]:
        taken: dict[str, list[float]] = {code: [] for code in contenders}
        for round_ in range(rounds + 2):
            for code, tasks in contenders.items():
                begin = time.perf_counter()
                tasks[task]()
                if round_ >= 2:
                    taken[code].append(time.perf_counter() - begin)
        times |= {(code, task): float(np.median(values)) for code, values in taken.items()}
    return times


def measure_memory(code: str, task: str) -> float:
    """Megabytes, in a process of its own."""
    command = [sys.executable, *sys.argv, "--memory", code, task]
    return float(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def peak_memory(play: Play) -> float:
    """Megabytes that the process's peak grows by when it does it three times."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(3):
        play()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


if __name__ == "__main__":
    main()
