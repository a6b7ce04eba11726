"""The live page in a real browser, driven as an operator would: mouse, keys, fingers, a tablet's size."""

import asyncio
import io
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

pytest.importorskip("zenoh", reason="needs skyweave[link]")

from fabricated_page import NOW, box, scene, view, write_recording
from headless import Browser
from skyweave.core.http_server import LOCAL_HOST, serve_in_thread
from skyweave.fleet.dashboard.page_server import create_app
from skyweave.fleet.dashboard.state import DashboardState
from skyweave.fleet.link.messages import CameraImage

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SECONDS = 60.0  # a loaded machine may take its time
EAST, NORTH = 691_000.0, 5_334_000.0
MAX_ALARM_S = 2.0
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")]


class Nodes:
    """Two nodes that see one car drive east: they publish until they are silenced."""

    def __init__(self, state: DashboardState) -> None:
        self.state, self.silent = state, set[str]()
        stream = io.BytesIO()
        Image.new("RGB", (200, 100), (90, 120, 90)).save(stream, "JPEG")
        self.jpeg, self.last = stream.getvalue(), dict[str, float]()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._publish)

    def __enter__(self) -> "Nodes":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _publish(self) -> None:
        started, sequence = time.time(), 0
        while not self._stop.wait(0.25):
            now, sequence = time.time(), sequence + 1
            x = EAST - 10 + 2 * ((now - started) % 20)
            car = box("1", x, NORTH, velocity=(2.0, 0.0), observers=("UAV_1",), covariance=(1.0, 0.0, 0.25))
            parked = box("2", EAST, NORTH + 9, category="truck", observers=("UAV_1", "UAV_2"))
            for number, name in enumerate(("UAV_1", "UAV_2")):
                if name in self.silent:
                    continue
                position = (EAST + 5 * number, NORTH + 2, 20.0)
                footprint = tuple((EAST + a, NORTH + b) for a, b in ((-20, -10), (20, -10), (20, 10), (-20, 10)))
                seen = view(position=position, footprint=footprint)
                self.state.on_message(name)
                self.state.on_scene(scene(name, now - NOW, car, parked, sequence=sequence, views=(seen,)), 0.01)
                self.state.on_camera(CameraImage(name, "CAM", self.jpeg, 100, 200, sequence))
                self.last[name] = now


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    with Nodes(DashboardState("test")) as published:
        yield published


def drive(app: Any, tmp_path: Path, steps: Any, **size: int) -> None:
    """Open a page in a browser of a tablet's size and run steps on it; nothing may be complained of."""

    async def run(address: str) -> None:
        async with Browser(str(CHROMIUM), tmp_path) as browser:
            values = {"width": 1024, "height": 768, "deviceScaleFactor": 1, "mobile": False, **size}
            await browser.call("Emulation.setDeviceMetricsOverride", **values)
            await browser.open(address)
            await steps(browser)
            assert browser.complaints == [], browser.complaints

    with serve_in_thread(app, LOCAL_HOST, 0) as address:
        asyncio.run(run(address))


async def click(browser: Browser, x: str, y: str) -> None:
    """Click a place of the map, given in metres as JavaScript."""
    u, v = await browser.run(
        f"toCanvas({x}, {y}).map((w, i) => w + canvas.getBoundingClientRect()[i ? 'top' : 'left'])"
    )
    for kind in ("mousePressed", "mouseReleased"):
        await browser.call("Input.dispatchMouseEvent", type=kind, x=u, y=v, button="left", clickCount=1)


async def touch(browser: Browser, kind: str, *points: tuple[float, float]) -> None:
    listed = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
    await browser.call("Input.dispatchTouchEvent", type=kind, touchPoints=listed)


