"""The report: one self-contained HTML page."""

import base64
import html
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

import skyweave
from skyweave.backbone import ModelCard
from skyweave.core.atomic_write import write_aside
from skyweave.core.images.png import encode_png
from skyweave.demo.collection import collect_chapters, find_imagery
from skyweave.demo.crossing import CrossingFigures, make_crossing_figures, simulate_crossing
from skyweave.demo.fleet import FleetFigures, check_fleet, run_demo_fleet
from skyweave.demo.perception import PerceptionFigures, make_perception_figures, simulate_unseen_scenes
from skyweave.demo.sensor_chapter import ChapterFigures, ImageFigures, make_chapter_figures
from skyweave.fleet.supervisor.fork_server import preload_libraries
from skyweave.perception.weights import load_perception
from skyweave.pretraining.weights import load_autoencoder

PERCEPTION = "crossing"  # shipped weights


@dataclass(frozen=True)
class DemoReport:
    """What was written: the page, the sensors shown from real and from procedural images, and their errors.

    ``errors`` is, for each chapter, the mean error of its reconstructions and that of the mean of what was visible;
    ``scores`` of perception by metric, of one platform alone and of all together; ``fleet`` what a fleet of processes
    did, by name; None where none was run.
    """

    path: Path
    real: tuple[str, ...]
    procedural: tuple[str, ...]
    errors: dict[str, tuple[float, float]]
    scores: dict[str, tuple[float, float]]
    fleet: dict[str, float] | None = None


def write_report(
    folder: str | Path,
    weights: str | Path = "tiny",
    data: str | Path | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    perception: str | Path = PERCEPTION,
    fleet_seconds: float = 0.0,
    port: int | None = None,
    report_status: Callable[[str], None] = lambda text: None,
) -> DemoReport:
    """Embed and reconstruct imagery of every sensor and write ``folder/report.html``.

    Args:
        folder: where to; made if need be.
        weights: a shipped name or a checkpoint that holds its decoder.
        data: folder of real imagery; default as ``find_imagery``. Sensors without any show procedural scenes.
        progress: called with (chapter, done, total).
        perception: a shipped name or a checkpoint of a perception model.
        fleet_seconds: for which a fleet of processes runs at least; 0: none.
        port: of the fleet's live page; None: the usual one, or any that is free.
        report_status: called with what the fleet does, a line each.

    Raises:
        ValueError: among others, a fleet that cannot run here; said before anything is done.
        TimeoutError: a fleet that does not come together.
    """
    if fleet_seconds:
        check_fleet(port)
        preload_libraries()
    report_progress = progress or _ignore_progress
    imagery = find_imagery(data)
    model, card = load_autoencoder(weights)
    chapters = collect_chapters(imagery)
    pages, total = [], len(chapters) + 2 + bool(fleet_seconds)
    for number, chapter in enumerate(chapters):
        report_progress(chapter.title, number, total)
        pages.append(make_chapter_figures(chapter, model))
    report_progress("a simulated crossing", len(chapters), total)
    crossing = make_crossing_figures(simulate_crossing(), model.backbone)
    report_progress("three tasks", len(chapters) + 1, total)
    perceived = make_perception_figures(simulate_unseen_scenes(), load_perception(perception))
    fleet = None
    if fleet_seconds:
        report_progress("a fleet", len(chapters) + 2, total)
        fleet = run_demo_fleet(perception, port, min_seconds=fleet_seconds, report_status=report_status)
    path = Path(folder) / "report.html"
    parameters = sum(parameter.numel() for parameter in model.backbone.parameters())
    with write_aside(path) as aside:
        aside.write_text(render_page(pages, card, parameters, crossing, perceived, fleet), encoding="utf-8")
    titles = {real: tuple(c.title for c in chapters if c.real is real) for real in (True, False)}
    errors = {page.chapter.title: _mean_errors(page) for page in pages}
    figures = None if fleet is None else fleet.figures()
    return DemoReport(path, titles[True], titles[False], errors, perceived.scores, figures)


def _ignore_progress(title: str, done: int, total: int) -> None:
    """Report nothing."""


def _mean_errors(page: ChapterFigures) -> tuple[float, float]:
    """Return the mean error of a chapter's reconstructions, and that of the mean of what was visible."""
    return _mean([row.error for row in page.rows]), _mean([row.guess for row in page.rows])


