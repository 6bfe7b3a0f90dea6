"""The three stages: what learns moves, what is frozen stays bit for bit, nothing gets lost."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.data.records import Record
from nextgpt_lite.model.batch import collate
from nextgpt_lite.model.config import NextGPTConfig
from nextgpt_lite.model.losses import Divisors
from nextgpt_lite.training.loop import Schedule, Trainer
from nextgpt_lite.training.stages import (
    STAGES,
    check_learning,
    frozen_state,
    ledger,
    open_for,
    part_of,
)
from tests.tiny import Made, tiny_model
from tests.training.runs import QUICK, record, snapshot, trainer


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_frozen_stay_and_the_learning_move(number: int, tmp_path: Path) -> None:
    model, stage = tiny_model(), STAGES[number]
    before = snapshot(model)
    trainer(model, number, tmp_path).run()
    frozen = dict(frozen_state(model, stage))
    assert frozen, "something must be frozen"
    for name, value in frozen.items():
        assert torch.equal(value, before[name]), f"{name} is frozen in stage {number} but moved"
    moved = {
        part_of(name)
        for name, value in model.named_parameters()
        if not torch.equal(value, before[name])
    }
    assert moved == set(stage.learns)


def test_only_the_new_rows_move_in_embeddings_and_head(tmp_path: Path) -> None:
    model = tiny_model()
    ids = torch.arange(model.llm.causal_lm.config.vocab_size)
    new = torch.isin(ids, torch.tensor(model.llm.new_ids))

    def matrices() -> tuple[torch.Tensor, torch.Tensor]:
        with torch.no_grad():
            rows = model.llm.embed(ids)  # (V, D)
            head = model.llm.logits(torch.eye(model.llm.width)).T  # (V, D)
        return rows.clone(), head.clone()

    before = matrices()
    trainer(model, 2, tmp_path).run()
    for old, now in zip(before, matrices(), strict=True):
        assert torch.equal(old[~new], now[~new])
        assert (old[new] != now[new]).any(-1).all(), "every new row learns"


def test_the_ledger_says_what_the_gradients_do() -> None:
    for stage in STAGES.values():
        model = tiny_model()
        open_for(model, stage)
        # LoRA's B starts at zero, which hides A's gradient in the very first step.
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter)
        batch, _ = trainer(model, stage.number, Path("unused")).batch(0)
        losses = model.loss(batch)
        for loss in ("text", "signal", "condition"):
            model.zero_grad()
            getattr(losses, loss).backward(retain_graph=True)
            reached = {
                part_of(name)
                for name, p in model.named_parameters()
                if p.grad is not None and p.grad.any()
            }
            said = {row.part for row in ledger(model, stage) if loss in row.losses}
            assert reached >= said, f"stage {stage.number}: {loss} misses {said - reached}"
            assert reached <= set(stage.learns)


def test_the_ledger_names_parts_counts_and_dtypes() -> None:
    model = tiny_model()
    model.encoder.bfloat16()
    rows = {row.part: row for row in ledger(model, STAGES[1])}
    assert rows["encoder"].dtype == "bfloat16" and rows["lora"].dtype == "float32"
    assert sum(row.parameters for row in rows.values()) == sum(
        parameter.numel() for parameter in model.parameters()
    )


def test_the_ledger_counts_an_encoder_that_is_not_loaded() -> None:
    model = NextGPT.from_config(NextGPTConfig.from_profile("lite"), 0)
    rows = [ledger(model, STAGES[1])[0]]
    assert "encoder" not in dict(model.named_children())
    assert model.encoder.width == model.encoder_width
    rows.append(ledger(model, STAGES[1])[0])
    assert [row.part for row in rows] == ["encoder", "encoder"]
    assert rows[0].parameters == rows[1].parameters > 0
    assert [row.dtype for row in rows] == ["not loaded", "float32"]


def test_a_run_that_would_not_do_what_its_ledger_says_is_stopped(tmp_path: Path) -> None:
    run = trainer(tiny_model(), 3, tmp_path)
    run.model.requires_grad_(False)  # as the released script does, after all was set up
    with pytest.raises(RuntimeError, match="would learn nothing"):
        run.run()
    run = trainer(tiny_model(), 1, tmp_path)
    run.model.llm.requires_grad_(True)
    with pytest.raises(RuntimeError, match="would learn, but stage 1 keeps 'llm' frozen"):
        run.run()
    run = trainer(tiny_model(), 3, tmp_path)
    run.model.output_projections["audio"].requires_grad_(False)
    with pytest.raises(RuntimeError, match=r"output_projections.audio.* would not learn"):
        check_learning(run.model, run.stage, run.optimizers[0])


def test_a_modality_that_no_conversation_shows_takes_no_step(tmp_path: Path) -> None:
    def without_clips(index: int) -> Record:
        made = record(3 * index)  # shows a picture, asks for a sound and a picture
        assert [p["type"] for p in made.messages[1]["content"]] == ["text", "audio", "image"]
        return made

    model = tiny_model()
    before = snapshot(model)
    schedule = Schedule.of(STAGES[3], **{**QUICK, "steps": 2})
    Trainer(model, STAGES[3], Made(without_clips), tmp_path, schedule).run()
    for name, value in model.named_parameters():
        if name.startswith("output_projections."):
            same = torch.equal(value, before[name])
            assert same == name.startswith("output_projections.video."), name


def test_the_total_is_the_mean_cross_entropy_plus_the_condition_distance() -> None:
    model = tiny_model()
    batch, _ = trainer(model, 3, Path("unused")).batch(0)
    losses = model.loss(batch)
    embeddings = model.splice(
        model.llm.embed(batch.ids), batch.media_rows, batch.media_starts, batch.media_features
    )
    theirs = model.llm.peft(
        inputs_embeds=embeddings, attention_mask=batch.attention_mask, labels=batch.labels
    ).loss
    torch.testing.assert_close(losses.text + losses.signal, theirs, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(losses.total, losses.text + losses.signal + losses.condition)


def test_unequal_shares_of_a_batch_give_the_losses_of_the_whole() -> None:
    """Two processes with one and three conversations, or two backward passes."""
    model = tiny_model()
    run = trainer(model, 3, Path("unused"))
    made = {"pad_id": 0, "width": 24, "features": run.features.media,
            "conditions": run.features.conditions}  # fmt: skip
    encoded = [model.conversation.encode(record(index).messages) for index in range(4)]
    whole = model.loss(collate(encoded, **made))
    shares = [collate(part, **made) for part in (encoded[:1], encoded[1:])]
    parts = zip(*(share.divisors() for share in shares), strict=True)
    divisors = Divisors(*(torch.stack(part).mean(0) for part in parts))
    losses = torch.stack([torch.stack(model.loss(share, divisors)) for share in shares]).mean(0)
    torch.testing.assert_close(losses, torch.stack(whole), atol=1e-5, rtol=1e-5)
    naive = torch.stack([model.loss(share).total for share in shares]).mean()
    assert not torch.isclose(naive, whole.total, rtol=1e-3), "else the test would show nothing"


def test_states_are_read_at_the_signal_tokens_themselves() -> None:
    """With gaps wider than one position the released code reads elsewhere."""
    model = tiny_model(input_tokens=4)
    batch, _ = trainer(model, 3, Path("unused")).batch(0)
    for modality, target in batch.signals.items():
        for row, start in zip(target.rows, target.starts, strict=True):
            ids = model.llm.signal_ids[modality]
            assert batch.ids[row, start : start + len(ids)].tolist() == ids
    changed = batch.ids.clone()
    last = max(int(start) for start in batch.signals["image"].starts) + 5
    changed[:, last:] = 1
    before = model.loss(batch).condition
    batch.ids = changed
    assert torch.equal(before, model.loss(batch).condition), "nothing after a block reaches it"


def test_a_stage_keeps_what_the_stage_before_learned(tmp_path: Path) -> None:
    model = tiny_model()
    trainer(model, 3, tmp_path / "three").run()
    again = tiny_model()
    again.load_trained(tmp_path / "three")
    for (name, ours), theirs in zip(model.named_parameters(), again.parameters(), strict=True):
        assert torch.equal(ours, theirs), name


def test_another_base_model_is_refused(tmp_path: Path) -> None:
    tiny_model().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="base"):
        tiny_model(seed=1).load_trained(tmp_path)
    other = tiny_model(signal_tokens={"image": 4, "audio": 8, "video": 24})
    with pytest.raises(ValueError, match="signal_ids"):
        other.load_trained(tmp_path)
