"""A base model is known by its files, whatever its family calls the two matrices."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nextgpt_lite.model.base_model import fingerprint, stored_matrices
from tests.model.test_families import FAMILIES, family


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("kind", ["safetensors", "bin"])
def test_both_matrices_are_found_in_the_files(name: str, kind: str, tmp_path: Path) -> None:
    causal_lm = family(name)(60)
    if kind == "bin":
        torch.save(causal_lm.state_dict(), tmp_path / "pytorch_model.bin")
    else:
        causal_lm.save_pretrained(tmp_path)
    found = stored_matrices(tmp_path)
    embedding = causal_lm.get_input_embeddings().weight
    assert torch.equal(found["embed_tokens"], embedding)
    assert fingerprint(found["embed_tokens"]) == fingerprint(embedding)
    head = causal_lm.get_output_embeddings().weight
    assert torch.equal(found.get("lm_head", found["embed_tokens"]), head)
