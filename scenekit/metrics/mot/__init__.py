"""Metrics of multi-object tracking: HOTA, CLEAR (MOTA, MOTP) and identity (IDF1), by MOTChallenge's and KITTI's rules.

Names are imported when they are first used; the list of them is `__init__.pyi`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
