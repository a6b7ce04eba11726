"""Weights and images that NumPy makes the same everywhere, and the numbers that the published classes give for them.

``python tests/backbone/golden/dofa_recipe.py`` writes dofa.json anew; it needs torchgeo and timm. The classes are
torchgeo's DOFA for version 1 and, for version 2, torchgeo's wavelength embedding in front of timm's VisionTransformer,
which is how version 2 was published.
"""

import json
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

GOLDEN = Path(__file__).with_name("dofa.json")
SENTINEL2 = [0.665, 0.56, 0.49, 0.705, 0.74, 0.783, 0.842, 1.61, 2.19]
NAIP = [0.48, 0.56, 0.64, 0.81]
ENMAP = np.linspace(0.42, 2.45, 202).round(4).tolist()
WAVELENGTHS = {"9 bands": SENTINEL2, "4 bands": NAIP, "202 bands": ENMAP}
CHANNELS = slice(0, None, 64)
TOKENS = (0, 97, 195)


def weights(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """One tensor for each key, from the key and the shape alone."""
    state = {}
    for key, shape in shapes.items():
        values = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape, np.float32)
        if key.endswith("gamma") or ("norm" in key and key.endswith("weight")):
            values = 1 + 0.1 * values
        elif len(shape) == 2 and not key.endswith("_tokens"):
            values = values / np.float32(np.sqrt(shape[1]))
        else:
            values = 0.1 * values
        state[key] = torch.from_numpy(np.ascontiguousarray(values, np.float32))
    return state


def images(bands: int, size: int = 224) -> Tensor:
    """(1, bands, size, size), standard normal."""
    return torch.from_numpy(np.random.default_rng(bands).standard_normal((1, bands, size, size), np.float32))


def samples(embedding: Tensor, levels: list[Tensor]) -> dict[str, list[float]]:
    """A few numbers from an embedding (1, D) and patch tokens (1, N, D) at several depths."""
    picked = {"embedding": embedding[0, CHANNELS]}
    for number, level in enumerate(levels):
        picked[f"level {number}"] = level[0, list(TOKENS), ::256].flatten()
    return {name: [round(float(value), 6) for value in values] for name, values in picked.items()}


def published_v1(size: str = "base") -> torch.nn.Module:
    """torchgeo's class, without its classification head."""
    from torchgeo.models import dofa_base_patch16_224, dofa_large_patch16_224

    return {"base": dofa_base_patch16_224, "large": dofa_large_patch16_224}[size](num_classes=0).eval()


class PublishedV2(torch.nn.Module):
    """The composition that DOFA+ was released as: a wavelength embedding and a timm ViT with LayerScale."""

    def __init__(self, width: int = 768, depth: int = 12, heads: int = 12) -> None:
        from timm.models.vision_transformer import VisionTransformer
        from torchgeo.models.dofa import DOFAEmbedding

        super().__init__()
        self.patch_embed = DOFAEmbedding(128, kernel_size=14, embed_dim=width)
        self.model = VisionTransformer(
            patch_size=14, embed_dim=width, depth=depth, num_heads=heads, init_values=1e-5, num_classes=0
        )
        del self.model.patch_embed
        self.norm = torch.nn.LayerNorm(width)

    def forward_features(self, x: Tensor, wavelengths: list[float]) -> Tensor:
        tokens = self.model._pos_embed(self.patch_embed(x, torch.tensor(wavelengths))[0])
        tokens = self.model.norm_pre(tokens)
        for block in self.model.blocks:
            tokens = block(tokens)
        return self.model.norm(tokens)[:, 1:].mean(1)


def levels_of(model: torch.nn.Module, blocks: torch.nn.ModuleList, depths: tuple[int, ...]) -> list[Tensor]:
    """A list that the next forward fills with patch tokens after ``depths``."""
    kept: list[Tensor] = []
    for depth in depths:
        blocks[depth].register_forward_hook(lambda _module, _inputs, output: kept.append(output[:, 1:]))
    return kept


def main() -> None:
    golden: dict[str, dict[str, dict[str, list[float]]]] = {}
    for version, model, depths in (("1", published_v1(), (3, 5, 7, 11)), ("2", PublishedV2().eval(), (4, 6, 10, 11))):
        model.load_state_dict(weights({key: tuple(value.shape) for key, value in model.state_dict().items()}))
        kept = levels_of(model, model.blocks if version == "1" else model.model.blocks, depths)
        golden[version] = {}
        for name, wavelengths in WAVELENGTHS.items():
            kept.clear()
            with torch.inference_mode():
                embedding = model.forward_features(images(len(wavelengths)), wavelengths)
            golden[version][name] = samples(embedding, kept)
        golden[version]["shapes"] = {key: list(value.shape) for key, value in model.state_dict().items()}
    GOLDEN.write_text(json.dumps(golden, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
