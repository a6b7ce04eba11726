"""Chromium without a screen, by its DevTools protocol: enough to look at a page in tests."""

import asyncio
import contextlib
import json
import time
from pathlib import Path
from typing import Any, Self

from aiohttp import ClientSession, ClientWebSocketResponse


class Browser:
    """One page. ``complaints`` holds what its console said in red, and its errors."""

    def __init__(self, program: str, folder: Path) -> None:
        self.program, self.folder = program, folder
        self.complaints: list[str] = []
        self._number = 0
        self._answers: dict[int, asyncio.Future[Any]] = {}

    async def __aenter__(self) -> Self:
        self.process = await asyncio.create_subprocess_exec(
            self.program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--remote-debugging-port=0", f"--user-data-dir={self.folder / 'profile'}", "--window-size=800,600",
            "about:blank", stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        file = self.folder / "profile" / "DevToolsActivePort"
        end = time.monotonic() + 120  # a loaded machine may take its time
        while not (file.exists() and "\n" in file.read_text()):
            assert time.monotonic() < end, "the browser does not start"
            await asyncio.sleep(0.05)
        port = file.read_text().splitlines()[0]
        self.session = ClientSession()
        async with self.session.get(f"http://127.0.0.1:{port}/json/list") as answer:
            pages = json.loads(await answer.text())
        address = next(page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page")
        self.socket: ClientWebSocketResponse = await self.session.ws_connect(address, max_msg_size=0)
        self.listening = asyncio.create_task(self._listen())
        for domain in ("Page", "Runtime", "Log"):
            await self.call(f"{domain}.enable")
        return self

    async def __aexit__(self, *error: object) -> None:
        self.listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.listening
        await self.socket.close()
        await self.session.close()
        self.process.terminate()
        await self.process.wait()

    async def call(self, method: str, **arguments: Any) -> Any:
        self._number += 1
        answer = self._answers[self._number] = asyncio.get_running_loop().create_future()
        await self.socket.send_str(json.dumps({"id": self._number, "method": method, "params": arguments}))
        return await asyncio.wait_for(answer, 60)

    async def open(self, address: str) -> None:
        await self.call("Page.navigate", url=address)
        await self.until("document.readyState === 'complete'", 60)

    async def run(self, expression: str) -> Any:
        found = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, replMode=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    async def until(self, expression: str, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(AssertionError):
                if await self.run(expression):
                    return
            await asyncio.sleep(0.1)
        raise AssertionError(f"not within {seconds:.0f} s: {expression}")

    async def key(self, key: str) -> None:
        text = {"text": key} if len(key) == 1 else {}
        await self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        await self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    async def _listen(self) -> None:
        async for message in self.socket:
            content = json.loads(message.data)
            if "id" in content:
                answer = self._answers.pop(content["id"])
                if not answer.done():
                    answer.set_result(content.get("result", {}))
            elif content["method"] == "Runtime.exceptionThrown":
                self.complaints.append(str(content["params"]["exceptionDetails"]))
            elif content["method"] == "Log.entryAdded" and content["params"]["entry"]["level"] == "error":
                entry = content["params"]["entry"]
                self.complaints.append(f"{entry['text']} {entry.get('url', '')}".rstrip())
            elif content["method"] == "Runtime.consoleAPICalled" and content["params"]["type"] == "error":
                self.complaints.append(str(content["params"]["args"]))
