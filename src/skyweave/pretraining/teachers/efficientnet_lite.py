"""EfficientNet-Lite0, trained on ImageNet: the teacher of colour."""

import io
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from skyweave.backbone.pretrained.efficientnet_lite import STANDARDISED_SCALE, EfficientNetLite, EfficientNetLiteFamily
from skyweave.backbone.pretrained.family import EncoderOptions
from skyweave.core.errors import MissingExtraError
from skyweave.pretraining.teachers.base import TeacherMaps
from skyweave.pretraining.teachers.composites import CompositeTeacher

STAGES = (2, 3)
"""Numbers of the stages whose outputs are the maps: strides of 16 and 32 pixels."""


class EfficientNetLiteTeacher(CompositeTeacher):
    """EfficientNet-Lite0 (arXiv 1905.11946) as a teacher.

    On a CPU it runs in ONNX Runtime, where its convolutions of single channels are four times faster.

    Args:
        encoder: with its weights.
    """

    def __init__(self, encoder: EfficientNetLite) -> None:
        super().__init__()
        self.network = _Stages(encoder).requires_grad_(False).eval()
        with torch.no_grad():
            pooled, *maps = self.network(torch.zeros(1, 3, 32, 32))
        self.pooled_channels = pooled.shape[1]
        self.map_channels = tuple(one.shape[1] for one in maps)
        self._session: Any = None

    @torch.no_grad()
    def see(self, images: Tensor) -> TeacherMaps:
        """Return the features of images.

        Args:
            images: (batch, 3, rows, columns), standardised; the sides should be multiples of 32.
        """
        inputs = (images.float() * STANDARDISED_SCALE).clamp(-1, 1)
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


class _Stages(nn.Module):
    """Pooled features and the outputs of some stages."""

    def __init__(self, encoder: EfficientNetLite) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        stages = self.encoder.stages(images)
        return (stages[-1].mean((2, 3)), *(stages[number] for number in STAGES))


def _onnx_session(network: nn.Module) -> Any:
    """ONNX Runtime session of a network, with as many threads as PyTorch has."""
    try:
        import onnx  # noqa: F401  # torch's exporter imports it
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError(
            "a teacher on a CPU runs in onnxruntime; install it with: pip install 'skyweave[teachers]'"
        ) from error
    buffer = io.BytesIO()
    axes = {0: "batch", 2: "rows", 3: "columns"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # The exporter of TorchScript: the newer one needs seconds longer and gives the same graph.
        torch.onnx.export(
            network,
            (torch.zeros(1, 3, 128, 128),),
            buffer,  # type: ignore[arg-type]  # the annotation forgets files, which the exporter of TorchScript takes
            input_names=["images"],
            dynamic_axes={"images": axes},
            opset_version=17,
            dynamo=False,
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(buffer.getvalue(), options, providers=["CPUExecutionProvider"])


def load_efficientnet_lite0() -> EfficientNetLiteTeacher:
    """Return EfficientNet-Lite0 with its ImageNet weights (Apache-2.0), which the extra ``teachers`` installs.

    Raises:
        MissingExtraError: it is not installed.
    """
    return EfficientNetLiteTeacher(EfficientNetLiteFamily().build_default(EncoderOptions()))
