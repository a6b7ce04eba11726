"""Three tasks from one map: detection, instances and trajectories, for one platform or for several."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
