"""One small input of every kind that a command reads, and for every command a command line that works with them."""

import json
import zipfile
from pathlib import Path

import numpy as np
import rasterio
import yaml
from rasterio.transform import Affine

import fabricated_scene as toy
from fabricated_flight import draw_ground, lawnmower, write_flight
from fabricated_geobench import miniature
from fabricated_labels import fabricated_sample, write_raster
from fabricated_rig import RigBand, write_micasense
from skyweave.backbone import BackboneConfig, build_backbone, save_checkpoint
from skyweave.core.sensors import get_sensor
from skyweave.downstream.finetuning.config import RecipeConfig
from skyweave.downstream.finetuning.models.building import build_model
from skyweave.downstream.finetuning.models.checkpoint import save_finetuned
from skyweave.downstream.finetuning.tasks.base import make_task
from skyweave.embedding import EmbeddingConfig, embed_scene
from skyweave.interop.export import export_model
from skyweave.perception.model import PerceptionModel
from skyweave.perception.weights import save_perception
from skyweave.recordings.nuscenes import finish_recording, write_scene

PLACE = Affine(0.5, 0, 4e5, 0, -0.5, 5e6)
NAMES = {
    "POINT": "13.728174 45.146251",
    "RGB": "--sensor rgb --unit uint8 --bands sensor",
    "FLEET": "--fleet none --connect tcp/127.0.0.1:1",
}
COMMAND_LINES = {  # outputs are below `out`
    "sensors": "sensors --json",
    "sensors show": "sensors show sensor.yaml",
    "inspect": "inspect scene.tif --sensor rgb --quick",
    "inspect recording": "inspect recording --quick",
    "measure": "measure scene.tif --sensor rgb --unit uint8 --bands sensor",
    "shards": "shards dataset.yaml --data imagery -o out/shards --tile 32 --cache cache",
    "pretrain": "pretrain pretrain.yaml --data imagery -o out/run",
    "train": "train perception.yaml --data . -o out/run",
    "train collaboration": "train collaboration.yaml --data . -o out/run",
    "evaluate": "evaluate perception.safetensors recording --split all --platforms 2 --every 2",
    "evaluate strategy": "evaluate perception.safetensors recording --split all --strategy no_fusion --cache out/cache",
    "probe": "probe probe.yaml --data labelled --weights backbone.safetensors --seeds 1 --no-baselines",
    "finetune": "finetune finetune.yaml --data labelled -o out/run",
    "benchmark": "benchmark geobench miniature -o out/runs --weights none --seeds 1 --method unet "
    "--set training.steps=1 --set training.head_steps=1 --task m-eurosat",
    "suite": "suite backbone.safetensors --data labelled -o out/suite --configs tasks --seeds 1 --no-baselines",
    "embed": "embed scene.tif -o out/map.tif --weights backbone.safetensors --preview out/map.png --tile 64 "
    "--overlap 16 {RGB}",
    "search": "search features_scene.tif --point {POINT} -o out/hits.geojson --sheet out/hits.png --scene scene.tif",
    "change": "change features_scene.tif features_later.tif -o out/change.tif --geojson out/change.geojson",
    "validate": "validate features_scene.tif",
    "import": "import flight -o out/recording --dem dem.tif",
    "locate": "locate flight --telemetry flight --detector boxes.jsonl -o out/located --formats geojson --dem dem.tif",
    "predict": "predict finetuned.safetensors scene.tif -o out/classes.tif --tile 32 --unit uint8 --bands sensor",
    "download": "download geobench --task m-eurosat -o out/archive --url archive.zip",
    "export": "export backbone.safetensors -o out/model.onnx --sensor rgb --bands red,green --size 32",
    "apply": "apply model.onnx scene.tif -o out/applied.tif --tile 32 --overlap 8 --unit uint8 --bands sensor",
    "align": "align rig -o out/stack.tif --gsd 0.08 --panel panel/IMG_0001_1.tif panel/IMG_0001_2.tif "
    "--panel-reflectance all=0.5 --panel-area 10,10,60,10,60,60,10,60",
    "orthomosaic": "orthomosaic flight -o out/mosaic.tif --poses poses.json --preview out/mosaic.png --save-poses "
    "out/poses.json --dem dem.tif",
    "orthomosaic camera": "orthomosaic flight/one.jpg -o out/mosaic.tif --camera camera.json --resolution 1",
    "simulate": "simulate world.yaml -o out/recording --scenes 1 --frames 1",
    "view": "view scene.tif --png out/scene.png -o out/scene.rrd",
    "view recording": "view recording --png out/sheet.png --frames 0:1",
    "node": "node node.yaml",
    "fleet up": "fleet up fleet.yaml",
    "fleet status": "fleet status fleet.yaml",
    "fleet down": "fleet down fleet.yaml",
    "fleet keys": "fleet keys out/keys A B --host 127.0.0.1 --days 2",
    "fleet dashboard": "fleet dashboard {FLEET} --keys secrets --host 127.0.0.1 --port 0",
    "fleet record": "fleet record {FLEET} -o out/record.mcap --seconds 0.2",
    "fleet replay": "fleet replay record.mcap --listen tcp/127.0.0.1:0",
    "fleet router": "fleet router --listen tcp/127.0.0.1:0",
    "label": "label features_scene.tif --classes a,b --scene scene.tif --scene-bands 1,2,3 -o out/labels --port 0",
    "serve": "serve features_scene.tif scene.tif --host 127.0.0.1 --port 0",
    "fleet plan": "fleet plan --area 1000x1000 --platforms 9 --link 10M --gate 1G --sites 2 --tile 256 --bytes 800",
    "demo": "demo -o out/demo --data imagery --weights backbone.safetensors --perception perception.safetensors "
    "--fleet 0",
}
BOXES = {"frame": 0, "boxes": [[10, 10, 30, 30]], "categories": ["car"], "scores": [0.9]}
SENSOR = "name: camera\nground_sample_distance: 0.5\nbands: [{name: red, wavelength: 660, mean: 90, std: 50}]\n"
SOURCE = {"sensor": "rgb", "files": "*.tif", "bands": "sensor", "unit": "uint8"}
LABELLED = {
    "source": {**SOURCE, "files": "images/*.tif"},
    "labels": {"kind": "mask", "files": "masks/{name}.tif", "classes": {0: "ground", 1: "red", 2: "green"}},
}
CONFIGS = {
    "dataset.yaml": {"sources": [{"name": "plots", **SOURCE}]},
    "pretrain.yaml": {
        "name": "small",
        "data": "dataset.yaml",
        "objectives": {"pixels": {"decoder": {"width": 32, "depth": 1, "heads": 2}}},
        "images_per_step": {"rgb": 1},
        "optimiser": {"steps": 1, "warmup": 1},
        "trainer": {"precision": "32-true"},
    },
    "perception.yaml": {
        "name": "small",
        "recordings": ["recording"],
        "split": "train",
        "weights": None,
        "model": {"map": {"size": 32.0, "resolution": 1.0}, "lift": {"channels": 8}, "neck": 8, "trunk": [8, 8, 8]},
        "optimiser": {"steps": 1, "batch": 1, "warmup": 1},
        "trainer": {"precision": "32-true"},
    },
    "collaboration.yaml": {
        "name": "small",
        "perception": "perception.safetensors",
        "recordings": ["recording"],
        "split": "train",
        "collaboration": {"strategy": "dual_branch", "codec": {"low": 4, "high": 6, "contexts": 2}},
        "optimiser": {"steps": 1, "batch": 1, "warmup": 1},
        "trainer": {"precision": "32-true"},
    },
    "probe.yaml": {
        "name": "small",
        "data": {**LABELLED, "split": {"kind": "groups", "folds": 2}},
        "cell": 8,
        "seeds": 1,
    },
    "finetune.yaml": {
        "name": "small",
        "task": "segmentation",
        "weights": "backbone.safetensors",
        "data": LABELLED,
        "method": {"kind": "frozen"},
        "head": {"kind": "linear"},
        "training": {"steps": 1, "head_steps": 1, "batch": 2, "learning_rates": [0.01], "head_learning_rates": [0.01]},
        "patch_size": 8,
    },
    "world.yaml": {
        "name": "tiny",
        "scenes": 1,
        "frames": 1,
        "warm_up": 1.0,
        "roads": {"size": 80},
        "traffic": {"cars": 2, "trucks": 0, "buses": 0, "bicycles": 0, "pedestrians": 0, "parked": 0},
        "scenery": {"buildings": 0, "trees": 0},
        "platforms": [{"name": "UAV", "cameras": [{"rows": 16, "columns": 24, "field_of_view": [65, 65]}]}],
    },
    "node.yaml": {
        "name": "UAV_1",
        "source": {"kind": "recording", "path": "recording"},
        "perceiver": {"kind": "late_fusion", "weights": "perception.safetensors"},
        "max_frames": 1,
    },
    "fleet.yaml": {
        "name": "pair",
        "platforms": ["UAV_1", "UAV_2"],
        "port": 29870,
        "state": "out/state",
        "node": {"source": {"kind": "recording", "path": "recording"}, "perceiver": {"kind": "ground_truth"}},
    },
}


