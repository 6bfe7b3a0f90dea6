"""Builders of instruction data from a reader's own pairs (paper section 5.2, appendix I).

Rooms: `writers` are the language models that write, `shelf` the pairs, in which media are found by
words, `script` a dialogue as text, `filters` what is refused, `plans` how a writer is asked
(`wordings.yaml` has the words), `build` the run, `review` a person's decisions on what was built
(the page is `notebook.inspection`), `statistics` the paper's Table 15.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
