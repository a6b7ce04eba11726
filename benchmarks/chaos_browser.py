"""The page in a browser that is looked at while it is attacked."""

import asyncio
import importlib
import re
import sys
import threading
from pathlib import Path
from typing import Any, Self

from chaos_invariants import demand

GONE = re.compile("status of 404 .*/camera/")  # a thumbnail that made room for another before it was fetched
MAX_UNDERSTATED_S = 1.0  # by which a page may say that something is younger than it is: two clocks, read in turns


class ShownPage:
    """The page in a browser, looked at once a second: what it says must hold.

    Args:
        program: the browser.
        folder: for its profile.
        address: of the page.
        platform: an honest one.
        max_age: of it in what is shown as live, seconds.
    """

    def __init__(self, program: str, folder: Path, address: str, platform: str, max_age: float) -> None:
        self.platform, self.max_age = platform, max_age
        self.looks, self.live, self.oldest_live, self.faults = 0, 0, 0.0, list[str]()
        self.stop = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self._watch(program, folder, address)), daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop.set()
        self.thread.join(30)

    def report(self) -> dict[str, Any]:
        """Return what was seen; raises `Violation` where the page said what was not so."""
        demand(self.thread.is_alive(), "the browser has ended")
        demand(not self.faults, f"the browser: {self.faults[:3]}")
        demand(self.live > 0, f"the page was never live in {self.looks} looks")
        return {"looks": self.looks, "live": self.live, "oldest that was live (s)": round(self.oldest_live, 1)}

    async def _watch(self, program: str, folder: Path, address: str) -> None:
        sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
        async with importlib.import_module("headless").Browser(program, folder) as browser:
            await browser.open(address)
            await browser.until("document.getElementById('connection')?.textContent === 'live'", 60)
            while not self.stop.is_set():
                await asyncio.sleep(1.0)
                await self._look(browser)

    async def _look(self, browser: Any) -> None:
        """Compare what the page says with the clock."""
        scene = f"state.platforms[{self.platform!r}]"
        says, age, said_age = await browser.run(
            f"[document.getElementById('connection').textContent, {scene} ? Date.now() / 1e3 - {scene}.time : 1e9, "
            f"{scene} ? age({self.platform!r}) : 1e9]"
        )
        self.looks += 1
        if says == "live":
            self.live += 1
            self.oldest_live = max(self.oldest_live, age)
            if age > self.max_age:
                self.faults.append(f"live, and {self.platform} is {age:.1f} s old")
        if age - said_age > MAX_UNDERSTATED_S:
            self.faults.append(f"{self.platform} is {age:.1f} s old, and shown as {said_age:.1f} s old")
        self.faults += [complaint for complaint in browser.complaints if not GONE.search(complaint)]
