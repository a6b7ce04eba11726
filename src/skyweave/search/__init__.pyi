from .archive import PatchArchive, build_archive
from .archive_file import load_archive, save_archive
from .exact import Matches, score_all, search_exact
from .examples import area_examples, image_example, point_example
from .ranking import RANKINGS, CentroidRanking
from .reader import FeatureSpace, PatchBlock, PatchReader
from .readers import PATCH_READERS, open_patches

__all__ = [
    "PATCH_READERS",
    "RANKINGS",
    "CentroidRanking",
    "FeatureSpace",
    "Matches",
    "PatchArchive",
    "PatchBlock",
    "PatchReader",
    "area_examples",
    "build_archive",
    "image_example",
    "load_archive",
    "open_patches",
    "point_example",
    "save_archive",
    "score_all",
    "search_exact",
]
