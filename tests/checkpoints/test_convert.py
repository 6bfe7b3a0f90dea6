"""Released checkpoints become folders of ours and come back bit for bit; strangers are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.checkpoints.convert import NOTE_FILE, from_released, to_released
from nextgpt_lite.checkpoints.legacy import MATRICES, Checkpoint, default_files, place_of
from nextgpt_lite.checkpoints.stand_ins import write_stand_ins
from nextgpt_lite.cli import main
from nextgpt_lite.encoders import Encoder, ImageBind, ImageBindConfig, PreprocessConfig
from nextgpt_lite.encoders.config import VisionConfig
from nextgpt_lite.errors import MissingError
from nextgpt_lite.model.checkpoint import BASE_ROWS_FILE, CONFIG_FILE, seal, trained_state
from nextgpt_lite.model.config import NextGPTConfig
from nextgpt_lite.model.llm import LanguageModel
from nextgpt_lite.model.projections import OutputProjection

BASE = "TinyLlama/TinyLlama-1.1B-Chat-v1.0"
WIDTH, ENCODER, LAYERS, RANK = 128, 24, 2, 4
SHAPES = {"image": (7, 12), "video": (7, 16), "audio": (1, 10)}
ORDER = ["<Img>", "</Img>", *(f"[IMG{i}]" for i in range(4)), *(f"[VID{i}]" for i in range(24)),
         *(f"[AUD{i}]" for i in range(8))]  # fmt: skip

pytestmark = pytest.mark.filterwarnings("ignore:enable_nested_tensor")
State = dict[str, Tensor]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stand_in(tmp_path_factory.mktemp("base"))


def stand_in(root: Path, seed: int = 0) -> Path:
    return next(write_stand_ins(root, [BASE], seed).rglob("config.json")).parent


def transformer(length: int, width: int) -> State:
    """The tensors of one released output projection at hidden 32, two layers a side."""
    reference = torch.nn.Transformer(32, 4, 2, 2, 128, batch_first=True, norm_first=True)
    state = {"query_embs": torch.randn(1, length, 32)}
    state |= {"fc.weight": torch.randn(32, WIDTH), "fc.bias": torch.randn(32)}
    state |= {f"tfm.{name}": torch.randn_like(t) for name, t in reference.state_dict().items()}
    return state | {"model.weight": torch.randn(width, 32), "model.bias": torch.randn(width)}


def matrices(base: Path, new: int) -> State:
    """Embedding and head after training: a little moved from the base's, and new rows."""
    state = load_file(base / "model.safetensors")
    found = {}
    for name, path in (("embed_tokens", "model.embed_tokens"), ("lm_head", "lm_head")):
        rows = state[f"{path}.weight"].float()
        moved = rows + 0.001 * torch.randn_like(rows)
        found[name] = torch.cat([moved, torch.randn(new, WIDTH)])
    return found


