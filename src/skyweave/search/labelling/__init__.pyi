from .area import AreaEstimates, allocate_samples, estimate_areas
from .classifier import PatchClassifier
from .session import LabelSession

__all__ = ["AreaEstimates", "LabelSession", "PatchClassifier", "allocate_samples", "estimate_areas"]
