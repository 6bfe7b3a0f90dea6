"""GGUF files as folders in transformers' layout, unpacked once and kept.

Knows: how transformers reads such a file, and where its contents are kept. Leaves to others: where
a component is (`config.locate`), what is added to a language model (`llm`).
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from nextgpt_lite.model.config import cache_folder
from nextgpt_lite.reading import reading, sha256, write_sums


def unpacked(path: Path) -> Path:
    """The folder of a file's model and tokenizer, written at first use (float16, 2 bytes a weight);
    of what is no such file, the path itself.

    transformers reads the file's 100,000 strings three times over before it has its weights, which
    takes most of a minute; from the folder it takes two seconds. The weights go into a new model:
    the one that transformers gives still counts as quantized, and would not be saved.
    """
    if path.suffix != ".gguf":
        return path
    folder = cache_folder() / "gguf" / f"{path.stem}-{sha256(path)[:16]}"
    if folder.is_dir():
        return folder
    where = {"gguf_file": path.name, "local_files_only": True}
    with reading(path):
        given = AutoModelForCausalLM.from_pretrained(path.parent, dtype=torch.float16, **where)
        tokenizer = AutoTokenizer.from_pretrained(path.parent, **where)
    config = given.config
    del config.quantization_config
    causal_lm = AutoModelForCausalLM.from_config(config, dtype=torch.float16)
    causal_lm.load_state_dict(given.state_dict())
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent) as draft:
        whole = Path(draft) / folder.name
        causal_lm.save_pretrained(whole)
        tokenizer.save_pretrained(whole)
        write_sums(whole)
        if not folder.is_dir():  # another process may have been faster
            whole.rename(folder)
    return folder
