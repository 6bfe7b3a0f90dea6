"""The model, sections 3 to 5 of the paper: conversation, LLM, projections, losses."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