async def fits(browser: Browser) -> bool:
    """Whether nothing of the page lies beside the window, and the map has room."""
    whole = "document.documentElement.scrollWidth <= innerWidth"
    aside = "document.querySelector('aside').scrollWidth <= document.querySelector('aside').clientWidth + 1"
    return bool(await browser.run(f"{whole} && {aside} && canvas.clientWidth >= 500 && canvas.clientHeight >= 400"))


def test_an_operator_selects_follows_and_hears_of_a_lost_node(nodes: Nodes, tmp_path: Path) -> None:
    async def work(browser: Browser) -> None:
        await browser.until("document.getElementById('connection').textContent === 'live'", SECONDS)
        await browser.until("state.common.length === 2 && viewport.scale > 1", SECONDS)
        assert await fits(browser)
        # a state that took five seconds longer to come than others is shown as five seconds older
        held_up = "JSON.stringify({...state, written: performance.now() / 1000 - Math.min(...delays) - 5})"
        assert await browser.run(f"receive({held_up}), showAge(), age('UAV_1')") >= 5.0
        assert "NOT LIVE" in await browser.run("receive(" + held_up + "), showAge(), $('connection').textContent")
        # select: the pointer, then who sees it and what is known of it
        await click(browser, str(EAST), str(NORTH + 9))
        await browser.until("selected === 'UAV_1-2'", SECONDS)
        await browser.key("n")
        await browser.until("selected === 'UAV_1-1'", SECONDS)
        shown = await browser.run("$('properties').innerText.replaceAll('\\n', ' ')")
        assert "car" in shown and "7 km/h" in shown and "90 %" in shown and "° N" in shown, shown
        seers = await browser.run("[...$('seers').children].map((item) => item.textContent)")
        assert seers == ["UAV_1 sees it, its track 1", "UAV_2 has it from others, its track 1"]
        # follow: the map stays over it while it moves, until it is moved by hand
        await browser.key("o")
        before = await browser.run("viewport.x")
        await browser.until(f"following && Math.abs(viewport.x - ({before})) > 1", SECONDS)
        assert await browser.run("Math.abs(viewport.x - selectedObject().centre[0]) < 0.01")
        await browser.key("ArrowLeft")
        assert await browser.run("!following")
        # what the pointer is on, in degrees and metres; boxes on the cameras' images; the mosaic beneath
        await browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=300, y=300)
        pointer = await browser.run("$('pointer').textContent")
        assert "48.1" in pointer and "° E" in pointer and "m N" in pointer
        await browser.until("document.querySelectorAll('figure path.selected').length >= 1", SECONDS)
        await browser.until("[...tiles.values()].some((tile) => tile.image)", SECONDS)
        # fingers: one moves the map, two bring it nearer
        at = await browser.run("[viewport.x, viewport.scale]")
        await touch(browser, "touchStart", (300, 300))
        await touch(browser, "touchMove", (250, 300))
        await touch(browser, "touchEnd")
        assert await browser.run("viewport.x") > at[0]
        await touch(browser, "touchStart", (250, 300), (300, 300))
        await touch(browser, "touchMove", (200, 300), (350, 300))
        await touch(browser, "touchEnd")
        assert await browser.run("viewport.scale") > 1.5 * at[1]
        # a node is lost, and comes back
        nodes.silent.add("UAV_2")
        await browser.until("!$('alarm').hidden && $('alarm-text').textContent.startsWith('UAV_2 is lost')", SECONDS)
        raised = await browser.run("state.events.find((event) => event.kind === 'lost').time")
        assert raised - nodes.last["UAV_2"] < MAX_ALARM_S
        assert await browser.run("document.title.includes('alarm')")
        assert await browser.run("state.lost[0].platform") == "UAV_2"
        await browser.key("a")
        assert await browser.run("$('alarm').hidden")
        nodes.silent.clear()
        await browser.until("state.events[0].kind === 'back' && !state.lost.length", SECONDS)
        assert "UAV_2 is back" in await browser.run("$('events').innerText")
        # the other way round a tablet is held
        values = {"width": 768, "height": 1024, "deviceScaleFactor": 1, "mobile": False}
        await browser.call("Emulation.setDeviceMetricsOverride", **values)
        await browser.until("innerWidth === 768", SECONDS)
        assert await fits(browser)

    drive(create_app(nodes.state), tmp_path, work)


