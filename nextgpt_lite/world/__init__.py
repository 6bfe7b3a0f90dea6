"""The lite world: a cartoon street that is made, told, drawn, and read again by program."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