def write_inputs(folder: Path) -> None:
    """Write all of them.

    Args:
        folder: in which the command lines work.
    """
    for name, content in CONFIGS.items():
        (folder / name).write_text(yaml.safe_dump(content, sort_keys=False))
    (folder / "tasks").mkdir()
    (folder / "tasks" / "small.yaml").write_text(yaml.safe_dump(CONFIGS["probe.yaml"]))
    (folder / "sensor.yaml").write_text(SENSOR)
    (folder / "boxes.jsonl").write_text(json.dumps(BOXES) + "\n")
    (folder / "camera.json").write_text('{"focal": 100.0}')
    (folder / "record.mcap").write_bytes(b"\x89MCAP0\r\n")
    write_image(folder / "scene.tif", 64)
    for number in range(2):
        write_image(folder / "imagery" / f"plot_{number}.tif", 40, number)
    for number in range(6):
        sample = fabricated_sample("segmentation", number)
        write_raster(folder / "labelled/images" / f"p{number}.tif", sample.observations[0].pixels.astype(np.uint8))
        write_raster(folder / "labelled/masks" / f"p{number}.tif", np.asarray(sample.label, np.uint8)[None])
    backbone = build_backbone(BackboneConfig(width=24, depth=2, heads=2, patch_size=8), [get_sensor("rgb")], seed=0)
    save_checkpoint(folder / "backbone.safetensors", backbone, "small")
    write_image(folder / "later.tif", 64, 1)
    for date in ("scene", "later"):
        features = folder / f"features_{date}.tif"
        fine = EmbeddingConfig(patch_size=4)
        embed_scene(
            folder / f"{date}.tif",
            features,
            backbone.eval(),
            get_sensor("rgb"),
            unit="uint8",
            bands="sensor",
            config=fine,
        )
    task = make_task("segmentation", "small", ("ground", "red", "green"))
    model = build_model(task, backbone, [get_sensor("rgb")], RecipeConfig(patch_size=8), seed=0, tile=24)
    save_finetuned(folder / "finetuned.safetensors", model, "small")
    save_perception(folder / "perception.safetensors", PerceptionModel(toy.config(), backbone), "small")
    write_scene(folder / "recording", toy.scene(2, 2), ("car", "truck"))
    finish_recording(folder / "recording", "toy", {"train": ["toy"]})
    miniature(folder / "miniature", "m-eurosat", samples=(4, 2, 2))
    with zipfile.ZipFile(folder / "archive.zip", "w") as archive:
        for path in sorted((folder / "miniature").rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder / "miniature"))
    write_flight(folder / "flight", lawnmower(1, 2), draw_ground(70.0))
    first = sorted((folder / "flight").iterdir())[0]
    first.rename(first.with_name("one.jpg"))
    (folder / "poses.json").write_text('{"images": [{"file": "one.jpg", "rel_alt_m": 30.0}]}')
    bands = [RigBand("Green", 560), RigBand("NIR", 840, angles=(0.9, -1.2, 0.6))]
    for name in ("rig", "panel"):
        write_micasense(folder / name, bands)
    export_model(backbone, folder / "model.onnx", get_sensor("rgb"), ground_sample_distance=0.5, nodata=True)
    write_image(folder / "dem.tif", 64, bands=1, dtype="float32", transform=Affine(20, 0, 369360, 0, -20, 5800640))
    (folder / "secrets").mkdir()


def write_image(
    path: Path,
    size: int,
    seed: int = 0,
    bands: int = 3,
    dtype: str = "uint8",
    transform: Affine = PLACE,
) -> None:
    """Write a raster of noise.

    Args:
        path: of a GeoTIFF.
        size: rows and columns.
        seed: of the noise.
        bands: how many.
        dtype: of the values.
        transform: to EPSG:32633.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(20, 230, (bands, size, size)).astype(dtype)
    profile = {"driver": "GTiff", "height": size, "width": size, "count": bands, "dtype": dtype, "crs": "EPSG:32633"}
    with rasterio.open(path, "w", transform=transform, **profile) as target:
        target.write(pixels)


def command_line(name: str) -> list[str]:
    """Return the arguments of a command that works.

    Args:
        name: of ``COMMAND_LINES``.
    """
    text = COMMAND_LINES[name]
    for key, value in NAMES.items():
        text = text.replace(f"{{{key}}}", value)
    return text.split()
