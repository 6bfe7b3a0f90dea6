"""The Hugging Face hub: a trained model found there, or put there, and its card.

Knows: huggingface_hub and what it raises. Leaves to others: a model's files (`checkpoint`), the
public checkpoints of the presets (`checkpoints.download`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from nextgpt_lite.errors import CheckpointError, ConfigError, DownloadError, MissingError
from nextgpt_lite.model.config import locate
from nextgpt_lite.reading import SUMS, read_json

if TYPE_CHECKING:
    from huggingface_hub import HfApi, ModelCard

MODEL_TYPE = "nextgpt_lite"  # in `config.json`
FILES = ("*.json", "*.safetensors", "*.jinja", "*.md", SUMS)  # never a pickle
_CARD = """# {name}

An any-to-any model after NExT-GPT (arXiv:2309.05519): text, image, audio and video in and out. Here
is what was trained; the frozen parts are named in `config.json`.

```python
from nextgpt_lite import NextGPT

model = NextGPT.from_pretrained("{name}", download=True)
reply = model.chat("Show me a red car.", seed=0)
```

{tables}
The LoRA and the rows of new tokens alone, without media, on the language model `{llm}`:

```python
base.resize_token_embeddings({vocabulary})
model = peft.PeftModel.from_pretrained(base, "{name}")
```
"""


def model_folder(name: str, revision: str | None = None, download: bool = False) -> Path:
    """Where a trained model lies: a folder, or a hub id that was fetched before or is now.

    Raises:
        MissingError: it is not on this machine, and nobody asked to fetch it.
        DownloadError: the hub is out of reach.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return locate(name)
    except MissingError:
        if name.startswith("lite/") or not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
            raise
    snapshot = partial(snapshot_download, name, revision=revision, allow_patterns=[*FILES])
    try:
        return Path(snapshot(local_files_only=True))
    except LocalEntryNotFoundError as error:
        if not download:
            raise MissingError(
                f"{name} is no folder, and the hub's cache has it not: give download=True to fetch "
                "it (nothing is fetched behind your back)."
            ) from error
    with hub_errors(name):
        return Path(snapshot())


def push(
    model: Any,
    name: str,
    *,
    private: bool | None = None,
    token: str | None = None,
    revision: str | None = None,
    run: str | Path | None = None,
    scores: str | Path | None = None,
) -> str:
    """See `NextGPTModel.push_to_hub`."""
    from huggingface_hub import HfApi

    api = HfApi(token=token)
    with TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        model.llm.tokenizer.save_pretrained(folder)
        card(model, name, run, scores).save(Path(folder, "README.md"))
        with hub_errors(name):
            api.create_repo(name, private=private, exist_ok=True)
            sent = api.upload_folder(repo_id=name, folder_path=folder, revision=revision)
    return str(sent.commit_url)


def card(
    model: Any, name: str, run: str | Path | None = None, scores: str | Path | None = None
) -> ModelCard:
    """What the hub shows of a model: its parts, what learned in a run, and measured scores.

    Args:
        run: a training's folder, whose `ledger.json` says what learned.
        scores: a file that `nextgpt-lite evaluate --suite` wrote.
    """
    from huggingface_hub import EvalResult, ModelCard, ModelCardData

    tables, results = _parameters(model), []
    if run is not None:
        tables += _table("What learned in the last stage", _read(Path(run, "ledger.json")))
    if scores is not None:
        rows = [row for group in _read(Path(scores)).values() for row in group["rows"]]
        fields = ("part", "measure", "value", "low", "high", "unit", "count")
        tables += _table("Scores", [{field: row[field] for field in fields} for row in rows])
        results = [
            EvalResult("any-to-any", MODEL_TYPE, "the lite suite", row["measure"], row["value"],
                       metric_name=f"{row['part']}: {row['measure']} ({row['unit']})")
            for row in rows
        ]  # fmt: skip
    llm = model.config.llm
    data = ModelCardData(
        model_name=name,
        library_name=MODEL_TYPE,
        pipeline_tag="any-to-any",
        base_model=None if llm.startswith("lite/") or llm.count("/") != 1 else llm,
        tags=["next-gpt", "multimodal", "lora"],
        eval_results=results or None,
    )
    text = _CARD.format(name=name, tables=tables, llm=llm, vocabulary=model.llm.vocabulary)
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n{text}")


@contextmanager
def hub_errors(name: str, revision: str | None = None, api: HfApi | None = None) -> Iterator[None]:
    """What a hub answers, or that it does not, in one sentence.

    Raises:
        CheckpointError: it refuses.
        ConfigError: the name is none of a repository.
        DownloadError: it is out of reach.
    """
    from huggingface_hub import constants
    from huggingface_hub.errors import (  # type: ignore[attr-defined]
        HfHubHTTPError,
        HFValidationError,
        HTTPError,
        LocalEntryNotFoundError,
    )

    try:
        yield
    except HFValidationError as error:
        raise ConfigError(f"{name!r} is no hub id: give 'owner/name'.") from error
    except HfHubHTTPError as error:
        raise CheckpointError(
            f"{name} at {revision or 'main'}: the hub answers {_first_line(error)}; "
            "accept its licence on the hub's page and log in with `hf auth login`, or try later."
        ) from error
    except (HTTPError, LocalEntryNotFoundError, ConnectionError) as error:
        hub = constants.ENDPOINT if api is None else api.endpoint
        raise DownloadError(
            f"{name}: the hub at {hub} is out of reach ({_first_line(error)}); connect to "
            "the network and run the same command again, it goes on where it stopped."
        ) from error


def register(model_class: Any, processor_class: Any) -> None:
    """Makes `AutoConfig`, `AutoModel` and `AutoProcessor` know folders of a model."""
    from transformers import AutoConfig, AutoModel, AutoProcessor, PreTrainedConfig

    class HubConfig(PreTrainedConfig):  # type: ignore[misc]
        """A model's `config.json` as transformers reads it; all of ours is in its `config`."""

        model_type = MODEL_TYPE

    class Loader:
        config_class = HubConfig

        @classmethod
        def from_pretrained(cls, name: str, *_: Any, **options: Any) -> Any:
            """A model of ours; what transformers tells its own classes is left out."""
            theirs = ("config", "trust_remote_code", "adapter_kwargs", "_from_auto")
            return model_class.from_pretrained(
                name, **{key: value for key, value in options.items() if key not in theirs}
            )

    AutoConfig.register(MODEL_TYPE, HubConfig, exist_ok=True)
    AutoModel.register(HubConfig, Loader, exist_ok=True)
    AutoProcessor.register(HubConfig, processor_class, exist_ok=True)


def _parameters(model: Any) -> str:
    """Parameters by part, of those that are trained."""
    counts: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        part = name.partition(".")[0]
        if part == "llm":
            part = "LoRA" if "lora_" in name else "token rows" if "trainable_tokens" in name else ""
        elif not part.endswith(("projection", "projections")):
            part = ""
        if part:
            counts[part] = counts.get(part, 0) + parameter.numel()
    return _table("What is in here", [{"part": p, "parameters": n} for p, n in counts.items()])


def _table(title: str, rows: list[Mapping[str, Any]]) -> str:
    """Markdown of rows that have the same fields."""
    heads = [*rows[0]] if rows else []
    lines = [heads, ["---"] * len(heads), *([str(value) for value in row.values()] for row in rows)]
    return f"## {title}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines) + "\n"


def _read(path: Path) -> Any:
    return read_json(path, Any, "give what a training or an evaluation has written")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
