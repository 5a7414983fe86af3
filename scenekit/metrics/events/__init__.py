"""Dense video captioning: the protocol of ActivityNet Captions, and SODA_c.

Names are imported when they are first used; the list of them is `__init__.pyi`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
