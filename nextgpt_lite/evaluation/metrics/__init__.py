"""What the paper's tables count, each checked against hand-computed or reference values.

Rooms: `captioning` (BLEU-4, METEOR, ROUGE-L, CIDEr, SPIDEr), `distances` (Frechet distance,
Inception Score, cosine similarities, mel-cepstral distortion), `features` (the extractor that the
distances are measured by), `named` (each by its name in a table, of an `Outcome`), `published` (the
same by the networks of papers, where their weights are).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
