"""Clay 1 and 1.5 (clay-foundation.github.io): patch embeddings generated from wavelengths, as DOFA's, for any bands."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from skyweave.backbone.batch import SensorBatch
from skyweave.backbone.pretrained.vision_transformer import PublishedConfig, PublishedEncoder
from skyweave.core.errors import WeightsError
from skyweave.core.sensors.sensor import Sensor

METADATA_CHANNELS = 8
"""Channels of a token that tell week, hour, latitude and longitude: zero, as in a fifth of its training."""
RADAR_MICROMETRES = {"VV": 3.5, "VH": 4.0}
"""Micrometres that Clay's own metadata gives to radar's polarisations."""
STATISTICS: dict[str, dict[str, tuple[float, float]]] = {
    "sentinel2-l2a": {
        "blue": (0.1105, 0.1809),
        "green": (0.1355, 0.1757),
        "red": (0.1552, 0.1888),
        "rededge071": (0.1887, 0.1870),
        "rededge075": (0.2422, 0.1732),
        "rededge078": (0.2630, 0.1697),
        "nir": (0.2743, 0.1742),
        "nir08": (0.2785, 0.1648),
        "swir16": (0.2388, 0.1470),
        "swir22": (0.1835, 0.1379),
    },
    "landsat8-l2": {  # published in the product's numbers: 2.75e-5 * stored - 0.2
        "red": (0.17689, 0.26340),
        "green": (0.16603, 0.25872),
        "blue": (0.14304, 0.27896),
        "nir08": (0.28953, 0.22762),
        "swir16": (0.20191, 0.14575),
        "swir22": (0.14928, 0.12436),
    },
    "naip": {"red": (110.16, 47.23), "green": (115.41, 39.82), "blue": (98.15, 35.43), "nir": (139.04, 49.86)},
    "sentinel1-rtc": {"vv": (-12.113, 8.314), "vh": (-18.673, 8.017)},
}
"""Mean and spread of each band, by our sensors and in their units, from Clay's metadata; other sensors and bands are
normalised with their own."""


class Clay(PublishedEncoder):
    """Encode any optical, thermal or radar bands as Clay does; positions by row, column and ground sample distance.

    Args:
        config: its shape.
    """

    def __init__(self, config: PublishedConfig) -> None:
        super().__init__(config, None)
        self.patch_embedding = ClayPatchEmbedding(config)

    def select_bands(self, batch: SensorBatch) -> SensorBatch:
        """Return the batch with Clay's statistics where it has them.

        Args:
            batch: images of one sensor and size.
        """
        known = STATISTICS.get(batch.sensor.name, {})
        pairs = [known.get(band.name, (band.mean, band.std)) for band in batch.sensor.bands]
        sensor = batch.sensor.with_statistics([mean for mean, _ in pairs], [std for _, std in pairs])
        return SensorBatch(batch.pixels, batch.valid, sensor, batch.ground_sample_distance)

    def tokenise(
        self, images: Tensor, grid: tuple[int, int], batch: SensorBatch | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return patch embeddings, positions to add to them, and the class token with its position.

        Args:
            images: (batch, channels, rows, columns), normalised, whole patches.
            grid: (rows, columns) of patches.
            batch: where the images come from, for wavelengths and ground sample distance.
        """
        if batch is None:
            raise WeightsError("Clay asks for wavelengths and ground sample distance: give the batch")
        stem = self.patch_embedding(images, clay_wavelengths(batch.sensor))
        return stem, self.coordinates(grid, batch.ground_sample_distance), self.cls_token

    def coordinates(self, grid: tuple[int, int], ground_sample_distance: Tensor) -> Tensor:
        """Return the positions of patches, (batch, patches, width).

        Args:
            grid: (rows, columns) of patches.
            ground_sample_distance: (batch,) metres per pixel.
        """
        width = self.config.width - METADATA_CHANNELS
        rows, columns = grid
        device = ground_sample_distance.device
        steps = torch.arange(width // 4, device=device) / (width // 4 - 1)
        # the published exponent divides by the width once more than other codes do: frequencies hardly differ
        frequencies = ground_sample_distance.view(-1, 1, 1) / 10_000 ** (2 * steps / width)
        row = torch.arange(rows, device=device).repeat_interleave(columns).unsqueeze(1)
        column = torch.arange(columns, device=device).repeat(rows).unsqueeze(1)
        x, y = column * frequencies, row * frequencies
        return functional.pad(torch.cat([x.sin(), x.cos(), y.sin(), y.cos()], -1), (0, METADATA_CHANNELS))


class ClayPatchEmbedding(nn.Module):
    """Embed patches by a convolution whose kernels a small Transformer makes from wavelengths.

    Args:
        config: shape of the encoder.
        channels: of the code of a wavelength.
    """

    def __init__(self, config: PublishedConfig, channels: int = 128) -> None:
        super().__init__()
        self.channels = channels
        self.fclayer = ClayResidualMlp(channels)
        self.weight_generator = ClayKernelGenerator(config, channels)

    def forward(self, images: Tensor, wavelengths: list[float]) -> Tensor:
        """Return patch embeddings, (batch, patches, width).

        Args:
            images: (batch, channels, rows, columns), normalised, whole patches.
            wavelengths: of each channel in micrometres.
        """
        waves = torch.tensor(wavelengths, dtype=torch.float32, device=images.device)
        half = self.channels // 2
        angles = torch.outer(waves, 1 / 10_000 ** (torch.arange(half, device=images.device) / (half - 1)))
        weight, bias = self.weight_generator(self.fclayer(torch.cat([angles.sin(), angles.cos()], dim=1)))
        return functional.conv2d(images, weight, bias, stride=weight.shape[-1]).flatten(2).transpose(1, 2)


class ClayResidualMlp(nn.Module):
    """Apply two layers with a GELU each, around a residual.

    Args:
        channels: of a code.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.l1 = nn.Linear(channels, channels)
        self.l2 = nn.Linear(channels, channels)

    def forward(self, codes: Tensor) -> Tensor:
        """Return codes of the same shape.

        Args:
            codes: (bands, channels).
        """
        return codes + functional.gelu(self.l2(functional.gelu(self.l1(codes))))


class ClayKernelGenerator(nn.Module):
    """Apply a Transformer layer over learned queries, one token a band, and a bias token; tokens become kernels.

    Args:
        config: shape of the encoder.
        channels: of the code of a wavelength.
        queries: learned tokens.
        scale: factor on the kernels.
    """

    def __init__(self, config: PublishedConfig, channels: int, queries: int = 128, scale: float = 0.02) -> None:
        super().__init__()
        self.shape = (config.width, config.patch_size, config.patch_size)
        self.scale = scale
        layer = nn.TransformerEncoderLayer(channels, nhead=4, dropout=0.0, activation="gelu", batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, num_layers=1, enable_nested_tensor=False)
        self.weight_tokens = nn.Parameter(torch.zeros(queries, channels))
        self.bias_token = nn.Parameter(torch.zeros(1, channels))
        self.fc_weight = nn.Linear(channels, config.width * config.patch_size**2)
        self.fc_bias = nn.Linear(channels, config.width)

    def forward(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Return kernels (width, bands, patch, patch) and bias (width,).

        Args:
            codes: (bands, channels) of wavelengths.
        """
        queries = len(self.weight_tokens)
        tokens = self.encoder(torch.cat([self.weight_tokens, codes, self.bias_token]))
        kernels = self.fc_weight(tokens[queries:-1] + codes).unflatten(-1, self.shape).transpose(0, 1)
        return kernels * self.scale, self.fc_bias(tokens[-1])


def clay_wavelengths(sensor: Sensor) -> list[float]:
    """Return the number in micrometres that Clay reads for each band.

    Raises `WeightsError` for a band that it has no number for.

    Args:
        sensor: its bands are the channels.
    """
    wavelengths = []
    for band in sensor.bands:
        if band.wavelength is not None:
            wavelengths.append(band.wavelength / 1000)
        elif band.polarisation in RADAR_MICROMETRES:
            wavelengths.append(RADAR_MICROMETRES[band.polarisation])
        else:
            raise WeightsError(
                f"sensor {sensor.name!r}, band {band.name!r} is {band.kind}: Clay knows optical bands, VV and VH; "
                "leave it out with sensor.select([...])"
            )
    return wavelengths