def test_what_comes_too_often_is_not_asked_for_as_often(nodes: Nodes, tmp_path: Path) -> None:
    """Eight cameras as fast as they may: each browser fetched 80 images a second, and all tiles five times."""
    stop = threading.Event()

    def flood() -> None:
        sequence = 0
        while not stop.wait(0.05):
            sequence += 1
            nodes.state.on_scene(scene("UAV_3", time.time() - NOW, sequence=sequence), 0.01)
            for channel in range(8):
                nodes.state.on_camera(CameraImage("UAV_3", f"C{channel}", nodes.jpeg, 100, 200, sequence))

    def asked(what: str) -> str:
        names = "performance.getEntriesByType('resource').map((entry) => entry.name.split('?')[0])"
        return f"{names}.filter((name) => name.includes('{what}')).sort()"

    async def work(browser: Browser) -> None:
        await browser.until("shownCameras.size === 10 && [...tiles.values()].some((tile) => tile.image)", SECONDS)
        await browser.run("performance.setResourceTimingBufferSize(10000), performance.clearResourceTimings()")
        before = await browser.run("performance.now()")
        await asyncio.sleep(4)
        seconds = (await browser.run("performance.now()") - before) / 1000
        for what, period in (("/camera/UAV_3/", 0.4), ("/ground/", 1.0)):
            names = await browser.run(asked(what))
            most = max(map(names.count, names))
            assert 1 <= most <= seconds / period + 1, f"{what}: {most} times in {seconds:.1f} s"
        numbers = await browser.run("[...shownCameras.values()].map((shown) => [shown.number, shown.image.src])")
        assert all(source.endswith(f"?{number}") for number, source in numbers)

    flooding = threading.Thread(target=flood)
    flooding.start()
    try:
        drive(create_app(nodes.state), tmp_path, work)
    finally:
        stop.set()
        flooding.join()


def test_a_replay_is_scrubbed(tmp_path: Path) -> None:
    pytest.importorskip("mcap", reason="needs skyweave[record]")
    from skyweave.fleet.dashboard.replay_player import ReplayPlayer

    player, stop = ReplayPlayer(write_recording(tmp_path / "fleet.mcap")), threading.Event()
    playing = threading.Thread(target=player.run, args=(stop,))

    async def work(browser: Browser) -> None:
        await browser.until("state?.replay && !$('replay').hidden && state.common.length === 1", SECONDS)
        await browser.until("$('connection').textContent.startsWith('REPLAY')", SECONDS)
        await browser.key(" ")
        await browser.until("!state.replay.playing", SECONDS)
        for seconds in (25, 5, 35):
            await browser.run(f"$('slider').value = {seconds}; $('slider').dispatchEvent(new Event('input'))")
            await browser.until(f"Math.abs(state.replay.position - state.replay.begin - {seconds}) < 0.1", SECONDS)
            await browser.until(f"Math.abs(state.common[0]?.centre[0] - {2 * seconds}) < 2", SECONDS)
            assert await browser.run("$('alarm').hidden") == (seconds != 25)
        assert await browser.run("$('marks').children.length") == 1
        await browser.run("$('slider').dispatchEvent(new Event('change'))")
        await browser.key(",")
        await browser.until("Math.abs(state.replay.position - state.replay.begin - 30) < 0.1", SECONDS)
        await browser.key(" ")
        await browser.until("state.replay.playing && state.replay.position > state.replay.begin + 31", SECONDS)

    playing.start()
    try:
        drive(create_app(player.state, control=player.control), tmp_path, work)
    finally:
        stop.set()
        playing.join()
