"""Did a redesign change a figure? Measure two checkouts of the package and compare them to the last digit.

    python benchmarks/same_figures.py measure --checkout ../before -o before.json --data ../shared/data
    python benchmarks/same_figures.py measure -o after.json --data ../shared/data
    python benchmarks/same_figures.py compare before.json after.json

Everything runs on one thread a process, so a figure does not depend on the number of cores, and through the command
line, so that one script measures checkouts whose modules differ. It takes about three minutes on two idle cores.
Figures are kept as they are, without rounding: two measurements on one machine are the same. Other processors or
libraries may differ in the last digits; `compare` notes when they are others.
"""

import argparse
import base64
import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from figure_values import flattened, hash_of_array, hash_of_raster, numbers, sha256

# Every name of the package that is relied on: what is meant, and how checkouts call it. The first that a checkout
# offers is taken: commands and options by its help, files by their being there, functions by its source
# (folder:function; the path in between is free), strategies by trying.
NAMES: dict[str, tuple[str, ...]] = {
    "command:simulate": ("simulate",),
    "command:evaluate": ("evaluate",),
    "command:probe": ("probe",),
    "command:embed": ("embed",),
    "command:demo": ("demo",),
    "option:output": ("--output",),
    "option:json": ("--json",),
    "option:data": ("--data",),
    "option:weights": ("--weights",),
    "option:scenes": ("--scenes",),
    "option:frames": ("--frames",),
    "option:seed": ("--seed",),
    "option:seeds": ("--seeds",),
    "option:split": ("--split",),
    "option:ego only": ("--alone", "--ego-only"),
    "option:strategy": ("--strategy",),
    "option:budget": ("--budget",),
    "option:chunk loss": ("--lost", "--packet-loss"),
    "option:delay": ("--late", "--delay"),
    "option:sensor": ("--sensor",),
    "option:unit": ("--unit",),
    "option:bands": ("--bands",),
    "option:storage type": ("--dtype",),
    "option:preview": ("--preview",),
    "option:fleet": ("--fleet",),
    "strategy:no fusion": ("own", "no_fusion"),
    "strategy:late fusion": ("late", "late_fusion"),
    "strategy:full features": ("all", "full_features"),
    "file:golden recipe": ("tests/wire/test_golden.py",),
    "file:golden folder": ("tests/wire/golden",),
    "file:occluded crossing": ("configs/world/hidden.yaml",),
    "file:mixed sensors": ("configs/world/mixed_sensors.yaml",),
    "file:town": ("configs/world/town.yaml",),
    "file:enmap probe": ("configs/probe/enmap_potsdam.yaml",),
    "file:radar probe": ("configs/probe/terramesh_s1.yaml",),
    "function:load backbone": ("backbone:load_backbone", "backbone:load"),
    "function:load perception": ("perception:load_perception",),
    "function:load collaboration": ("collaboration:load_collaboration",),
    "function:backbone fingerprint": ("backbone:fingerprint",),
    "function:perception fingerprint": ("perception:fingerprint",),
    "function:codec fingerprint": ("collaboration:fingerprint_of", "collaboration:codec_fingerprint"),
    "function:encode frame": ("wire:encode_frame",),
}
# Words in the JSON that commands print and in golden file names: as they are called now, and as at first.
RENAMED_FIGURES: dict[str, str] = {}

SECTIONS = ("wire", "fingerprints", "simulate", "evaluate", "probe", "embed", "demo")
NUSCENES_TABLES = ("scene", "sample", "sample_data", "ego_pose", "calibrated_sensor", "instance", "sample_annotation")
SCENE_SEED, SCENE_FRAMES = 900, 8
BUDGET_BYTES, TIGHT_BUDGET_BYTES, CHUNK_LOSS, DELAY_S = 10_000, 1000, 0.1, 0.6
S2_BANDS = "B01,B02,B03,B04,B05,B06,B07,B08,B8A,B09,B11,B12"
PRINTED = re.compile(r"\b[0-9a-f]{16}\b|(?<![\w.])-?\d+(?:\.\d+)?\b")  # fingerprints and numbers, none inside a name
Figures = dict[str, Any]
Job = tuple[str, Callable[[], Figures]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    measuring = commands.add_parser("measure", help="write all figures of a checkout as JSON")
    measuring.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.json")
    measuring.add_argument("--checkout", type=Path, default=Path(__file__).parents[1], metavar="DIR")
    measuring.add_argument("--data", type=Path, default=os.environ.get("SKYWEAVE_DATA", "../shared/data"))
    comparing = commands.add_parser("compare", help="print what differs between two files; exit code 1 if anything")
    comparing.add_argument("files", nargs=2, type=Path, metavar="FILE.json")
    for command in (measuring, comparing):
        command.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS, metavar="SECTION")
    arguments = parser.parse_args()
    if arguments.command == "compare":
        return compare(arguments.files[0], arguments.files[1], arguments.only)
    checkout = Checkout(arguments.checkout.resolve())
    figures = measure(checkout, arguments.data.resolve(), arguments.only)
    content = {"made_by": made_by(checkout), "figures": figures}
    arguments.output.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
    return 0


