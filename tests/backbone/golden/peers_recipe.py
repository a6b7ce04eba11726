"""Inputs that NumPy makes the same everywhere, and the numbers that Galileo's and Presto's classes give for them.

``python tests/backbone/golden/peers_recipe.py GALILEO PRESTO WEIGHTS`` writes peers.json anew: checkouts of
github.com/nasaharvest/galileo and github.com/nasaharvest/presto, and the folder of the published weights.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

GOLDEN = Path(__file__).with_name("peers.json")
GALILEO_CASES = {"optical": (8, [1, 2, 3, 4, 5, 6]), "colour and shortwave": (4, [1, 5]), "radar": (2, [0])}
PRESTO_CASES = {"optical": ["S2_RGB", "S2_NIR_10m", "NDVI"], "radar": ["S1"]}
SIDE = 16
CHANNELS = slice(0, None, 16)
MONTH, LATITUDE, LONGITUDE = 6, 45.0, 10.0


def galileo_pixels() -> Tensor:
    """(2, rows, columns, 13) scaled values of Galileo's bands."""
    return torch.from_numpy(np.random.default_rng(0).uniform(0, 1, (2, SIDE, SIDE, 13)).astype(np.float32))


def presto_pixels() -> Tensor:
    """(5, 17) scaled values of Presto's bands."""
    return torch.from_numpy(np.random.default_rng(1).uniform(0, 1, (5, 17)).astype(np.float32))


def main(galileo: Path, presto: Path, weights: Path) -> None:
    """Write what the published classes give."""
    sys.path[:0] = [str(galileo), str(presto)]
    import single_file_galileo  # type: ignore[import-not-found]
    import single_file_presto  # type: ignore[import-not-found]

    expected: dict[str, Any] = {"galileo": {}, "presto": {}}
    config = json.loads((weights / "galileo_nano_config.json").read_text())["model"]["encoder"]
    encoder = single_file_galileo.Encoder(**config).eval()
    encoder.load_state_dict(_load(weights / "galileo_nano_encoder.pt"))
    model = single_file_presto.Presto.construct().eval()
    model.load_state_dict(_load(weights / "presto.pt"))
    with torch.inference_mode():
        for name, (patch, groups) in GALILEO_CASES.items():
            mask = torch.ones(2, SIDE, SIDE, 1, 7)
            mask[..., groups] = 0
            absent = (torch.ones(2, SIDE, SIDE, 3), torch.ones(2, 1, 3), torch.ones(2, 4))
            zeros = (torch.zeros(2, SIDE, SIDE, 16), torch.zeros(2, 1, 6), torch.zeros(2, 18))
            months = torch.full((2, 1), MONTH)
            out = encoder(galileo_pixels().unsqueeze(3), *zeros, mask, *absent, months, patch, 10)
            tokens = encoder.apply_mask_and_average_tokens_per_patch(*out[:8])
            expected["galileo"][name] = tokens[:, :, CHANNELS].tolist()
        for name, bands in PRESTO_CASES.items():
            mask = torch.ones(5, 1, 17)
            for band in bands:
                mask[:, :, single_file_presto.BANDS_GROUPS_IDX[band]] = 0
            place = torch.tensor([[LATITUDE, LONGITUDE]]).expand(5, 2)
            values = model.encoder(presto_pixels().unsqueeze(1), torch.full((5, 1), 9), place, mask, MONTH)
            expected["presto"][name] = values[:, CHANNELS].tolist()
    GOLDEN.write_text(json.dumps(expected) + "\n")


def _load(path: Path) -> dict[str, Tensor]:
    state: dict[str, Tensor] = torch.load(path, weights_only=True, map_location="cpu")
    return state


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]))
