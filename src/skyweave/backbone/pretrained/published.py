"""Encoders that others published, by name or from a file; nothing in a file is executed.

The family and the size are read from the tensors.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from torch import Tensor

from skyweave.backbone.encoder import Encoder
from skyweave.backbone.pretrained.family import EncoderFamily, EncoderOptions
from skyweave.backbone.state_dict import read_safetensors, read_state_dict
from skyweave.core.errors import MissingExtraError, WeightsError
from skyweave.core.registry import Registry

FILE_SUFFIXES = (".pth", ".pt", ".ckpt", ".bin")
"""Of weights in the formats of others; ours are ``.safetensors`` with a card."""
HUB_PREFIX = "hub:"
ENCODERS: Registry[Callable[[], EncoderFamily]] = Registry(
    "encoders",
    "family of encoders",
    {  # the first that matches a file reads it
        "galileo": "skyweave.backbone.pretrained.families:GalileoFamily",
        "presto": "skyweave.backbone.pretrained.families:PrestoFamily",
        "efficientnet-lite0": "skyweave.backbone.pretrained.efficientnet_lite:EfficientNetLiteFamily",
        "clay": "skyweave.backbone.pretrained.families:ClayFamily",
        "dofa": "skyweave.backbone.pretrained.families:DOFAFamily",
        "satmae": "skyweave.backbone.pretrained.families:SatMAEFamily",
        "prithvi": "skyweave.backbone.pretrained.families:PrithviFamily",
        "mae": "skyweave.backbone.pretrained.families:MAEFamily",
    },
)


def is_published(source: str | Path) -> bool:
    """Return whether weights are a name or a file of others.

    Args:
        source: as a user gives it.
    """
    text = str(source)
    return text.startswith(HUB_PREFIX) or text.endswith(FILE_SUFFIXES) or text in ENCODERS or text in hub_files()


def load_published(source: str | Path, options: EncoderOptions | None = None) -> Encoder:
    """Load an encoder that others published, in evaluation mode.

    Args:
        source: a local file (``.pth``, ``.pt``, ``.ckpt``, ``.safetensors``), ``hub:OWNER/REPOSITORY/FILE`` (with
            ``@COMMIT`` always the same file), a name in `hub_files` (the hub needs huggingface_hub), or a name in
            `ENCODERS` whose family needs no file.
        options: what tensors do not say.

    Raises:
        FileNotFoundError: no such file.
        MissingExtraError: huggingface_hub is not installed.
        WeightsError: not weights that can be read safely, an unknown family, or keys and shapes that do not fit.
    """
    options = options or EncoderOptions()
    if str(source) in ENCODERS:
        return ENCODERS[str(source)]().build_default(options)
    path = _fetch(str(source))
    state = read_safetensors(path) if path.suffix == ".safetensors" else read_state_dict(path)
    return encoder_from_state_dict(state, options, str(source))


def encoder_from_state_dict(
    state: Mapping[str, Tensor], options: EncoderOptions | None = None, source: str = "state dict"
) -> Encoder:
    """Return an encoder with weights that are in memory.

    Args:
        state: tensors by name, in the layout of their authors.
        options: what tensors do not say.
        source: of the tensors, for messages.

    Raises:
        WeightsError: an unknown family, or keys and shapes that do not fit.
    """
    return identify_family(state, source).build(state, options or EncoderOptions(), source)


def identify_family(state: Mapping[str, Tensor], source: str) -> EncoderFamily:
    """Return the family of tensors.

    Args:
        state: tensors by name, in the layout of their authors.
        source: of the tensors, for messages.

    Raises:
        WeightsError: they are of none.
    """
    for family in _families():
        if family.matches(state):
            return family
    *titles, last = sorted(family.title for family in _families())
    raise WeightsError(
        f"{source}: none of {', '.join(titles)} and {last}; its {len(state)} keys begin with "
        f"{', '.join(list(state)[:4])}"
    )


def hub_files() -> dict[str, str]:
    """Return ``hub:OWNER/REPOSITORY/FILE`` of all families by the name that commands take."""
    return {name: file for family in _families() for name, file in family.hub_files.items()}


def _families() -> Iterator[EncoderFamily]:
    for name in ENCODERS:
        yield ENCODERS[name]()


def _fetch(source: str) -> Path:
    source = hub_files().get(source, source)
    if not source.startswith(HUB_PREFIX):
        path = Path(source)
        if not path.is_file():
            raise FileNotFoundError(
                f"no weights at {path}; give a file, hub:OWNER/REPOSITORY/FILE or one of: {', '.join(hub_files())}"
            )
        return path
    parts = source.removeprefix(HUB_PREFIX).split("/", 2)
    if len(parts) < 3:
        raise WeightsError(f"{source}: write hub:OWNER/REPOSITORY/FILE, or hub:OWNER/REPOSITORY/FILE@COMMIT")
    try:
        from huggingface_hub import hf_hub_download
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{source}: this needs huggingface_hub, which is not installed; run: pip install huggingface_hub, or fetch "
            "the file yourself and give its path"
        ) from error
    file, _, revision = parts[2].partition("@")
    return Path(hf_hub_download(f"{parts[0]}/{parts[1]}", file, revision=revision or None))
