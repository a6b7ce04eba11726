"""The page on which somebody labels: state and commands as JSON, images as PNG; to this machine only.

Who may ask is checked by `skyweave.core.http_server`: a page of another site is refused, by its origin and by the host
name that it asks for. What is written lies in one folder, under names that nobody can choose.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
from aiohttp import web

from skyweave.core.errors import ConfigError
from skyweave.core.http_server import HEADERS
from skyweave.core.images.png import encode_png
from skyweave.search.labelling.label_files import export_results, hex_colour, save_labels
from skyweave.search.labelling.session import COLOURS, LabelSession

PAGE_FOLDER = Path(__file__).with_name("page")
FILES = {
    "/": ("index.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
MAX_BODY_BYTES = 4096
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Action = Callable[[dict[str, Any]], dict[str, Any] | None]


class LabelPage:
    """Answers the page.

    Args:
        session: that the page shows and changes.
        scene: (rows, columns, 3) uint8, over exactly the ground of the grid.
        folder: to write labels and exports into.
        name: of the file of embeddings.
    """

    def __init__(self, session: LabelSession, scene: np.ndarray, folder: Path, name: str) -> None:
        self._session, self._folder, self._name = session, folder, name
        self._scene = encode_png(scene)
        self._lock = asyncio.Lock()

    def create_app(self) -> web.Application:
        """Return the application: ``/state``, ``/scene.png``, ``/map.png`` and ``/doubt.png``, and commands by POST."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        for path, (file, content_type) in FILES.items():
            app.router.add_get(path, _file_handler(file, content_type))
        app.router.add_get("/state", self._get_state)
        app.router.add_get("/scene.png", self._image_handler(lambda: self._scene))
        app.router.add_get("/map.png", self._image_handler(self._render_map))
        app.router.add_get("/doubt.png", self._image_handler(self._render_doubt))
        actions: dict[str, Action] = {
            "/example": self._set_example,
            "/sample": self._start_assessment,
            "/reference": self._set_reference,
            "/end": self._end_assessment,
            "/export": self._export,
        }
        for path, action in actions.items():
            app.router.add_post(path, self._action_handler(action))
        return app

    async def _get_state(self, request: web.Request) -> web.Response:
        async with self._lock:
            return web.json_response(await asyncio.to_thread(self._session.describe), headers=HEADERS)

    def _image_handler(self, render: Callable[[], bytes]) -> Handler:
        async def get_image(request: web.Request) -> web.Response:
            async with self._lock:
                image = await asyncio.to_thread(render)
            return web.Response(body=image, content_type="image/png", headers=HEADERS)

        return get_image

    def _action_handler(self, action: Action) -> Handler:
        """Return a handler that changes the session, saves it, and answers with its state."""

        def work(fields: dict[str, Any]) -> dict[str, Any]:
            extra = action(fields) or {}
            save_labels(self._session, self._folder, self._name)
            return self._session.describe() | extra

        async def post(request: web.Request) -> web.Response:
            if request.content_type != "application/json":
                raise web.HTTPUnsupportedMediaType
            try:
                fields = json.loads(await request.text())
                if not isinstance(fields, dict):
                    raise TypeError
                async with self._lock:
                    state = await asyncio.to_thread(work, fields)
            except ConfigError as error:
                return web.json_response({"error": str(error)}, status=409, headers=HEADERS)
            except (ValueError, KeyError, TypeError):
                raise web.HTTPBadRequest(text="no command of this page\n") from None
            return web.json_response(state, headers=HEADERS)

        return post

    def _set_example(self, fields: dict[str, Any]) -> None:
        number = self._session.number_at(_integer(fields["row"]), _integer(fields["column"]))
        if number is None:
            raise ConfigError("there is no patch with features at this place")
        self._session.set_example(number, None if fields["class"] is None else _integer(fields["class"]))

    def _start_assessment(self, fields: dict[str, Any]) -> None:
        self._session.start_assessment(_integer(fields["count"]), _integer(fields.get("seed", 0)))

    def _end_assessment(self, fields: dict[str, Any]) -> None:
        self._session.end_assessment()

    def _set_reference(self, fields: dict[str, Any]) -> None:
        self._session.set_reference(_integer(fields["index"]), _integer(fields["class"]))

    def _export(self, fields: dict[str, Any]) -> dict[str, Any]:
        written = export_results(self._session, self._folder, self._name)
        return {"written": [str(self._folder / name) for name in written]}

    def _render_map(self) -> bytes:
        """Return the classes in their colours, transparent where there is no patch or no map yet."""
        palette = np.array([hex_colour(colour) for colour in COLOURS], np.uint8)
        image = np.zeros((self._session.places.shape[0] * self._session.places.shape[1], 4), np.uint8)
        if self._session.prediction is not None:
            image[self._session.places.cells] = palette[self._session.prediction.classes]
        return encode_png(image.reshape(*self._session.places.shape, 4))

    def _render_doubt(self) -> bytes:
        """Return white, the more opaque the less certain the classifier is."""
        image = np.full((self._session.places.shape[0] * self._session.places.shape[1], 4), 255, np.uint8)
        image[:, 3] = 0
        if self._session.prediction is not None:
            margins = self._session.prediction.margins
            image[self._session.places.cells, 3] = np.round(255 * (1 - margins)).astype(np.uint8)
        return encode_png(image.reshape(*self._session.places.shape, 4))


def _integer(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("no integer")
    return value


def _file_handler(name: str, content_type: str) -> Handler:
    async def get_file(request: web.Request) -> web.Response:
        return web.Response(text=(PAGE_FOLDER / name).read_text("utf-8"), content_type=content_type, headers=HEADERS)

    return get_file
