"""How good a model is: against the truth of the lite world, the paper's tables, and other systems.

Rooms: `suite` measures every part and stage of the lite profile; `tables` are the paper's Tables 2
to 13 and Figure 5, `metrics` what they count, `benchmarks` the files they are measured on;
`comparison` is Table 14, systems side by side on the same instructions; `ratings` is people's
judgement. What several of them need lies here: `statistics` (means, intervals, paired tests),
`score` (a share of right answers), `lite` (whether a reply is right in the lite world).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