def lora(prefix: str, suffix: str) -> State:
    heads = {"q": WIDTH, "k": WIDTH // 8, "v": WIDTH // 8, "o": WIDTH}
    state = {}
    for layer in range(LAYERS):
        for name, width in heads.items():
            stem = f"{prefix}layers.{layer}.self_attn.{name}_proj.lora_"
            state[f"{stem}A{suffix}.weight"] = torch.randn(RANK, WIDTH)
            state[f"{stem}B{suffix}.weight"] = torch.randn(width, RANK)
    return state


def legacy_state(base: Path, stage: int = 3) -> State:
    torch.manual_seed(stage)
    stem = "llama_model.base_model.model.model." if stage == 3 else "llama_model.model."
    head = "llama_model.base_model.model.lm_head" if stage == 3 else "llama_model.lm_head"
    rows = matrices(base, len(ORDER))
    state = {f"{stem}embed_tokens.weight": rows["embed_tokens"], f"{head}.weight": rows["lm_head"]}
    if stage == 3:
        state |= lora(stem, ".default")
    state |= {
        "llama_proj.weight": torch.randn(WIDTH, ENCODER),
        "llama_proj.bias": torch.randn(WIDTH),
    }
    for modality, suffix in (("image", ""), ("video", "_video"), ("audio", "_audio")):
        if stage > 1:
            part = transformer(*SHAPES[modality]).items()
            state |= {f"gen_text_hidden_fcs{suffix}.0.{name}": tensor for name, tensor in part}
    return state


def current_files(base: Path, folder: Path) -> dict[str, State]:
    """Every file of today's code, the embedding with another value in each."""
    torch.manual_seed(7)
    names = {"fc": "in_fc", "model": "out_fc"}
    outputs = {
        f"model.mm_output_{short}_projector.{names.get((p := name.split('.', 1))[0], p[0])}"
        + (f".{p[1]}" if len(p) > 1 else ""): tensor
        for short, modality in (("img", "image"), ("vid", "video"), ("aud", "audio"))
        for name, tensor in transformer(*SHAPES[modality]).items()
    }  # fmt: skip
    rows = [matrices(base, len(ORDER) - 2) for _ in range(3)]
    linear = {"weight": torch.randn(WIDTH, ENCODER), "bias": torch.randn(WIDTH)}
    linear = {f"model.mm_input_projector.{name}": tensor for name, tensor in linear.items()}
    peft = "base_model.model."
    files = {
        "mm_input_projector.bin": {**linear, "model.embed_tokens.weight": rows[0]["embed_tokens"]},
        "mm_output_projector.bin": {
            **outputs,
            "model.embed_tokens.weight": rows[1]["embed_tokens"],
            "lm_head.weight": rows[1]["lm_head"],
        },
        "adapter_model.safetensors": lora(f"{peft}model.", ""),
        "non_lora_trainables.bin": {
            **{peft + name: tensor + 1 for name, tensor in linear.items()},
            f"{peft}model.embed_tokens.weight": rows[2]["embed_tokens"],
            f"{peft}lm_head.weight": rows[2]["lm_head"],
            f"{peft}model.something.inv_freq": torch.arange(3),
        },
    }
    folder.mkdir()
    for file, state in files.items():
        save = save_file if file.endswith(".safetensors") else torch.save
        save(state, folder / file)
    settings = {"r": RANK, "lora_alpha": 16, "lora_dropout": 0.05}
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    return files


def assert_same(one: State, other: State) -> None:
    assert list(one) == list(other)
    for name in one:
        assert one[name].dtype == other[name].dtype, name
        assert torch.equal(one[name], other[name]), name


@pytest.fixture
def legacy_file(base: Path, tmp_path: Path) -> Path:
    torch.save(legacy_state(base), tmp_path / "pytorch_model.pt")
    return tmp_path / "pytorch_model.pt"


def model_of(folder: Path, base: Path) -> NextGPT:
    """What `NextGPT.from_pretrained` builds, around a small encoder."""
    config = NextGPTConfig.from_dict(json.loads((folder / CONFIG_FILE).read_text())["config"])
    llm = LanguageModel.from_pretrained(base, config.signal_tokens, config.lora, str(base))
    vision = VisionConfig(width=16, blocks=1, heads=2, image_size=32, kernel=(2, 16, 16))
    encoder = Encoder(ImageBind(ImageBindConfig(out=ENCODER, vision=vision)), PreprocessConfig())
    return NextGPT(config, encoder, llm)


@pytest.mark.parametrize("stage", [1, 2, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_legacy_file_comes_back_bit_for_bit(
    stage: int, dtype: torch.dtype, base: Path, tmp_path: Path
) -> None:
    state = {name: tensor.to(dtype) for name, tensor in legacy_state(base, stage).items()}
    torch.save(state, tmp_path / "pytorch_model.pt")
    source, ours = str(tmp_path / "pytorch_model.pt"), str(tmp_path / "ours")
    command = ["convert", "--from", "legacy", source, "--output", ours]
    assert main([*command, "--base", str(base)]) == 0
    assert main(["convert", "--to", "legacy", ours, "--output", str(tmp_path / "back")]) == 0
    back = tmp_path / "back" / "pytorch_model.pt"
    assert_same(torch.load(back, weights_only=True), state)
    assert back.read_bytes() == (tmp_path / "pytorch_model.pt").read_bytes()


def test_the_legacy_layout_has_647_tensors() -> None:
    checkpoint = Checkpoint(matrices=dict.fromkeys(MATRICES, torch.zeros(1)))
    with torch.device("meta"):
        names = OutputProjection(8, 1, 8).state_dict()
        checkpoint.trained = {
            **{f"input_projection.linear.{name}": torch.zeros(1) for name in ("weight", "bias")},
            **{f"output_projections.{m}.{n}": t for m in SHAPES for n, t in names.items()},
            **{
                f"base_model.model.model.layers.{i}.self_attn.{p}_proj.lora_{side}.weight": t
                for i in range(32) for p in "qkvo" for side in "AB" for t in [torch.zeros(1)]
            },
        }  # fmt: skip
    (file,) = default_files("legacy", checkpoint).values()
    assert len(file) == len(set(file)) == 647
    assert all(
        place_of("legacy", name) in checkpoint.trained | checkpoint.matrices for name in file
    )
    stem = "llama_model.base_model.model."
    assert {
        f"{stem}model.embed_tokens.weight", f"{stem}lm_head.weight", "llama_proj.bias",
        f"{stem}model.layers.31.self_attn.o_proj.lora_B.default.weight",
        "gen_text_hidden_fcs_audio.0.query_embs", "gen_text_hidden_fcs_video.0.fc.weight",
        "gen_text_hidden_fcs.0.tfm.decoder.layers.3.multihead_attn.in_proj_weight",
    } <= set(file)  # fmt: skip


def test_current_files_come_back_bit_for_bit(base: Path, tmp_path: Path) -> None:
    files = current_files(base, tmp_path / "theirs")
    from_released("current", tmp_path / "theirs", tmp_path / "ours", str(base))
    to_released("current", tmp_path / "ours", tmp_path / "back")
    for file, state in files.items():
        path = tmp_path / "back" / file
        safe = file.endswith(".safetensors")
        again = load_file(path) if safe else torch.load(path, weights_only=True)
        assert_same(dict(sorted(again.items())), dict(sorted(state.items())))
    settings = json.loads((tmp_path / "back" / "adapter_config.json").read_text())
    assert (settings["r"], settings["lora_alpha"]) == (RANK, 16)


def test_of_two_files_the_later_one_counts(base: Path, tmp_path: Path) -> None:
    files = current_files(base, tmp_path / "theirs")
    from_released("current", tmp_path / "theirs", tmp_path / "ours", str(base))
    ours = load_file(tmp_path / "ours" / "projections.safetensors")
    theirs = files["non_lora_trainables.bin"]["base_model.model.model.mm_input_projector.weight"]
    assert torch.equal(ours["input_projection.linear.weight"], theirs)


def test_a_converted_folder_loads_and_each_token_has_its_own_row(
    base: Path, legacy_file: Path, tmp_path: Path
) -> None:
    from_released("legacy", legacy_file, tmp_path / "ours", str(base))
    model = model_of(tmp_path / "ours", base)
    model.load_trained(tmp_path / "ours")
    assert model.config.chat_format == "vicuna-v0"
    state = legacy_state(base)
    prefix = "llama_model.base_model.model."
    vocabulary = model.llm.base["vocabulary"]
    names = model.llm.tokenizer.convert_tokens_to_ids(ORDER)
    embedding = state[f"{prefix}model.embed_tokens.weight"]
    assert torch.equal(model.llm.embed(torch.tensor(names)), embedding[vocabulary:])
    assert torch.equal(model.llm.embed(torch.arange(vocabulary)), embedding[:vocabulary])
    hidden = torch.randn(1, WIDTH)
    theirs = torch.nn.functional.linear(hidden, state[f"{prefix}lm_head.weight"])
    ours = model.llm.logits(hidden)[:, [*range(vocabulary), *names]]
    torch.testing.assert_close(ours, theirs)
    sound = torch.tensor(model.llm.tokenizer.convert_tokens_to_ids(["<Aud>", "</Vid>"]))
    assert torch.equal(model.llm.embed(sound), embedding[vocabulary : vocabulary + 2])

    model.save_pretrained(tmp_path / "again")  # what was laid over the base is not lost
    assert (tmp_path / "again" / BASE_ROWS_FILE).is_file()
    again = model_of(tmp_path / "again", base)
    again.load_trained(tmp_path / "again")
    ids = torch.arange(model.llm.causal_lm.config.vocab_size)
    assert torch.equal(again.llm.embed(ids), model.llm.embed(ids))


def test_what_a_stage_1_file_lacks_starts_anew(base: Path, tmp_path: Path) -> None:
    torch.save(legacy_state(base, 1), tmp_path / "stage1.pt")
    said = from_released("legacy", tmp_path / "stage1.pt", tmp_path / "ours", str(base))
    assert any("start anew: output_projections.image" in line for line in said)
    model = model_of(tmp_path / "ours", base)
    before = model.output_projections["image"].query_embs.clone()
    model.load_trained(tmp_path / "ours")
    assert torch.equal(model.output_projections["image"].query_embs, before)
    linear = legacy_state(base, 1)["llama_proj.weight"]
    assert torch.equal(model.input_projection.linear.weight, linear)


@pytest.mark.parametrize("layout", ["legacy", "current"])
def test_a_model_trained_here_can_be_given_to_the_authors_code(
    layout: str, base: Path, legacy_file: Path, tmp_path: Path
) -> None:
    from_released("legacy", legacy_file, tmp_path / "ours", str(base))
    model = model_of(tmp_path / "ours", base)
    model.save_pretrained(tmp_path / "trained")  # never converted: no note, the base's own rows
    assert not (tmp_path / "trained" / NOTE_FILE).exists()
    said = to_released(layout, tmp_path / "trained", tmp_path / "theirs")
    assert "<Aud>" in said[-1] and "left out" in said[-1]
    from_released(layout, tmp_path / "theirs", tmp_path / "back", str(base))
    again = model_of(tmp_path / "back", base)
    again.load_trained(tmp_path / "back")
    signals = [i for i, t in enumerate(model.llm.describe_ids(model.llm.new_ids)) if "[" in t]
    for mine, theirs in zip(trained_state(model), trained_state(again), strict=True):
        for name in mine:
            rows = signals if "trainable_tokens" in name else slice(None)
            assert torch.equal(mine[name][rows], theirs[name][rows]), name


def refused(
    path: Path, tmp_path: Path, base: Path | None, capsys: pytest.CaptureFixture[str]
) -> str:
    command = ["convert", "--from", "legacy", str(path), "--output", str(tmp_path / "ours")]
    assert main([*command, *(["--base", str(base)] if base else [])]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "Traceback" not in error
    assert not (tmp_path / "ours").exists()
    return error


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [("vocab_size", 99, "vocab_size is 99"), ("hidden_size", 60, "hidden_size is 60"),
     ("num_hidden_layers", 3, "num_hidden_layers is 3")],
)  # fmt: skip
def test_another_base_model_is_refused(
    field: str, value: int, said: str, base: Path, legacy_file: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    other = tmp_path / "other"
    other.mkdir()
    numbers = json.loads((base / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**numbers, field: value}))
    assert said in refused(legacy_file, tmp_path, other, capsys)


def test_a_base_of_the_same_size_but_other_weights_is_refused(
    base: Path, legacy_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = stand_in(tmp_path / "other", seed=1)
    assert "mean cosine" in refused(legacy_file, tmp_path, other, capsys)


def test_another_order_of_tokens_is_refused(
    base: Path, legacy_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vocabulary = json.loads((base / "config.json").read_text())["vocab_size"]
    order = {token: vocabulary + i for i, token in enumerate(ORDER)}
    (tmp_path / "added_tokens.json").write_text(json.dumps(order))
    from_released("legacy", legacy_file, tmp_path / "fine", str(base))
    order["[IMG0]"], order["[IMG1]"] = order["[IMG1]"], order["[IMG0]"]
    (tmp_path / "added_tokens.json").write_text(json.dumps(order))
    assert "is [IMG1], expected [IMG0]" in refused(legacy_file, tmp_path, base, capsys)


def test_a_wrong_base_is_refused_when_loading_too(
    base: Path, legacy_file: Path, tmp_path: Path
) -> None:
    from_released("legacy", legacy_file, tmp_path / "ours")  # base unknown until it is loaded
    model_of(tmp_path / "ours", base).load_trained(tmp_path / "ours")
    numbers = json.loads((tmp_path / "ours" / CONFIG_FILE).read_text())
    numbers["base"]["vocabulary"] += 4  # 32042 instead of 32038, in the released code's case
    (tmp_path / "ours" / CONFIG_FILE).write_text(json.dumps(numbers))
    seal(tmp_path / "ours")
    with pytest.raises(ValueError, match="field 'base'"):
        model_of(tmp_path / "ours", base).load_trained(tmp_path / "ours")


def test_broken_files_are_refused(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "pytorch_model.pt"
    with pytest.raises(MissingError, match="does not exist"):
        from_released("legacy", tmp_path / "none.pt", tmp_path / "ours", None)
    path.write_bytes(b"PK\x03\x04 cut")
    assert "is damaged or holds more than tensors" in refused(path, tmp_path, None, capsys)
    torch.save({"weights": Path("code")}, path)
    assert "is damaged or holds more than tensors" in refused(path, tmp_path, None, capsys)
    torch.save({"something": torch.zeros(1)}, path)
    assert "no tensor of a NExT-GPT" in refused(path, tmp_path, None, capsys)
    state = legacy_state(base)
    del state["gen_text_hidden_fcs.0.tfm.decoder.norm.weight"]
    torch.save(state, path)
    assert "tfm.decoder.norm.weight is no such tensor" in refused(path, tmp_path, base, capsys)
    state = legacy_state(base)
    state["llama_proj.weight"] = torch.zeros(60, ENCODER)
    torch.save(state, path)
    assert "different LLM widths" in refused(path, tmp_path, base, capsys)
