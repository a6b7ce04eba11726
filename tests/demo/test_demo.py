"""The report is whole, self-contained, and says what is real."""

import base64
import re
from pathlib import Path

import numpy as np
import pytest

from skyweave.backbone import build_backbone, load_backbone, save_checkpoint
from skyweave.cli.main import main
from skyweave.core.observation import GeoTransform, Observation
from skyweave.core.sensors import get_sensor
from skyweave.demo import write_report
from skyweave.demo.collection import CHAPTERS, collect_chapters, find_imagery, join_images
from skyweave.demo.crossing import make_crossing_figures, simulate_crossing
from skyweave.demo.figures import PAPER, composite_bands, crop_patch, percentile_stretch, render_colour, valid_pixels
from skyweave.demo.neighbours import search_patches
from skyweave.demo.perception import make_perception_figures, simulate_unseen_scenes
from skyweave.perception import load_perception


def check_page(path: Path) -> str:
    page = path.read_text(encoding="utf-8")
    sources = re.findall(r'<img src="([^"]+)"', page)
    assert len(sources) >= 4 * len(CHAPTERS)
    for source in sources:
        assert base64.b64decode(source.removeprefix("data:image/png;base64,")).startswith(b"\x89PNG")
    text = re.sub(r'src="[^"]+"', "", page)
    assert "<script" not in text and "http" not in text and "url(" not in text
    assert "nan" not in re.findall(r"error ([^;<]+)", text)
    return text


def test_procedural_report(tmp_path: Path, weights: Path, perception: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SKYWEAVE_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    report = write_report(tmp_path / "demo", weights, perception=perception)
    page = check_page(report.path)
    assert report.real == () and len(report.procedural) == len(CHAPTERS)
    assert "No real imagery was found" in page
    assert [p.name for p in (tmp_path / "demo").iterdir()] == ["report.html"]


@pytest.mark.realdata
def test_real_report(
    tmp_path: Path, weights: Path, perception: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["demo", "-o", str(tmp_path), "--data", str(data_dir), "--weights", str(weights)]
    assert main([*command, "--perception", str(perception)]) == 0
    page = check_page(tmp_path / "report.html")
    assert "Real imagery: Sentinel-1 radar, Sentinel-2, NAIP aerial, EnMAP hyperspectral" in page
    assert "Procedural scenes, drawn by the program and measured by nobody: Gaofen-2" in page
    assert "report.html" in capsys.readouterr().out


@pytest.mark.realdata
def test_real_images_are_of_their_sensor_and_mostly_valid(data_dir: Path) -> None:
    for chapter in collect_chapters(data_dir):
        for observation in chapter.observations:
            assert valid_pixels(observation).mean() > 0.9, (chapter.title, observation.source)
            assert min(observation.shape) >= 64


def test_a_declared_folder_must_exist(tmp_path: Path, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["demo", "-o", str(tmp_path / "demo"), "--data", str(tmp_path / "none"), "--weights", str(weights)]
    assert main(command) == 2
    assert "none" in capsys.readouterr().err
    assert not (tmp_path / "demo").exists()


def test_data_is_found_where_declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKYWEAVE_DATA", str(tmp_path))
    assert find_imagery() == tmp_path


def test_weights_without_decoder_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "features.safetensors"
    save_checkpoint(path, build_backbone("tiny", seed=0, width=48, depth=1, heads=2), "features")
    with pytest.raises(ValueError, match="no pretraining decoder"):
        write_report(tmp_path / "demo", path)


def test_mosaic_places_by_georeference() -> None:
    sensor = get_sensor("rgb")

    def part(value: float, x: float, y: float) -> Observation:
        place = GeoTransform("EPSG:32633", (10.0, 0.0, x, 0.0, -10.0, y))
        return Observation.from_pixels(np.full((3, 4, 4), value), sensor, 10.0, geometry=place)

    joined = join_images([part(1, 0, 80), part(2, 40, 40)])
    assert joined.shape == (8, 8)
    assert (joined.pixels[:, :4, :4] == 1).all() and (joined.pixels[:, 4:, 4:] == 2).all()
    assert not joined.valid[:, :4, 4:].any() and joined.valid[:, 4:, 4:].all()


def test_search_finds_the_same_patch_elsewhere() -> None:
    random = np.random.default_rng(0)
    first = random.normal(size=(16, 5, 5)).astype(np.float32)
    second = first[:, ::-1, ::-1].copy()
    usable = np.ones((5, 5), bool)
    for one in search_patches([first, second], [usable, usable]):
        best = one.matches[0]
        assert (best.image, best.row, best.column) == (1, 4 - one.query.row, 4 - one.query.column)
        assert best.similarity == pytest.approx(1, abs=1e-5)
    assert all(place.image == 0 for one in search_patches([first], [usable]) for place in one.matches)
    assert search_patches([first], [~usable]) == []


def test_pictures_ask_the_sensor_not_the_channel_order() -> None:
    rgb = get_sensor("rgb")
    observation = Observation.from_pixels(np.random.default_rng(0).uniform(0, 255, (3, 8, 8)), rgb)
    swapped = observation.select(["blue", "red", "green"])
    np.testing.assert_array_equal(
        composite_bands(observation.pixels, rgb), composite_bands(swapped.pixels, swapped.sensor)
    )
    image = render_colour(observation.pixels, rgb, percentile_stretch(observation))
    assert image.shape == (8, 8, 3) and abs(int(image[3, 4, 0]) - observation.pixels[0, 3, 4]) <= 1
    assert crop_patch(image, 0, 0, 4, 8).shape == (20, 20, 3)


def test_the_crossing_puts_every_platform_on_one_map(weights: Path) -> None:
    crossing = make_crossing_figures(simulate_crossing(), load_backbone(weights))
    assert len(crossing.names) == 4 and crossing.objects > 50
    assert all(0 < seen < crossing.objects for seen in crossing.seen.values())
    paper = (crossing.fused == PAPER).all(-1)
    for placed in crossing.placed:
        empty = (placed == PAPER).all(-1)
        assert 0.02 < (~empty).mean() < 1
        assert not (paper & ~empty).any()  # what one platform sees is on the fused map
    assert (~paper).mean() > max((~(placed == PAPER).all(-1)).mean() for placed in crossing.placed)


def test_shipped_weights_see_more_together_than_alone() -> None:
    perceived = make_perception_figures(simulate_unseen_scenes(1), load_perception("crossing"))
    assert len(perceived.views) == 4 and perceived.samples == 8
    assert all(image.shape == perceived.truth.shape for image in (perceived.ego_only, perceived.collaborative))
    assert (perceived.ego_only != perceived.collaborative).any()
    for metric, least in (("mAP", 0.1), ("IoU", 0.05)):
        alone, together = perceived.scores[metric]
        assert together > alone + least, metric
