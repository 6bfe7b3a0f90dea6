"""What the paper printed: its Tables 2 to 13, as data.

Source: Wu, Fei, Qu, Ji and Chua, "NExT-GPT: Any-to-Any Multimodal LLM" (ICML 2024), section 6.
Knows: the numbers. Leaves to others: ours beside them (`sheet`).

Rows the paper took from elsewhere are marked as it marks them. None stands for "-".
"""

from __future__ import annotations

from dataclasses import dataclass

UP, DOWN = "up", "down"


@dataclass(frozen=True)
class PaperTable:
    """One table: what it measures, on what, which way is better, and every row."""

    title: str
    data: str
    columns: dict[str, str]  # name -> UP or DOWN
    rows: dict[str, tuple[float | None, ...]]


_MMBENCH = ("Overall", "LR", "AR", "RR", "FP-S", "FP-C", "CP")
_SEED = ("SEED Overall", "SEED Img", "SEED Video")
_MME = (
    "Existence", "Count", "Color", "Poster", "Celebrity", "Scene", "Commonsense Reasoning",
    "Numerical Calculation", "Text Translation",
)  # fmt: skip

TABLES: dict[int, PaperTable] = {
    2: PaperTable(
        "Text-to-image generation", "COCO-caption", {"FID": DOWN},
        {
            "CogView": (27.10,), "GLIDE": (12.24,), "CoDi": (11.26,), "SD": (11.21,),
            "NExT-GPT": (11.28,),
        },
    ),
    3: PaperTable(
        "Text-to-video generation (zero-shot)", "MSR-VTT", {"FID": DOWN, "CLIPSIM": UP},
        {
            "CogVideo": (23.59, 0.2631), "MakeVideo": (13.17, 0.3049),
            "Latent-VDM": (14.25, 0.2756), "Latent-Shift": (15.23, 0.2773), "CoDi": (None, 0.2890),
            "NExT-GPT": (13.04, 0.3085),
        },
    ),
    4: PaperTable(
        "Text-to-audio generation", "AudioCaps", {"FD": DOWN, "IS": UP},
        {
            "DiffSound": (47.68, 4.01), "AudioLDM-S": (29.48, 6.90), "AudioLDM-L": (23.31, 8.13),
            "CoDi": (22.90, 8.77), "NExT-GPT": (23.58, 8.35),
        },
    ),
    5: PaperTable(
        "Audio-to-text generation (audio captioning)", "AudioCaps", {"SPIDEr": UP, "CIDEr": UP},
        {
            "AudioCaps": (0.369, 0.593), "BART": (0.465, 0.753), "AL-MixGen": (0.466, 0.755),
            "CoDi": (0.480, 0.789), "NExT-GPT": (0.521, 0.802),
        },
    ),
    6: PaperTable(
        "Image-to-text generation (image captioning)", "COCO-caption",
        {"B@4": UP, "METEOR": UP, "CIDEr": UP},
        {
            "Oscar": (36.58, 30.4, 124.12), "BLIP-2": (43.7, None, 145.8),
            "OFA": (44.9, 32.5, 154.9), "CoDi": (40.2, 31.0, 149.9),
            "NExT-GPT": (44.3, 32.9, 156.7),
        },
    ),
    7: PaperTable(
        "Video-to-text generation (video captioning)", "MSR-VTT", {"B@4": UP, "METEOR": UP},
        {
            "ORG-TRL": (43.6, 28.8), "GIT": (54.8, 33.1), "mPLUG-2": (57.8, 34.9),
            "CoDi": (52.1, 32.5), "NExT-GPT": (58.4, 38.5),
        },
    ),
    8: PaperTable(
        "Text+image-to-image generation (text-conditioned image editing)", "COCO-caption",
        {"Object CLIP": UP, "Object FID": DOWN, "Background CLIP": UP, "Background FID": DOWN},
        {
            "PTP": (30.33, 9.58, 31.55, 13.92), "BLDM": (29.95, 6.14, 30.38, 20.44),
            "DiffEdit": (29.30, 3.78, 26.92, 1.74), "PFB-Diff": (30.81, 5.93, 32.25, 13.77),
            "NExT-GPT": (29.31, 6.52, 27.29, 15.20),
        },
    ),
    9: PaperTable(
        "Text+video-to-video generation (text-conditioned video editing)", "DAVIS",
        {"CLIP-T": UP, "CLIP-I": UP},
        {
            "CogVideo": (0.2391, 0.9064), "TuneVideo": (0.2758, 0.9240),
            "SDEdit": (0.2775, 0.8731), "Pix2Video": (0.2891, 0.9767),
            "NExT-GPT": (0.2683, 0.9645),
        },
    ),
    10: PaperTable(
        "Text+audio-to-audio generation (text-conditioned speech editing)", "VCTK", {"MCD": DOWN},
        {
            "CampNet": (0.380,), "MakeAudio": (0.375,), "AudioLDM-L": (0.349,),
            "NExT-GPT": (0.302,),
        },
    ),
    11: PaperTable(
        "Zero-shot captioning by CIDEr, and text-to-image generation by FID",
        "NoCaps, Flickr 30K, COCO",
        {"NoCaps": UP, "Flickr 30K": UP, "COCO": UP, "COCO FID": DOWN},
        {
            "InstructBLIP": (123.1, 82.4, 102.2, None), "LLaVA": (120.7, 82.7, None, None),
            "mPLUG-Owl": (117.0, 80.3, 119.3, None), "EMU": (None, None, 117.7, 11.66),
            "DreamLLM": (None, None, 115.4, 8.46), "NExT-GPT": (123.6, 84.5, 124.9, 13.85),
            "NExT-GPT, more pretraining": (None, None, None, 8.62),
        },
    ),
    12: PaperTable(
        "MME: accuracy and accuracy+ added, 0 to 200", "MME", dict.fromkeys(_MME, UP),
        {
            "LLaVA (7B)": (50, 50.00, 55.00, 50.00, 48.82, 50.00, 57.14, 50.00, 57.50),
            "InstructBLIP (flant5xxl)":
                (185, 143.33, 153.33, 123.81, 101.18, 153.00, 129.29, 40.00, 65.00),
            "mPLUG-Owl (7B)": (120, 50.00, 55.00, 136.50, 100.29, 135.50, 78.57, 60.00, 80.00),
            "NExT-GPT (7B)": (180, 96.67, 156.67, 110.00, 103.00, 156.25, 116.14, 62.50, 65.50),
        },
    ),
    13: PaperTable(
        "MMBench test set (L-2 abilities) and SEED-Bench: accuracy in per cent",
        "MMBench, SEED-Bench", dict.fromkeys(_MMBENCH + _SEED, UP),
        {
            "LLaVA (7B)": (36.2, 15.9, 53.6, 28.6, 41.8, 20.0, 40.4, None, None, None),
            "InstructBLIP (7B)": (33.9, 21.6, 47.4, 22.5, 33.0, 24.4, 41.1, 53.4, 58.8, 38.1),
            "mPLUG-Owl (7B)": (46.6, 19.9, 56.1, 39.0, 53.0, 26.8, 59.4, 34.0, 37.9, 23.0),
            "NExT-GPT (7B)": (48.0, 22.1, 60.5, 33.6, 46.8, 30.7, 60.6, 54.4, 59.2, 39.4),
        },
    ),
}  # fmt: skip