def render_page(
    pages: list[ChapterFigures],
    card: ModelCard,
    parameters: int,
    crossing: CrossingFigures,
    perceived: PerceptionFigures,
    fleet: FleetFigures | None = None,
) -> str:
    """Return the page as HTML.

    Args:
        pages: of all sensors.
        card: of the backbone.
        parameters: of the backbone.
        crossing: the simulated frame.
        perceived: what the perception model predicts.
        fleet: what the fleet did; None where none was run.
    """
    style = (resources.files("skyweave.demo") / "report.css").read_text(encoding="utf-8")
    shown = _describe_imagery(pages)
    links = "".join(f'<a href="#{_anchor(page)}">{html.escape(page.chapter.title)}</a>' for page in pages)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Skyweave</title>
<style>
{style}</style>
</head>
<body>
<header>
<h1>One backbone for every sensor</h1>
<p class="lead">The same {parameters / 1e6:.1f} million weights (<b>{html.escape(card.name)}</b>, fingerprint
<code>{html.escape(card.fingerprint)}</code>) read every image below: radar, multispectral, hyperspectral, thermal,
from orbit and from a drone. Nothing is tuned to a sensor; the model is report_status what each band measures.</p>
<p>{html.escape(shown)}</p>
<nav>{links}</nav>
</header>
<main>
{"".join(_section(page) for page in pages)}
{_crossing(crossing)}
{_perceived(perceived)}
{"" if fleet is None else _fleet(fleet)}
<section>
<h2>How to read this</h2>
<p><b>Hidden</b>: three quarters of the patches are taken away (grey). <b>Reconstruction</b>: what the model paints
there from the quarter it saw; visible patches are the input. The error is the root mean square over hidden pixels and
all bands, in standard deviations of the bands; beside it stands the error of simply painting the mean of what is
visible. <b>Principal components</b>: the first three components of the patch features as red, green and blue, shared
by the images of a sensor: like colours are like features. <b>Search</b>: a patch of the first image and the patches
most like it in the other images, by cosine; 1 is the same.</p>
</section>
</main>
<footer>Skyweave {skyweave.__version__}. Written by <code>skyweave demo</code>; times are of this machine.</footer>
</body>
</html>
"""


def _describe_imagery(pages: list[ChapterFigures]) -> str:
    """Return which chapters show real images and which procedural ones."""
    real = [page.chapter.title for page in pages if page.chapter.real]
    procedural = [page.chapter.title for page in pages if not page.chapter.real]
    shown = f"Real imagery: {', '.join(real)}. " if real else "No real imagery was found. "
    if procedural:
        shown += f"Procedural scenes, drawn by the program and measured by nobody: {', '.join(procedural)}."
    return shown


def _section(page: ChapterFigures) -> str:
    chapter = page.chapter
    kind = "real" if chapter.real else "procedural"
    searches = "".join(_search(images) for images in page.searches)
    where = "the other images" if len(page.rows) > 1 else "the same image"
    return f"""<section id="{_anchor(page)}">
<h2>{html.escape(chapter.title)} <span class="{kind}">{kind}</span></h2>
<p>{html.escape(chapter.origin)}. Embedding an image took {page.embed_seconds * 1000:.0f} ms, reconstructing it
{page.reconstruct_seconds * 1000:.0f} ms.</p>
<div class="grid">
<div class="head">Input</div><div class="head">Hidden</div><div class="head">Reconstruction</div>
<div class="head">Principal components</div>
{"".join(_row(row, chapter.title) for row in page.rows)}</div>
<h3>Search: a patch, and what is most like it in {where}</h3>
{searches}
</section>
"""


def _crossing(page: CrossingFigures) -> str:
    """The simulated moment: one row a platform, then the map."""
    rows = "".join(
        _figure(view, f"{name}: sees {page.seen.get(name, 0)} of {page.objects} objects")
        + _figure(features, f"{name}: features")
        + _figure(placed, f"{name}: on the map")
        for name, view, features, placed in zip(page.names, page.views, page.features, page.placed, strict=True)
    )
    maps = _figure(page.fused, "all platforms' features") + _figure(
        page.overview, "all pictures on the map, the objects and the views"
    )
    return f"""<section id="crossing">
