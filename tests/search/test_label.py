"""Clicks become a map, questions are asked where it is least certain, and only this machine may click."""

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from aiohttp import ClientSession

from fabricated_embeddings import ORIGIN, clustered_features, write_embeddings
from skyweave.cli.main import main
from skyweave.core.errors import ConfigError, DataError
from skyweave.core.http_server import LOCAL_HOST, serve_in_thread
from skyweave.search import build_archive, open_patches
from skyweave.search.labelling import LabelSession
from skyweave.search.labelling.label_files import describe_areas, export_results, load_examples, save_labels
from skyweave.search.labelling.page_server import LabelPage
from skyweave.search.labelling.scene_image import render_false_colours, render_scene

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
PATIENCE_S = 120  # of what a page does at once: a loaded machine takes its time
ROWS, COLUMNS = 20, 30
NAMES = ("water", "forest", "fields")


@pytest.fixture
def embeddings(tmp_path: Path) -> Path:
    features, _ = clustered_features(ROWS, COLUMNS)
    features[:, 0, 0] = np.nan
    return write_embeddings(tmp_path / "features.tif", features)


@pytest.fixture
def session(embeddings: Path) -> LabelSession:
    return LabelSession(build_archive([open_patches(embeddings)])[0], NAMES)


def click(session: LabelSession, row: int, column: int, label: int | None) -> None:
    number = session.number_at(row, column)
    assert number is not None
    session.set_example(number, label)


def click_stripes(session: LabelSession, clicks: int = 4) -> None:
    for label in range(3):
        for row in range(clicks):
            click(session, 3 + 4 * row, 10 * label + 3 + row, label)


