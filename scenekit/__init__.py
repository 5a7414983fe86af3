"""One network that understands a whole scene. `import scenekit as sk`.

Names are imported when they are first used, so that `import scenekit` and the command line start without torch. The
list of them is `__init__.pyi`.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
