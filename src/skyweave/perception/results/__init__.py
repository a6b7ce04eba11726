"""Results of perception: boxes, instance maps and trajectories, each with its place, time and confidence.

Everything is in metres in one world frame, whose reference system is ``crs`` (None for a local frame whose place on the
Earth is unknown). `skyweave.perception.export` writes results as GeoJSON, GeoParquet and GeoTIFF.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