def test_clicks_become_a_map(session: LabelSession) -> None:
    assert session.prediction is None and session.question() is None and session.number_at(0, 0) is None
    click(session, 5, 5, 0)
    assert session.prediction is not None and set(session.prediction.classes) == {0}
    click_stripes(session)
    columns = session.places.cells % COLUMNS
    assert (session.prediction.classes == columns * 3 // COLUMNS).mean() > 0.97
    before = session.version
    click(session, 5, 5, None)
    assert session.version == before + 1 and len(session.examples) == 12


def test_the_question_is_where_the_margin_is_smallest_away_from_examples(session: LabelSession) -> None:
    click_stripes(session)
    question, prediction = session.question(), session.prediction
    assert question is not None and prediction is not None
    row, column = divmod(int(session.places.cells[question]), COLUMNS)
    examples = [divmod(int(session.places.cells[number]), COLUMNS) for number in session.examples]
    assert min(max(abs(row - r), abs(column - c)) for r, c in examples) >= 2
    assert prediction.margins[question] <= np.quantile(prediction.margins, 0.05)


def test_an_assessment_is_a_stratified_sample_of_the_map(session: LabelSession) -> None:
    with pytest.raises(ConfigError, match="no map yet"):
        session.start_assessment(40)
    click_stripes(session)
    session.start_assessment(40, seed=3)
    assert session.assessment is not None and session.prediction is not None
    strata = np.bincount(session.prediction.classes[session.assessment.numbers], minlength=3)
    assert strata.sum() == 40 and strata.min() >= 5
    assert len(set(session.assessment.numbers)) == 40
    with pytest.raises(ConfigError, match="end that first"):
        click(session, 5, 5, 1)
    columns = session.places.cells % COLUMNS
    for index, number in enumerate(session.assessment.numbers):
        assert session.estimates() is None  # not before the last answer
        session.set_reference(index, int(columns[number] * 3 // COLUMNS))
    estimates = session.estimates()
    assert estimates is not None and estimates.overall_accuracy > 0.9
    areas = describe_areas(session)
    assert areas["unit"] == "hectares" and session.patch_hectares is not None
    assert sum(row["estimated"] for row in areas["classes"]) == pytest.approx(
        (ROWS * COLUMNS - 1) * 0.64, rel=2e-3
    )  # of UTM
    session.end_assessment()
    click(session, 5, 5, 1)
    assert "estimated" not in describe_areas(session)["classes"][0]


def test_what_is_exported_is_what_was_labelled(session: LabelSession, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    assert export_results(session, folder, "features.tif") == ["labels.geojson"]
    click_stripes(session)
    export_results(session, folder, "features.tif")
    features = json.loads((folder / "labels.geojson").read_text())["features"]
    assert len(features) == 12 and features[0]["properties"] == {
        "class": "water", "use": "example", "row": 3, "column": 3,
    }  # fmt: skip
    longitude, latitude = features[0]["geometry"]["coordinates"]
    assert session.places.at(longitude, latitude) == session.number_at(3, 3)
    with rasterio.open(folder / "map.tif") as source:
        values = source.read(1)
        assert source.nodata == 0 and source.crs.to_epsg() == 32633 and source.tags()["CLASS_2"] == "forest"
        assert source.colormap(1)[1] == (0x44, 0x77, 0xAA, 255)
    assert values[0, 0] == 0 and (values[:, 22:] == 3).mean() > 0.95
    assert json.loads((folder / "areas.json").read_text())["estimate"].startswith("none")


def test_a_session_is_taken_up_again(session: LabelSession, tmp_path: Path, embeddings: Path) -> None:
    click_stripes(session)
    save_labels(session, tmp_path, "features.tif")
    again = LabelSession(session.archive, NAMES)
    assert load_examples(again, tmp_path) == 12 and again.examples == session.examples
    assert load_examples(again, tmp_path / "nowhere") == 0
    with pytest.raises(DataError, match="does not fit these embeddings and classes"):
        load_examples(LabelSession(session.archive, ("a", "b")), tmp_path)
    (tmp_path / "labels.geojson").write_text("[]")
    with pytest.raises(DataError, match="choose another -o"):
        load_examples(again, tmp_path)


def write_scene(path: Path, shift: float = 0.0, crs: str = "EPSG:32633") -> Path:
    """Write a scene of 8 pixels a patch whose last patches are cut by 3 pixels; a green stripe over fields."""
    rows, columns = ROWS * 8 - 3, COLUMNS * 8 - 3
    pixels = np.full((3, rows, columns), 90, np.uint8)
    pixels[1, :, 160:] = 250
    place = rasterio.Affine(10, 0, ORIGIN[0] + shift, 0, -10, ORIGIN[1])
    profile = {"driver": "GTiff", "count": 3, "height": rows, "width": columns, "dtype": "uint8"}
    with rasterio.open(path, "w", **profile, crs=crs, transform=place) as target:
        target.write(pixels)
    return path


def test_the_scene_lies_under_the_grid(session: LabelSession, tmp_path: Path) -> None:
    image = render_scene(write_scene(tmp_path / "scene.tif"), session.places)
    assert image.shape == (ROWS * 8, COLUMNS * 8, 3)
    assert (image[:150, 100] == 90).all() and (image[:150, 170, 1] == 250).all()
    assert (image[-3:] == 222).all()  # beyond the scene
    for other in ({"shift": 4.0}, {"crs": "EPSG:32632"}):
        with pytest.raises(DataError, match="give the scene that they"):
            render_scene(write_scene(tmp_path / "other.tif", **other), session.places)  # type: ignore[arg-type]
    colours = render_false_colours(session.archive, session.places)
    assert colours.shape == (ROWS, COLUMNS, 3) and not colours[0, 0].any() and colours.std() > 10


@contextmanager
def served(session: LabelSession, folder: Path) -> Iterator[str]:
    page = LabelPage(session, render_false_colours(session.archive, session.places), folder, "features.tif")
    with serve_in_thread(page.create_app(), LOCAL_HOST, 0) as address:
        yield address


def test_the_server_answers_the_page_and_nobody_else(session: LabelSession, tmp_path: Path) -> None:
    async def ask(address: str) -> None:
        async with ClientSession() as client:

            async def post(path: str, fields: Any, **headers: str) -> tuple[int, Any]:
                async with client.post(address + path, json=fields, headers=headers) as answer:
                    text = await answer.text()
                    return answer.status, json.loads(text) if text.startswith("{") else text

            async with client.get(address) as answer:
                assert "Skyweave label" in await answer.text()
                assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
            assert (await post("example", {"row": 3, "column": 3, "class": 0}))[0] == 200
            status, state = await post("example", {"row": 3, "column": 25, "class": 2})
            assert status == 200 and state["examples"] == [[3, 3, 0], [3, 25, 2]] and state["question"]
            for name in ("map.png", "doubt.png", "scene.png"):
                async with client.get(address + name) as answer:
                    assert (await answer.read())[:4] == b"\x89PNG"
            assert (await post("example", {"row": 0, "column": 0, "class": 0}))[0] == 409
            assert (await post("example", {"row": 3, "column": 3, "class": 7}))[0] == 409
            for wrong in ({"row": "3", "column": 3, "class": 0}, {"row": True, "column": 1, "class": 0}, {}, [], 5):
                assert (await post("example", wrong))[0] == 400
            assert (await post("sample", {"count": 10**9}))[0] == 409
            assert (await post("example", {"row": 1, "column": 1, "class": 0, "x": "y" * 9999}))[0] == 413
            async with client.post(address + "export", data="{}") as answer:
                assert answer.status == 415  # what a form of another site could send
            for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}):
                assert (await post("example", {"row": 3, "column": 3, "class": None}, **headers))[0] == 403
            for path in ("..%2f..%2fetc%2fpasswd", "page/../session.py", "labels.geojson", "%2e%2e/session.py"):
                async with client.get(address + path) as answer:
                    assert answer.status == 404
            async with client.get(address + "state") as answer:
                assert (await answer.json())["examples"] == [[3, 3, 0], [3, 25, 2]]
            status, state = await post("export", {})
            assert status == 200 and sorted(map(Path, state["written"])) == sorted(tmp_path.glob("out/*"))

    with served(session, tmp_path / "out") as address:
        assert address.startswith("http://127.0.0.1:")
        asyncio.run(ask(address))


def test_the_command_serves_until_it_is_interrupted(embeddings: Path, tmp_path: Path) -> None:
    arguments = [str(embeddings), "--classes", ",".join(NAMES), "-o", str(tmp_path / "out"), "--port", "0"]
    with subprocess.Popen(
        [sys.executable, "-m", "skyweave", "label", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("http://127.0.0.1:")
        process.terminate()
        _, errors = process.communicate(timeout=60)
    assert "labels are in" in errors and "Traceback" not in errors


@pytest.mark.parametrize(
    ("classes", "message"), [("a", "2 to 12 different names"), ("a,a", "different names"), ("a,b", "no such file")]
)
def test_mistakes_are_one_line(
    embeddings: Path, tmp_path: Path, classes: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = embeddings if message != "no such file" else tmp_path / "nothing.tif"
    assert main(["label", str(file), "--classes", classes, "-o", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.realdata
@pytest.mark.timeout(900)
@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_thirty_clicks_in_a_browser_make_a_land_cover_map(data_dir: Path, tmp_path: Path) -> None:
    """One click of each class of a real scene, then answers to questions; and an assessment of the map."""
    from sklearn.ensemble import RandomForestClassifier

    import skyweave
    from headless import Browser

    folder, place = data_dir / "s1_s2_terramesh", "282D_485L_3_3.tif"
    sensor = skyweave.get_sensor("sentinel2-l2a")
    scene, output = folder / "S2L2A" / place, tmp_path / "features.tif"
    skyweave.embed_scene(scene, output, skyweave.load("tiny"), sensor, unit="dn", bands="sensor")
    with rasterio.open(folder / "LULC" / place) as source:
        blocks = source.read(1).reshape(28, 8, 28, 8).swapaxes(1, 2).reshape(28, 28, 64)
    values, counts = np.unique(blocks, return_counts=True)
    kinds = [int(value) for value in values[np.argsort(-counts)][:3]]
    shares = np.stack([(blocks == kind).mean(2) for kind in kinds])
    truth = shares.argmax(0)
    session = LabelSession(build_archive([open_patches(output)])[0], ("one", "two", "three"))
    page = LabelPage(session, render_scene(scene, session.places, [4, 3, 2]), tmp_path / "out", "features.tif")

    async def label(address: str) -> None:
        async with Browser(str(CHROMIUM), tmp_path) as browser:
            await browser.open(address)
            await browser.until("state !== null && scene.naturalWidth > 0", PATIENCE_S)
            for kind, share in enumerate(shares):
                row, column = np.unravel_index(share.argmax(), share.shape)
                await browser.key(str(kind + 1))
                await browser.run("fit()")
                await click_patch(browser, int(row), int(column))
                await browser.until(f"state.examples.length === {kind + 1}", PATIENCE_S)
            for number in range(3, 30):
                await browser.key("n")
                row, column = await browser.run("mark")
                await browser.key(str(truth[row, column] + 1))
                await browser.until(f"state.examples.length === {number + 1} && classMap.complete", PATIENCE_S)
            await browser.run("$('count').value = 20; $('sample').click()")
            await browser.until("state.sample !== null && state.sample[current] !== undefined", PATIENCE_S)
            for number in range(len(await browser.run("state.sample"))):
                row, column, _ = await browser.run("state.sample[current]")
                await browser.key(str(truth[row, column] + 1))
                await browser.until(f"state.sample.filter((s) => s[2] >= 0).length === {number + 1}", PATIENCE_S)
                await browser.run("queue")
            await browser.until("$('accuracy').textContent.includes('±')", PATIENCE_S)
            await browser.run("$('export').click()")
            await browser.until("$('status').textContent.includes('areas.json')", PATIENCE_S)
            assert browser.complaints == [], browser.complaints

    with serve_in_thread(page.create_app(), LOCAL_HOST, 0) as address:
        asyncio.run(label(address))
    with rasterio.open(tmp_path / "out" / "map.tif") as source:
        mapped = source.read(1).astype(int) - 1
    kept = np.ones((28, 28), bool)
    for number in session.examples:
        kept[divmod(int(session.places.cells[number]), 28)] = False
    accuracy = (mapped == truth)[kept].mean()
    largest = np.bincount(truth[kept]).max() / kept.sum()
    with rasterio.open(scene) as source:
        bands = source.read().astype(float).reshape(-1, 28, 8, 28, 8).mean((2, 4)).transpose(1, 2, 0)
    forest = RandomForestClassifier(100, random_state=0).fit(bands[~kept], truth[~kept])
    of_forest = (forest.predict(bands[kept]) == truth[kept]).mean()
    print(
        f"accuracy on {kept.sum()} kept patches {accuracy:.3f}; of the largest class alone {largest:.3f}, of a random "
        f"forest on the bands with the same clicks {of_forest:.3f}"
    )
    assert len(session.examples) == 30 and accuracy > largest + 0.1 and accuracy > of_forest
    assert "confidence_interval" in json.loads((tmp_path / "out" / "areas.json").read_text())["classes"][0]


async def click_patch(browser: Any, row: int, column: int) -> None:
    u, v = await browser.run(
        f"(() => {{ const box = canvas.getBoundingClientRect(); const [u, v] = toCanvas({column} + 0.5, {row} + 0.5);"
        " return [box.left + u, box.top + v]; })()"
    )
    for kind in ("mousePressed", "mouseReleased"):
        await browser.call("Input.dispatchMouseEvent", type=kind, x=u, y=v, button="left", clickCount=1)
