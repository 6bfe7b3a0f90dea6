"""What the paper's tables count, each checked against hand-computed or reference values.

Rooms: `captioning` (BLEU-4, METEOR, ROUGE-L, CIDEr, SPIDEr), `distances` (Frechet distance,
Inception Score, cosine similarities, mel-cepstral distortion), `features` (the named extractor
that the distances are measured by).
"""
