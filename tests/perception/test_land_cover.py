"""The land-cover head: what it learns from, what it is scored by, and how its maps leave."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import fabricated_scene as toy
from skyweave.backbone import build_backbone
from skyweave.backbone.config import BackboneConfig
from skyweave.core.errors import ConfigError
from skyweave.core.geometry.grid import MapGrid
from skyweave.core.observation import GeoTransform, Observation
from skyweave.perception.batch import collate
from skyweave.perception.config import PerceptionConfig, RasterConfig
from skyweave.perception.dataset import PerceptionDataset
from skyweave.perception.evaluation import evaluate
from skyweave.perception.export import write_geojson, write_geotiff
from skyweave.perception.heads.base import EvaluatedSample
from skyweave.perception.heads.land_cover import cover_of
from skyweave.perception.heads.land_cover_evaluator import LandCoverEvaluator
from skyweave.perception.model import PerceptionModel
from skyweave.perception.module import PerceptionLossConfig, PerceptionModule, PerceptionOptimiserConfig
from skyweave.perception.results import CoverMap, ScenePrediction
from skyweave.perception.targets import CoverTargets, ObjectTargets
from skyweave.recordings.recording import UNKNOWN_COVER, BaseMap, LandCoverRaster, RecordedScene

CLASSES = ("road", "grass", "water")
PLACE = GeoTransform(None, (1.0, 0, -40.0, 0, -1.0, 40.0))
GRID = MapGrid.around(0, 0, 16, 1.0, "EPSG:32633")


def ground() -> np.ndarray:
    """(80, 80): a road from north to south through grass, a pond, and a corner that nobody knows."""
    cover = np.full((80, 80), 1, np.uint8)
    cover[:, 36:44] = 0
    cover[20:36, 50:66] = 2
    cover[:6, :6] = UNKNOWN_COVER
    return cover


def scene(frames: int = 3, turned: bool = False) -> RecordedScene:
    """The toy scene over that ground or over the same turned by a quarter, with a photograph of the ground."""
    cover = np.rot90(ground()) if turned else ground()
    colours = np.array([[60, 60, 60], [80, 160, 70], [30, 60, 200]], np.float32)
    pixels = colours[np.where(cover == UNKNOWN_COVER, 1, cover)].transpose(2, 0, 1)
    base = BaseMap("ortho", lambda: Observation.from_pixels(pixels, toy.RGB, 1.0, geometry=PLACE), 0, 0.5)
    return replace(toy.scene(frames, 2), base_maps=(base,), land_cover=LandCoverRaster(CLASSES, PLACE, lambda: cover))


def config(**changes: object) -> PerceptionConfig:
    heads = {"land_cover": {"classes": CLASSES}}
    return toy.config(heads=heads, rasters=RasterConfig(token=4.0, context=4, channels=16), history=1, **changes)


def cover_map(classes: np.ndarray, grid: MapGrid = GRID) -> CoverMap:
    return CoverMap(grid, classes, CLASSES, np.full(grid.shape, 0.9), 1_000_000_000)


def targets(cells: np.ndarray, classes: tuple[str, ...]) -> ObjectTargets:
    objects = PerceptionDataset([toy.scene(1, 1)], toy.config(history=1)).objects(0)
    return replace(objects, grid=GRID, land_cover=CoverTargets(cells, classes))


def test_classes_are_matched_by_name() -> None:
    cells = np.zeros(GRID.shape, np.uint8)
    cells[0], cells[1], cells[2] = 1, 2, UNKNOWN_COVER
    truth = cover_of(targets(cells, ("water", "swamp", "road")), CLASSES)
    assert truth[3:].tolist() == [[2] * 16] * 13, "water is the third here"
    assert (truth[0] == UNKNOWN_COVER).all() and (truth[2] == UNKNOWN_COVER).all() and (truth[1] == 0).all()
    assert (cover_of(replace(targets(cells, CLASSES), land_cover=None), CLASSES) == UNKNOWN_COVER).all()


def test_overlap_is_counted_over_known_cells() -> None:
    """4 of 16 rows are road, and 6 are called so: 4 of 6 overlap; 10 of 12 of grass; the unknown row counts nowhere."""
    truth, predicted = np.ones(GRID.shape, np.uint8), np.ones(GRID.shape, np.uint8)
    truth[:4], predicted[:6] = 0, 0
    truth[15], predicted[15] = UNKNOWN_COVER, 0
    objects = targets(truth, CLASSES)
    evaluator = LandCoverEvaluator(CLASSES)
    prediction = ScenePrediction({"land_cover": cover_map(predicted)})
    evaluator.add(EvaluatedSample(0, objects, None, np.zeros(0, bool), prediction))  # type: ignore[arg-type]
    values = evaluator.compute().values
    assert values["cover_IoU/road"] == pytest.approx(4 / 6) and values["cover_IoU/grass"] == pytest.approx(9 / 11)
    assert values["cover_mIoU"] == pytest.approx((4 / 6 + 9 / 11) / 2) and "cover_IoU/water" not in values
    assert values["cover_accuracy"] == pytest.approx(13 / 15)
    assert not LandCoverEvaluator(CLASSES).compute().values


def test_it_learns_from_a_base_map_what_covers_the_ground() -> None:
    """Two scenes that look alike to the drones over different ground."""
    scenes = [scene(), scene(turned=True)]
    dataset = PerceptionDataset(scenes, config())
    backbone = build_backbone(BackboneConfig(width=32, depth=1, heads=2, patch_size=8), [toy.RGB], seed=0)
    model = PerceptionModel(config(), backbone)
    module = PerceptionModule(
        model, PerceptionOptimiserConfig(), PerceptionLossConfig(balance=False, gradient_scale={}), dataset
    )
    optimiser = torch.optim.AdamW(model.parameters(), 3e-3)
    batch = collate([dataset[0], dataset[3]])
    before = evaluate(model, dataset).values["cover_mIoU"]
    model.train()
    losses = []
    for _ in range(60):
        optimiser.zero_grad()
        loss, parts = module.loss(batch)
        loss.backward()
        optimiser.step()
        losses.append(parts["land_cover/classes"].item())
    assert losses[-1] < 0.5 * losses[0]
    scores = evaluate(model, dataset)
    blind = evaluate(model, PerceptionDataset(scenes, config(), base_maps=[]))
    assert before < 0.5 < 0.75 < scores.values["cover_mIoU"]
    assert blind.values["cover_mIoU"] < 0.6, "it is the base map that tells"


def test_unknown_ground_teaches_nothing() -> None:
    model = PerceptionModel(
        config(), build_backbone(BackboneConfig(width=32, depth=1, heads=2, patch_size=8), [toy.RGB], seed=0)
    )
    head = model.heads["land_cover"]
    outputs = {"land_cover": head(torch.randn(1, 16, 32, 32))}
    nothing = {"classes": torch.full((1, 32, 32), UNKNOWN_COVER)}
    loss = head.loss(outputs, nothing)["classes"]
    loss.backward()
    assert loss == 0 and all(not p.grad.any() for p in head.parameters() if p.grad is not None)
    half = nothing["classes"].clone()
    half[:, :4] = 1
    changed = {"classes": outputs["land_cover"]["classes"].detach().clone()}
    changed["classes"][:, :, 4:] += 5 * torch.randn(1, 3, 28, 32)
    one, other = (head.loss({"land_cover": o}, {"classes": half})["classes"] for o in (outputs["land_cover"], changed))
    assert one.item() == pytest.approx(other.item())


def test_maps_leave_as_geotiff_and_polygons(tmp_path: Path) -> None:
    import json

    import rasterio

    classes = np.ones(GRID.shape, np.uint8)
    classes[4:12, 4:12], classes[6:8, 6:8] = 2, 0  # a pond with an island of road
    result = cover_map(classes)
    write_geotiff(tmp_path / "cover.tif", result)
    with rasterio.open(tmp_path / "cover.tif") as file:
        assert (file.read(1) == classes).all() and file.crs.to_epsg() == 32633
        assert json.loads(file.tags(1)["categories"]) == {"0": "road", "1": "grass", "2": "water"}
        assert file.colormap(1)[2][:3] == (50, 100, 220) and tuple(file.transform)[:6] == GRID.affine
    areas = {feature.properties["category"]: feature.properties["area"] for feature in result.features()}
    assert areas == {"road": 4, "grass": 192, "water": 60}
    write_geojson(tmp_path / "cover.geojson", result)
    content = json.loads((tmp_path / "cover.geojson").read_text())
    assert {feature["properties"]["category"] for feature in content["features"]} == set(CLASSES)


def test_options_that_cannot_be_are_refused() -> None:
    for wrong in ({"classes": []}, {"classes": ["road", "road"]}, {"balance": 2.0}):
        with pytest.raises(ConfigError, match=r"heads\.land_cover"):
            toy.config(heads={"land_cover": wrong})
    with pytest.raises(ValueError, match="whole numbers from 0 to 2"):
        cover_map(np.full(GRID.shape, 7))
