"""What ``skyweave embed --stac`` does."""

import argparse
import json
import sys
from typing import TYPE_CHECKING

from skyweave.core.errors import ConfigError, DataError
from skyweave.inference.scene_arguments import EXIT_PARTIAL, read_inference_config

if TYPE_CHECKING:
    from skyweave.embedding.catalogue_scenes import SceneOutcome

UNIT_OF_CATALOGUE = "catalogue"


def run_catalogue(args: argparse.Namespace) -> int:
    """Embed scenes of a catalogue and print what became of each; return 0, or 3 where some failed.

    Args:
        args: parsed arguments of the command.

    Raises:
        ConfigError: options that do not go together.
        DataError: every scene failed; names the first failure.
    """
    _check(args)
    from skyweave.backbone import load_encoder
    from skyweave.core.progress import show_progress
    from skyweave.core.sensors import get_sensor
    from skyweave.data.stac import CatalogueQuery
    from skyweave.embedding.catalogue_scenes import CatalogueConfig, embed_catalogue
    from skyweave.embedding.config import EmbeddingConfig

    query = CatalogueQuery(
        args.stac, tuple(args.collection), args.bbox and tuple(args.bbox), args.datetime, args.max_cloud
    )
    sensor = get_sensor(args.sensor)
    if args.bands not in (None, "sensor"):
        sensor = sensor.select([name.strip() for name in args.bands.split(",")])
    unit = None if args.unit == UNIT_OF_CATALOGUE else args.unit
    if unit is not None:
        sensor.encoding(unit)
    config = CatalogueConfig(args.composite, args.gsd, unit, not args.keep_clouds, args.licence)
    embedding = EmbeddingConfig(args.patch_size, read_inference_config(args), args.dtype, args.format)
    encoder = load_encoder(args.weights, args.device)
    outcomes: list[SceneOutcome] = []
    with show_progress("looking for scenes") as report:
        for outcome in embed_catalogue(query, args.into, encoder, sensor, config, embedding, str(args.weights), report):
            outcomes.append(outcome)
            for note in outcome.notes:
                print(f"warning: {outcome.name}: {note}", file=sys.stderr)
            if outcome.failure:
                print(f"error: {outcome.name}: {outcome.failure}", file=sys.stderr)
    _print(outcomes, as_json=args.json)
    failed = [outcome for outcome in outcomes if outcome.failure]
    if len(failed) == len(outcomes):
        raise DataError(f"no scene could be embedded; the first: {failed[0].failure}")
    return EXIT_PARTIAL if failed else 0


def _check(args: argparse.Namespace) -> None:
    """Refuse options of a single scene."""
    if args.into is None:
        raise ConfigError("--stac needs --into FOLDER, which holds the outputs and their catalogue")
    for option, value in (
        ("SCENE", args.scene or None),
        ("-o", args.output),
        ("--preview", args.preview),
        ("--catalog", args.catalog),
        ("--acquired", args.acquired),
        ("--nodata", args.nodata),
        ("--window", args.window),
    ):
        if value is not None:
            raise ConfigError(f"{option} is for one scene, not for --stac; remove it")


def _print(outcomes: "list[SceneOutcome]", as_json: bool) -> None:
    if as_json:
        entries = [
            {
                "name": outcome.name,
                "path": str(outcome.path),
                "failure": outcome.failure,
                "is_new": outcome.scene is not None,
                "valid_fraction": outcome.scene and outcome.scene.valid_fraction,
            }
            for outcome in outcomes
        ]
        print(json.dumps(entries))
        return
    for outcome in outcomes:
        if outcome.scene is not None:
            print(f"{outcome.path}: {outcome.scene.valid_fraction:.0%} valid")
        elif not outcome.failure:
            print(f"{outcome.path}: done before")