<h2>One map for every platform <span class="procedural">simulated</span></h2>
<p>{len(page.names)} drones over a crossing, none of which sees everything. The backbone reads each picture; every
feature is laid where its ray meets the ground, on one grid that is fixed to the Earth, so features of different
platforms meet without any warping.</p>
<div class="grid three">
<div class="head">Picture, with the objects' boxes</div><div class="head">Principal components</div>
<div class="head">On the map</div>
{rows}</div>
<div class="grid two">
{maps}</div>
</section>
"""


def _perceived(page: PerceptionFigures) -> str:
    """What the perception model finds: alone and together."""
    views = "".join(
        _figure(view, f"{name}{' (perceives)' if number == 0 else ''}: boxes that all together find")
        for number, (name, view) in enumerate(zip(page.names, page.views, strict=True))
    )
    maps = (
        _figure(page.truth, "what is there, also where nobody looks")
        + _figure(page.ego_only, f"what {page.names[0]} finds alone")
        + _figure(page.collaborative, "what all find together")
    )
    rows = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{ego_only:.2f}</td><td>{collaborative:.2f}</td></tr>"
        for name, (ego_only, collaborative) in page.scores.items()
    )
    return f"""<section id="three-tasks">
<h2>Three tasks from one map <span class="procedural">simulated</span></h2>
<p>A crossing that the model never saw. Boxes, instances (filled) and where everything will be in the next two seconds
(white) come from one map on which the platforms' features lie; {len(page.names)} platforms took
{1000 * page.seconds:.0f} ms. What one cannot see, behind a house or out of its picture, others see for it.</p>
<div class="grid two">
{views}</div>
<div class="grid maps">
{maps}</div>
<table><tr><th>{page.samples} moments</th><th>alone</th><th>together</th></tr>{rows}</table>
</section>
"""


def _fleet(page: FleetFigures) -> str:
    """What a fleet of processes did."""
    rows = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{sent:.0f}</td><td>{sent * 8 / page.pace / 1000:.1f}</td></tr>"
        for name, sent in page.bytes_sent.items()
    )
    return f"""<section id="fleet">
<h2>A fleet that runs <span class="procedural">simulated</span></h2>
<p>{len(page.names)} processes, one a platform, each with its own cameras and the same weights, sent each other over
Zenoh on this machine {"coded features and boxes" if page.features else "the boxes that they found"}, for
{page.seconds:.0f} seconds at a frame every {page.pace:g} s. Each made its own
picture of what all of them see. {page.scenes} of {page.expected} pictures were made, with {page.whole:.1f} others'
frames in each; {page.starting:.0f} s after they were started all heard all.</p>
{_figure(page.image, "the fleet at its end, as its live page draws it: footprints, boxes, forecasts, links")}
<table><tr><th>mean average precision</th><th></th></tr>
<tr><th>each platform alone</th><td>{page.ego_only:.2f}</td></tr>
<tr><th>the fleet, live</th><td>{page.collaborative:.2f}</td></tr>
<tr><th>the same frames, all messages at once</th><td>{page.offline:.2f}</td></tr></table>
<table><tr><th>sent by</th><th>bytes a frame</th><th>kbit/s to each other</th></tr>{rows}</table>
<table><tr><th>from capture to picture</th><th></th></tr>
<tr><th>half of them within</th><td>{page.latency[0]:.2f} s</td></tr>
<tr><th>99 of 100 within</th><td>{page.latency[1]:.2f} s</td></tr></table>
<p>Against everything that any of them sees. Latency is of this machine, which runs all of them.</p>
</section>
"""


def _figure(image: np.ndarray, caption: str) -> str:
    return f"<figure>{_image(image, caption)}<figcaption>{html.escape(caption)}</figcaption></figure>\n"


def _row(row: ImageFigures, title: str) -> str:
    captions = (
        row.note,
        "three quarters hidden",
        f"error {row.error:.2f}; painting the mean: {row.guess:.2f}",
        f"{row.components.shape[0]} x {row.components.shape[1]} patches",
    )
    images = (row.image, row.masked, row.reconstruction, row.components)
    cells = (
        f"<figure>{_image(image, f'{title}: {caption}')}<figcaption>{caption}</figcaption></figure>\n"
        for image, caption in zip(images, captions, strict=True)
    )
    return "".join(cells)


def _search(images: list[tuple[np.ndarray, float]]) -> str:
    (query, _), *matches = images
    cells = [f'<figure class="query">{_image(query, "query patch")}<figcaption>query</figcaption></figure>']
    cells += [
        f"<figure>{_image(image, 'similar patch')}<figcaption>{similarity:.2f}</figcaption></figure>"
        for image, similarity in matches
    ]
    return f'<div class="search">{"".join(cells)}</div>\n'


def _image(image: np.ndarray, text: str) -> str:
    data = base64.b64encode(encode_png(image)).decode("ascii")
    return f'<img src="data:image/png;base64,{data}" alt="{html.escape(text)}">'


def _anchor(page: ChapterFigures) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in page.chapter.title.lower())


def _mean(values: list[float]) -> float:
    return float(np.mean(values))