class Checkout:
    """The package in a folder, by its command line and under the names it has there.

    Args:
        folder: a checkout of the repository.

    Raises:
        RuntimeError: Python imports the package from elsewhere.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        self.environment = {**os.environ, **threads, "PYTHONPATH": str(folder / "src"), "COLUMNS": "200"}
        self._help: dict[str, str] = {}
        imported = self.python("-c", "import skyweave; print(skyweave.__file__)").strip()
        if not Path(imported).is_relative_to(folder):
            raise RuntimeError(f"{folder} is to be measured, but Python imports {imported}")

    def python(self, *arguments: object) -> str:
        """Run Python with the package in its path and return the standard output."""
        command = [sys.executable, *map(str, arguments)]
        done = subprocess.run(command, env=self.environment, cwd=tempfile.gettempdir(), capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr[-2000:]}")
        return done.stdout

    def inside(self, *arguments: object) -> str:
        """Run `same_figures_inside.py` with the package in its path and return the standard output."""
        return self.python(Path(__file__).resolve().with_name("same_figures_inside.py"), *arguments)

    def command(self, name: str, *arguments: object, options: dict[str, object] | None = None) -> list[str]:
        """Return the arguments of ``python`` for a command of the package; the value True stands for a switch."""
        called = self._offered(f"command:{name}", self.help())
        line = ["-m", "skyweave", called, *map(str, arguments)]
        for option, value in (options or {}).items():
            line.append(self._offered(f"option:{option}", self.help(called)))
            line += [] if value is True else [str(value)]
        return line

    def skyweave(self, name: str, *arguments: object, **options: object) -> str:
        """Run a command of the package and return the standard output; ``_`` in names of options is a space."""
        spaced = {option.replace("_", " "): value for option, value in options.items()}
        return self.python(*self.command(name, *arguments, options=spaced))

    def help(self, *command: str) -> str:
        """Return the help of the package, or of one command."""
        key = " ".join(command)
        if key not in self._help:
            self._help[key] = self.python("-m", "skyweave", *command, "--help")
        return self._help[key]

    def file(self, name: str) -> Path:
        """Return a file or folder of the repository."""
        for candidate in NAMES[f"file:{name}"]:
            if (self.folder / candidate).exists():
                return self.folder / candidate
        raise LookupError(f"{self.folder} has none of {NAMES[f'file:{name}']}; add its name to NAMES")

    def _offered(self, key: str, text: str) -> str:
        for candidate in NAMES[key]:
            if re.search(rf"(?<![\w-]){re.escape(candidate)}(?![\w-])", text):
                return candidate
        raise LookupError(f"the help of {self.folder} names none of {NAMES[key]}; add {key!r} to NAMES")


def measure(checkout: Checkout, data: Path, only: Sequence[str]) -> Figures:
    """Measure the chosen sections, two processes at a time, and return every figure by its path."""
    with tempfile.TemporaryDirectory() as name:
        chosen = [job for job in all_jobs(checkout, data, Path(name), only) if job[0].split("/")[0] in only]
        with ThreadPoolExecutor(2) as pool:
            results = list(pool.map(lambda job: (job[0], job[1]()), chosen))
    pairs = [pair for job, result in results for pair in flattened(result, job, RENAMED_FIGURES)]
    if doubled := [path for path, count in Counter(path for path, _ in pairs).items() if count > 1]:
        raise ValueError(f"{doubled[0]} is the path of two figures; give them two names in RENAMED_FIGURES")
    return dict(pairs)


def all_jobs(checkout: Checkout, data: Path, folder: Path, only: Sequence[str]) -> Iterator[Job]:
    """Yield what there is to measure, the longest first; the recording that others read is made at once."""
    recording = folder / "crossing"
    if "simulate" in only or "evaluate" in only:
        figures = simulate(checkout, "occluded crossing", recording, SCENE_FRAMES)
        yield "simulate/occluded crossing", lambda: figures
    for probe in ("enmap probe", "radar probe"):
        yield f"probe/{probe}", partial(run_probe, checkout, probe, data)
    yield "demo", partial(demo, checkout, data, folder / "demo")
    for number, (name, options) in enumerate(evaluations().items()):
        yield f"evaluate/{name}", partial(evaluate, checkout, recording, options, folder / f"messages-{number}.json")
    for world in ("mixed sensors", "town"):
        yield f"simulate/{world}", partial(simulate, checkout, world, folder / world, 2)
    for product, options in embeddings().items():
        scene = data / "s1_s2_terramesh" / product / "282D_485L_3_3.tif"
        yield f"embed/{product}", partial(embed, checkout, scene, folder / product, options)
    yield "fingerprints", partial(fingerprints, checkout)
    yield "wire", partial(wire, checkout, folder / "tests")


def wire(checkout: Checkout, folder: Path) -> Figures:
    """Hash the golden files, and those that the recipe writes anew into a copy of the tests."""
    recipe, golden = checkout.file("golden recipe"), checkout.file("golden folder")
    shutil.copytree(checkout.folder / "tests", folder)
    written = folder / golden.relative_to(checkout.folder / "tests")
    shutil.rmtree(written)
    checkout.python(folder / recipe.relative_to(checkout.folder / "tests"))
    folders = {"golden": golden, "encoded anew": written}
    return {
        kind: {path.stem: sha256(path.read_bytes()) for path in sorted(where.iterdir())}
        for kind, where in folders.items()
    }


def fingerprints(checkout: Checkout) -> Figures:
    """Compute what peers compare, of every shipped model, beside what its card says, and hash its files."""
    files = sorted((checkout.folder / "src").rglob("*.safetensors"))
    figures: Figures = {"loaded": json.loads(checkout.inside("fingerprints", *(path.stem for path in files)))}
    for path in files:
        card = json.loads(path.with_suffix(".json").read_text())
        parts = {key: value for key, value in card["parts"].items() if key.endswith("fingerprint")}
        figures[path.stem] = {
            "weights": sha256(path.read_bytes()),
            "card": sha256(path.with_suffix(".json").read_bytes()),
            "fingerprint in card": card["fingerprint"],
            **{f"{key} in card": value for key, value in parts.items()},
        }
    return figures


def simulate(checkout: Checkout, world: str, folder: Path, frames: int) -> Figures:
    """Simulate one scene; hash its images, its other rasters and the numbers in its nuScenes tables."""
    options = {"output": folder, "scenes": 1, "frames": frames, "seed": SCENE_SEED}
    checkout.skyweave("simulate", checkout.file(world), **options)
    rasters = [path for path in sorted(folder.rglob("*")) if path.suffix in (".png", ".npz")]
    images = [path for path in rasters if path.is_relative_to(folder / "samples")]
    figures: Figures = {}
    for kind, paths in (("images", images), ("truth", [path for path in rasters if path not in images])):
        hashes = sorted(hash_of_raster(path) for path in paths)  # by content: names of folders are no figures
        figures[kind] = {"files": len(paths), "sha256": sha256("".join(hashes).encode())}
    for table in NUSCENES_TABLES:
        (path,) = folder.glob(f"v1.0-*/{table}.json")
        values = list(numbers(json.loads(path.read_text())))
        figures[table] = {"numbers": len(values), "sha256": sha256(json.dumps(values).encode())}
    return figures


def evaluations() -> dict[str, dict[str, object]]:
    """Return the options by case: no messages, the shipped strategy at two budgets, the strategies without training."""
    tight: dict[str, object] = {"budget": TIGHT_BUDGET_BYTES, "chunk loss": CHUNK_LOSS, "delay": DELAY_S}
    late: dict[str, object] = {"strategy": "late fusion", "budget": TIGHT_BUDGET_BYTES}
    return {
        "all platforms": {},
        "ego only": {"ego only": True},
        f"shipped strategy, {BUDGET_BYTES} bytes": {"budget": BUDGET_BYTES},
        f"shipped strategy, {TIGHT_BUDGET_BYTES} bytes, loss, delay": tight,
        "no fusion": {"strategy": "no fusion"},
        f"late fusion, {TIGHT_BUDGET_BYTES} bytes": late,
        "full features": {"strategy": "full features"},
    }


def evaluate(checkout: Checkout, recording: Path, options: dict[str, object], log: Path) -> Figures:
    """Score the shipped perception model; also count, bytes and hash of the messages encoded for it."""
    errors = []
    for strategy in NAMES[f"strategy:{options['strategy']}"] if "strategy" in options else ("",):
        named = {**options, "strategy": strategy} if strategy else options
        line = checkout.command("evaluate", "crossing", recording, options={**named, "split": "all", "json": True})
        try:
            output = checkout.inside("logged", log, *line[2:])
        except RuntimeError as error:
            errors.append(str(error))
        else:
            return {"scores": json.loads(output), "messages": json.loads(log.read_text())}
    raise RuntimeError("\n".join(errors))


def run_probe(checkout: Checkout, config: str, data: Path) -> Figures:
    """Probe with one seed: every row with its interval, and the leads over the baselines."""
    options = {"data": data, "weights": "tiny", "seeds": 1, "json": True}
    result: Figures = json.loads(checkout.skyweave("probe", checkout.file(config), **options))["results"][0]
    return result


def embeddings() -> dict[str, dict[str, object]]:
    """Return the options by product: a multispectral image with its preview, and a radar image as whole numbers."""
    s2 = {"sensor": "sentinel2-l2a", "unit": "dn", "bands": S2_BANDS, "weights": "tiny", "preview": "preview.png"}
    s1 = {"sensor": "sentinel1-rtc", "unit": "db", "bands": "vv,vh", "weights": "crossing", "storage_type": "int8"}
    return {"S2L2A": {**s2}, "S1RTC": {**s1}}


def embed(checkout: Checkout, scene: Path, folder: Path, options: dict[str, object]) -> Figures:
    """Embed a scene: its features, its preview and the fingerprint of the model in the tags."""
    import rasterio

    folder.mkdir()
    if "preview" in options:
        options = {**options, "preview": folder / str(options["preview"])}
    checkout.skyweave("embed", scene, output=folder / "features.tif", **options)
    with rasterio.open(folder / "features.tif") as raster:
        pixels, scaling = raster.read(), [*raster.scales, *raster.offsets]
        fingerprint = raster.tags()["FINGERPRINT"]
    return {
        "shape": list(pixels.shape),
        "sha256": hash_of_array(pixels),
        "mean": float(pixels.mean(dtype=float)),
        "scales and offsets": sha256(json.dumps(scaling).encode()),
        "fingerprint": fingerprint,
        "preview": [hash_of_raster(path) for path in folder.glob("*.png")],
    }


def demo(checkout: Checkout, data: Path, folder: Path) -> Figures:
    """Run the demo: what it prints, and every number and image of its report but times and those in prose."""
    printed = json.loads(checkout.skyweave("demo", fleet=0, output=folder, data=data, json=True))
    page = (folder / "report.html").read_text(encoding="utf-8")
    texts = {
        "captions": re.findall(r"<figcaption>(.*?)</figcaption>", page),
        "tables": re.findall(r"<t[dh]>(.*?)</t[dh]>", page),
        "model": re.findall(r'<p class="lead">(.*?)</p>', page, re.DOTALL),
    }
    figures = {
        name: PRINTED.findall(re.sub(r"<[^>]*>|[\d.]+ ms", " ", " ; ".join(parts))) for name, parts in texts.items()
    }
    images = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    hashes = [hash_of_raster(io.BytesIO(base64.b64decode(image))) for image in images]
    return {"printed": printed, **figures, "images": hashes}


def compare(before: Path, after: Path, only: Sequence[str]) -> int:
    """Print what differs and return the exit code: 1 if anything does, or if there is nothing to compare."""
    first, second = (json.loads(path.read_text()) for path in (before, after))
    for key in sorted(first["made_by"].keys() - {"command", "commit"}):
        if first["made_by"][key] != second["made_by"].get(key):
            print(f"note: {key} was {first['made_by'][key]} before and is {second['made_by'].get(key)} after")
    old, new = (chosen_figures(content["figures"], only) for content in (first, second))
    differing = [path for path in sorted(old.keys() | new.keys()) if old.get(path) != new.get(path)]
    for path in differing:
        print(f"{path}: {old.get(path, 'not there')} before, {new.get(path, 'not there')} after")
    print(f"{len(old)} figures before, {len(new)} after: {len(differing)} differ")
    return 1 if differing or not old else 0


def chosen_figures(figures: Figures, only: Sequence[str]) -> Figures:
    """Return the figures of some sections."""
    return {path: value for path, value in figures.items() if path.split("/")[0] in only}


def made_by(checkout: Checkout) -> dict[str, str]:
    """Return the command, the commit and the machine, without a path."""
    git = ["git", "-C", str(checkout.folder)]
    commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
    changed = subprocess.run([*git, "status", "--porcelain", "src"], capture_output=True, text=True).stdout.strip()
    cpus = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.*)", cpus.read_text()) if cpus.exists() else None
    return {
        "command": "python benchmarks/same_figures.py measure --checkout DIR -o FILE.json --data DIR",
        "commit": commit + (" with changes" if changed else ""),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("torch", "numpy", "scikit-learn", "rasterio", "pillow")},
        "cpu": model[1] if model else platform.processor(),
    }


if __name__ == "__main__":
    sys.exit(main())
