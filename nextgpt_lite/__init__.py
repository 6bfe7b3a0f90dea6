"""NExT-GPT, any-to-any, at three sizes of one system; `lite` runs on a laptop offline.

    from nextgpt_lite import NextGPT
    model = NextGPT.from_pretrained("lite")
    reply = model.chat("Show me a red car.", seed=0)

Letters in shape comments, everywhere: B batch, S sequence, D LLM width, E encoder width, M media
items, K input tokens per item, X signal blocks, N signal tokens, L condition length, C condition
width, T frames, H height, W width.
"""

import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
