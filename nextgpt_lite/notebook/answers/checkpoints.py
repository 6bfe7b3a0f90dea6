"""Judges of the exercises in 10_real_checkpoints_on_colab."""

from __future__ import annotations

from nextgpt_lite.notebook.exercises import expect

TINYLLAMA = 1_100_048_384
MATRICES = 6_476_005_376  # of Vicuna-7B's layers; what nf4 keeps in four bits
REST = 6_738_415_616 - MATRICES  # embedding, head and norms stay in half precision


def half(answer: float) -> str | None:
    """Gigabytes (10^9 bytes) of TinyLlama in float16."""
    truth = 2 * TINYLLAMA / 1e9
    hints = {
        4 * TINYLLAMA / 1e9: "that is float32, four bytes each; float16 has two",
        TINYLLAMA / 1e9: "that is one byte each",
        2 * TINYLLAMA / 2**30: "that is in GiB of 2^30 bytes; a gigabyte has 10^9",
        16 * TINYLLAMA / 1e9: "float16 has 16 bits, and a byte has 8 of them",
    }
    return expect(answer, truth, hints, tolerance=0.02)


def quarter(answer: float) -> str | None:
    """Gigabytes of Vicuna-7B with its layers' matrices in nf4, the rest in float16."""
    truth = (MATRICES * (0.5 + 1 / 64) + 2 * REST) / 1e9
    hints = {
        MATRICES * 0.5 / 1e9: "the scales, and what is not quantised, are missing",
        (MATRICES * 0.5 + 2 * REST) / 1e9: "the scales are missing: a byte for each 64 weights",
        (MATRICES + REST) * 0.5 / 1e9: "embedding and head stay in float16; and each block of 64 "
        "weights has a scale of a byte",
        MATRICES * (0.5 + 1 / 64) / 1e9: "embedding and head are missing: they stay in float16",
        MATRICES * 4 / 1e9: "4 bits are half a byte",
    }
    return expect(answer, truth, hints, tolerance=0.005)
