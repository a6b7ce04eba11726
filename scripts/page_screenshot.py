"""The live page as an image, for the README and docs/fleet.md: a fleet of four is run, and a browser looks at it.

    python scripts/page_screenshot.py                  # docs/images/fleet.webp
    python scripts/page_screenshot.py -o page.webp --seconds 30

Needs Chromium, and the recording of configs/fleet/crossing.yaml, which is simulated where it is missing.
"""

import argparse
import asyncio
import base64
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "tests"))

CONFIG, WORLD = REPOSITORY / "configs" / "fleet" / "crossing.yaml", REPOSITORY / "configs" / "world" / "hidden.yaml"
WIDTH, HEIGHT = 1280, 940
MAX_BYTES = 150_000
PORT = 7950
# The fastest of the objects that most platforms see is selected, and the map is brought nearer.
SELECT = (
    "select(state.common.toSorted((a, b) => b.observers.length - a.observers.length || b.speed - a.speed)[0].identity);"
    "zoom(1.25)"
)


def main() -> None:
    """Run a fleet, look at its page, and write the image."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=REPOSITORY / "docs" / "images" / "fleet.webp")
    parser.add_argument("--recording", type=Path, default=REPOSITORY / "recordings" / "hidden")
    parser.add_argument("--seconds", type=float, default=20.0, help="that the fleet runs before")
    args = parser.parse_args()
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        sys.exit("needs chromium")
    if not args.recording.exists():
        skyweave("simulate", str(WORLD), "-o", str(args.recording), "--scenes", "1", "--frames", "40")
    with tempfile.TemporaryDirectory() as folder:
        changes = [f"state={folder}/state", f"port={PORT}", f"node.source.path={args.recording.resolve()}"]
        changes.append("node.sinks=[scene, {kind: cameras, interval: 0.5}]")
        skyweave("fleet", "up", str(CONFIG), "--detach", *(part for change in changes for part in ("--set", change)))
        try:
            image = asyncio.run(capture(browser, Path(folder), args.seconds))
        finally:
            skyweave("fleet", "down", f"{folder}/state")
    if len(image) > MAX_BYTES:
        sys.exit(f"the image has {len(image)} bytes, more than {MAX_BYTES}")
    args.output.write_bytes(image)
    print(f"{args.output}: {len(image)} bytes")


def skyweave(*arguments: str) -> None:
    """Run a command of the package."""
    subprocess.run([sys.executable, "-m", "skyweave", *arguments], check=True)


async def capture(program: str, folder: Path, seconds: float) -> bytes:
    """Return the page as WebP."""
    from headless import Browser

    command: list[Any] = [sys.executable, "-m", "skyweave", "fleet", "dashboard", "--fleet", "crossing", "--port", "0"]
    command += [part for number in range(4) for part in ("--connect", f"tcp/127.0.0.1:{PORT + number}")]
    server = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert server.stdout is not None
    try:
        address = (await server.stdout.readline()).decode().strip()
        async with Browser(program, folder) as browser:
            size = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
            await browser.call("Emulation.setDeviceMetricsOverride", **size)
            await browser.open(address)
            await browser.until("state?.common.length > 5 && state.cameras.length === 4", 120)
            await asyncio.sleep(seconds)
            await browser.run(SELECT)
            await asyncio.sleep(1.0)  # tiles of the new scale
            await browser.until("selectedObject()", 5)
            taken = await browser.call("Page.captureScreenshot", format="webp", quality=72)
            return base64.b64decode(taken["data"])
    finally:
        server.terminate()
        await server.wait()


if __name__ == "__main__":
    main()
