"""Public and released checkpoints: which there are, fetching, converting, counting, stand-ins."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
