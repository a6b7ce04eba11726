from .png import encode_png
from .principal_components import PrincipalComponents, RunningCovariance
from .resampling import resample
from .true_color import display_bands, stretch_to_uint8, true_color_image

__all__ = [
    "PrincipalComponents",
    "RunningCovariance",
    "display_bands",
    "encode_png",
    "resample",
    "stretch_to_uint8",
    "true_color_image",
]
