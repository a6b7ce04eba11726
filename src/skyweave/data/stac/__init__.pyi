from .assets import BandSource, match_assets
from .compose import compose_scene
from .grid import SceneGrid, plan_grid
from .groups import SceneGroup, group_items
from .search import CatalogueQuery, search_items

__all__ = [
    "BandSource",
    "CatalogueQuery",
    "SceneGrid",
    "SceneGroup",
    "compose_scene",
    "group_items",
    "match_assets",
    "plan_grid",
    "search_items",
]
