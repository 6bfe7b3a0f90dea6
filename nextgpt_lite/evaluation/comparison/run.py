"""The whole comparison of Table 14 from folders of trained models.

Knows: which systems are made of which model, and the files: `instructions.jsonl` (where the plugin
writes one), `rows.csv`, `settings.json`, `report.md`. Leaves to others: all of the work (`rows`,
`table14`), instructions and their judge (a plugin).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.errors import ConfigError
from nextgpt_lite.evaluation.baselines import Chat, share_frozen
from nextgpt_lite.evaluation.comparison.own import read_instructions
from nextgpt_lite.evaluation.comparison.rows import run
from nextgpt_lite.evaluation.comparison.table14 import report
from nextgpt_lite.evaluation.protocols import System
from nextgpt_lite.evaluation.registry import find, has
from nextgpt_lite.model.checkpoint import identity, read_config
from nextgpt_lite.model.config import NextGPTConfig, locate, trained_folder
from nextgpt_lite.reading import read_json
from nextgpt_lite.training.cache import hash_files
from nextgpt_lite.training.features import component_files
from nextgpt_lite.writing import beside, owned

BESIDE = ("ground truth", "gold caption", "tool pipeline", "image tools only")


def compare_models(
    models: Sequence[str | Path],
    caption_models: Sequence[str | Path],
    output: str | Path,
    *,
    prompts: int = 200,
    groups: Sequence[str] | None = None,
    num_inference_steps: int | None = None,
    seed: int | None = None,
    plugin: str = "lite",
    instructions: str | Path | None = None,
    judge: str | None = None,
    systems: Sequence[str] = BESIDE,
    device: str = "auto",
    dtype: str | None = None,
) -> str:
    """Asks every system everything and reports; continues an earlier call with the same `output`.

    Args:
        models: "lite" or folders of stage 3 with signal tokens; number i is training seed i.
        caption_models: folders of stage 3 with captions as messenger, likewise.
        output: gets the files above.
        prompts: of each group of instructions, half of them simple.
        groups: None takes all that the plugin has.
        num_inference_steps: of all decoders; None takes each one's own.
        seed: of the instructions; None takes the plugin's own.
        plugin: whose instructions are asked, and whose judge says what answers are worth.
        instructions: a file of the reader's own instead (see `own`), of which all are asked.
        judge: name in the registry; None takes the plugin's, or "likeness" for a file.
        systems: names in the registry, made of the first model's frozen parts; "ground truth" is
            left out where a true medium is not there.
        device, dtype: as of `NextGPT.from_pretrained`.

    Returns:
        the report, as Markdown.

    Raises:
        ConfigError: a name is unknown, a model has the other messenger, or `output` holds the rows
            of another comparison.
    """
    output = Path(output)
    if instructions is None:
        asked = find("instructions", plugin)((prompts + 1) // 2, seed=seed, groups=groups)
    else:
        asked = read_instructions(instructions, groups)
    if not all("path" in part or "source" in part for one in asked for part in one.wanted):
        systems = [name for name in systems if name != "ground truth"]
    judge = judge or (plugin if instructions is None else "likeness")
    settings: dict[str, object] = {
        "models": [str(m) for m in models], "caption_models": [str(m) for m in caption_models],
        "num_inference_steps": num_inference_steps, "instructions_seed": seed, "plugin": plugin,
        "instructions": None if instructions is None else str(instructions), "judge": judge,
        "files of the models": [model_identity(m) for m in (*models, *caption_models)],
    }  # fmt: skip
    if instructions is not None:
        settings["the instructions' file"] = hash_files([Path(instructions)])
    with owned(output):
        same_settings(output / "settings.json", settings)
        if instructions is None and has("write_instructions", plugin):
            find("write_instructions", plugin)(output / "instructions.jsonl", asked)
        answering: list[tuple[int, System]] = []
        for wanted, folders in (("signal", models), ("caption", caption_models)):
            for number, folder in enumerate(folders):
                model = NextGPT.from_pretrained(folder, device=device, dtype=dtype)
                if model.config.messenger != wanted:
                    raise ConfigError(
                        f"{folder} has the messenger {model.config.messenger!r}, {wanted!r} is "
                        "wanted here: give it to the other option."
                    )
                if answering:
                    share_frozen(answering[0][1].model, model)
                answering.append((number, Chat(model)))
        first = answering[0][1].model
        answering += [(0, find("system", name)(first)) for name in systems]
        rows = run(
            answering, asked, find("judge", judge)(first), output / "rows.csv",
            num_inference_steps=num_inference_steps, watch=print,
        )  # fmt: skip
        text = report(rows)
        (output / "report.md").write_text(text, encoding="utf-8")
        return text


def model_identity(name: str | Path) -> str:
    """What a model's name stood for when its answers were judged: its files and its parts'."""
    folder = trained_folder(name)
    if not folder.is_dir():
        return str(name)
    config = NextGPTConfig.from_dict(read_config(folder)["config"])
    settings = map(config.settings_of, config.decoders)
    bases = [each["base"] for each in settings if "base" in each]
    parts = {config.llm, config.encoder, *config.decoders.values(), *bases}
    hashes = [hash_files(component_files(locate(part), "encoder")) for part in sorted(parts)]
    return sha256(f"{identity(folder)} {hashes}".encode()).hexdigest()


def data_identity(paths: Sequence[Path]) -> str:
    """What data were when answers about them were made: files by their content; folders, which may
    be large, by names, sizes and times of change of what is in them."""
    digest = sha256(hash_files(path for path in paths if path.is_file()).encode())
    for folder in sorted(path for path in paths if path.is_dir()):
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                stat = path.stat()
                name = path.relative_to(folder).as_posix()
                digest.update(f"{name}:{stat.st_size}:{stat.st_mtime_ns};".encode())
    return digest.hexdigest()


def same_settings(path: Path, settings: dict[str, object]) -> None:
    """Writes settings, or refuses others than those that are there.

    Raises:
        ConfigError: naming what differs.
    """
    if path.is_file() and (before := read_json(path)) != settings:
        name = next((key for key in settings if before.get(key) != settings[key]), "something else")
        raise ConfigError(
            f"{path}: {name} was {before.get(name)} and is now {settings.get(name)}: give the same "
            "again or choose another --output."
        )
    with beside(path) as draft:
        draft.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
