"""Table 14: pipelines against end-to-end on the same instructions, judged by program.

    nextgpt-lite compare --model DIR ... --output DIR

Rooms: `rows` hold every answer and the numbers made of them, `table14` shows them beside the
paper's, `run` does it all from folders of models. Instructions and what an answer is worth come
from a plugin (`evaluation.protocols`).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
