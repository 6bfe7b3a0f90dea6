"""Instructions with their truth, what an answer is worth, and tables made from rows alone."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nextgpt_lite.encoders import Encoder
from nextgpt_lite.evaluation.baselines import Answer, GroundTruth, answer
from nextgpt_lite.evaluation.comparison import rows as comparison, run as run_comparison, table14
from nextgpt_lite.evaluation.comparison.instruction_files import (
    read_instructions,
    scene_of,
    scene_record,
    write_instructions,
)
from nextgpt_lite.evaluation.metrics.features import Features
from nextgpt_lite.media import Audio, Video
from nextgpt_lite.model.config import locate
from nextgpt_lite.model.modality import MODALITIES
from nextgpt_lite.reply import Reply
from nextgpt_lite.world.comparison.aspects import Judge, scene_read, scenes_told
from nextgpt_lite.world.comparison.instructions import (
    GROUPS,
    LEVELS,
    Instruction,
    instructions,
)
from nextgpt_lite.world.dialogue.parts import modality_of
from nextgpt_lite.world.render import render
from nextgpt_lite.world.scene import Clip, Group, Picture, Sound, is_held_out
from nextgpt_lite.world.sprites import background
from nextgpt_lite.world.verify import verify
from tests.tiny import tiny_model

COUNT = 24
CAR = Picture((Group("car", "red"),), None, "garden")
TWO = Picture((Group("dog", "blue"), Group("cat", "red", "small")), "left of", "sky")


@pytest.fixture(scope="module")
def made() -> list[Instruction]:
    return instructions(COUNT)


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge(Features(Encoder.from_pretrained(locate("lite/encoder")), "lite"))


# ---- instructions


def test_every_group_level_skill_and_split_has_its_share(made) -> None:
    counted = Counter((one.group, one.level) for one in made)
    assert counted == {(group, level): COUNT for group in GROUPS for level in LEVELS}
    skills = Counter((one.group, one.skill) for one in made if one.level == "complex")
    for group in GROUPS:
        shares = [count for (name, _), count in skills.items() if name == group]
        assert max(shares) - min(shares) <= 1
    assert {"numeration", "spatial", "attributes", "reference", "input", "long"} == {
        skill for group, skill in skills if group == "image"
    }
    for level in LEVELS:
        splits = Counter(one.split for one in made if one.level == level)
        assert min(splits.values()) >= 0.4 * COUNT * len(GROUPS)
    assert {one.length for one in made if one.level == "complex"} == {"short", "long"}
    assert len({one.id for one in made}) == len(made)


def test_what_is_wanted_is_what_the_group_says(made) -> None:
    for one in made:
        kinds = [modality_of(scene) for scene in one.wanted]
        assert {"several": len(kinds) > 1, "none": not kinds}.get(one.group, kinds == [one.group])
        assert one.messages[-1]["role"] == "user" and one.prompt
        media = [p for m in one.messages for p in m["content"] if p["type"] != "text"]
        if one.skill == "input":
            assert [p for p in one.messages[0]["content"] if p["type"] != "text"]
        if one.level == "simple":
            assert len(one.messages) == 1 and not media
        if one.split == "train":
            assert not any(is_held_out(scene) for scene in one.wanted)
        assert [*one.wanted] == scenes_told(one.words)


def test_a_larger_set_begins_with_the_smaller(made) -> None:
    few = instructions(5, groups=("audio", "none"))
    by_id = {one.id: one for one in made}
    assert all(by_id[one.id] == one for one in few) and len(few) == 20
    assert instructions(5, seed=1, groups=("audio",)) != few[:10]


def test_a_file_gives_back_what_was_written(made, tmp_path: Path) -> None:
    write_instructions(tmp_path / "a.jsonl", made)
    again = read_instructions(tmp_path / "a.jsonl")
    assert again == made
    write_instructions(tmp_path / "b.jsonl", again)
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()


def test_a_scene_is_told_as_geneval_does() -> None:
    record = scene_record(TWO)
    assert record["tag"] == "position"
    assert record["include"][1] == {
        "class": "cat", "count": 1, "color": "red", "size": "small", "position": ["right of", 0],
    }  # fmt: skip
    assert record["exclude"] == [{"class": "dog", "count": 2}, {"class": "cat", "count": 2}]
    assert scene_record(Picture((Group("car", "red", count=3),)))["tag"] == "counting"
    for scene in (TWO, CAR, Sound("dog", 3, "high"), Clip("cat", "pink", "grows")):
        assert scene_of(scene_record(scene)) == scene


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"group": "image"', '"group": "smell"', "line 2: field 'group' is 'smell'"),
        ('"words"', '"wordz"', "line 2: field 'words' is missing"),
        ('"color": "', '"color": "x', "line 2: field 'color' is 'x"),
        ("{", "", "line 2: "),
    ],
)
def test_a_mistake_in_a_file_is_one_sentence(tmp_path: Path, old, new, said) -> None:
    path = tmp_path / "a.jsonl"
    write_instructions(path, instructions(2, groups=("image",)))
    lines = path.read_text().splitlines()
    lines[1] = lines[1].replace(old, new, 1)
    path.write_text("\n".join(lines))
    with pytest.raises(ValueError) as error:
        read_instructions(path)
    assert said in str(error.value) and str(path) in str(error.value)
    assert "\n" not in str(error.value)


# ---- worth


def told(words: str, *media) -> Answer:
    parts: list[dict] = [{"type": "text", "text": words}]
    kinds = {Image.Image: "image", Audio: "audio"}
    for medium in media:
        kind = next((name for cls, name in kinds.items() if isinstance(medium, cls)), "video")
        parts.append({"type": kind, "data": medium})
    return Answer(Reply(parts))


def wanting(*scenes, words: str = "") -> Instruction:
    return Instruction("x", "image", "simple", "named", "train", [], scenes, words)


def test_the_truth_is_worth_everything(judge) -> None:
    system = GroundTruth(tiny_model())
    for one in instructions(1):
        if one.wanted:
            worth = judge.worth(one, answer(system, one.messages, wanted=one.wanted, seed=5))
            assert worth.following == worth.rationality == 100
            assert worth.quality > 60


def test_one_attribute_off_costs_a_share_of_following_and_all_of_rationality(judge) -> None:
    blue = render(Picture((Group("car", "blue"),), None, "garden"), 3)
    worth = judge.worth(wanting(CAR), told("Here is the picture.", blue))
    assert worth.following == pytest.approx(100 * 5 / 6)  # kind, size, count, place, words
    assert worth.rationality == 0 and worth.quality > 60
    lie = told("Here is a large blue car in the garden.", render(CAR, 3))
    assert judge.worth(wanting(CAR), lie).following == pytest.approx(100 * 5 / 6)


def test_missing_and_added_media_cost(judge) -> None:
    bark, picture = render(Sound("dog", 2), 1), render(CAR, 3)
    assert judge.worth(wanting(CAR), told("Here is the picture.")) == (0, 0, 0)
    added = judge.worth(wanting(CAR), told("Here they are.", picture, bark))
    assert (added.following, added.rationality) == (50, 0)
    half = judge.worth(wanting(CAR, Sound("dog", 2)), told("Here they are.", picture))
    assert (half.following, half.rationality) == (50, 0) and half.quality < 60


def test_words_alone(judge) -> None:
    right = judge.worth(wanting(words="Hello!"), told("Hello!"))
    assert right[:2] == (100, 100) and np.isnan(right.quality)
    assert judge.worth(wanting(words="Hello!"), told("Goodbye!"))[:2] == (100, 0)
    assert judge.worth(wanting(words="Hello!"), told("Hello!", render(CAR)))[:2] == (0, 0)


@pytest.mark.parametrize("scene", [CAR, Sound("bell", 2, "high"), Clip("dog", "red", "left")])
def test_quality_falls_with_noise_whatever_was_asked_for(judge, scene) -> None:
    random = np.random.default_rng(9)
    modality, medium = modality_of(scene), render(scene, 12)

    def quality(amount: float) -> float:
        spoiled = medium
        if modality == "audio":
            noise = random.normal(0, 0.1, medium.samples.shape)
            mixed = (1 - amount) * medium.samples + amount * noise
            spoiled = Audio(mixed.astype(np.float32), medium.rate)
        else:
            frames = np.asarray(medium) if modality == "image" else medium.frames
            mixed = (1 - amount) * frames + amount * random.integers(0, 256, frames.shape)
            pixels = mixed.astype(np.uint8)
            spoiled = Image.fromarray(pixels) if modality == "image" else Video(pixels, 4.0)
        return judge.quality(modality, spoiled, verify(scene, spoiled))

    true, spoiled, noise = quality(0.0), quality(0.12), quality(1.0)
    assert true > 85 and true >= spoiled >= noise == 0
    other = {"image": Sound("dog"), "audio": CAR, "video": CAR}[modality]
    assert judge.quality(modality, medium, verify(scene, medium)) == true
    assert scene_read(verify(other, render(other)).found) == other


def test_nothing_is_made_well_by_showing_nothing(judge) -> None:
    empty = Image.fromarray(np.asarray(background("garden")).astype(np.uint8))
    assert judge.worth(wanting(CAR), told("Here is the picture.", empty)).quality == 0


# ---- rows and tables


def rows(scores: dict[str, list[list[float]]], group: str = "image", level: str = "complex"):
    return [
        {
            "system": name, "seed": seed, "id": f"{index:03d}", "group": group, "level": level,
            "skill": "named", "split": "train", "pairs": "seen", "length": "short",
            "wanted": "image", "given": "image", "following": value, "rationality": value,
            "quality": "" if value < 0 else value, "text": "Here, \"it\" is.\n",
        }
        for name, by_seed in scores.items()
        for seed, values in enumerate(by_seed)
        for index, value in enumerate(values)
    ]  # fmt: skip


def test_rows_are_written_read_and_added_to(tmp_path: Path) -> None:
    first, second = rows({"a": [[1.0, 2.0]]}), rows({"b": [[3.0]]})
    comparison.write_rows(tmp_path / "r" / "rows.csv", first)
    comparison.write_rows(tmp_path / "r" / "rows.csv", second)
    again = comparison.read_rows(tmp_path / "r" / "rows.csv")
    assert [(r["system"], r["seed"], r["id"], float(r["following"])) for r in again] == [
        ("a", 0, "000", 1.0), ("a", 0, "001", 2.0), ("b", 0, "000", 3.0),
    ]  # fmt: skip
    assert again[0]["text"] == first[0]["text"]
    (tmp_path / "bad.csv").write_text("system,seed\n")
    with pytest.raises(ValueError, match="column 'id' is missing"):
        comparison.read_rows(tmp_path / "bad.csv")


def test_a_run_goes_on_where_it_stopped(tmp_path: Path, judge) -> None:
    made = instructions(3, groups=("image",))
    path, system = tmp_path / "rows.csv", GroundTruth(tiny_model())
    comparison.run([(0, system)], made[:2], judge, path)
    said: list[str] = []
    found = comparison.run([(0, system)], made, judge, path, watch=said.append)
    assert said == ["ground truth, seed 0: 4 of 4"]
    assert [row["id"] for row in found] == [one.id for one in made]
    assert comparison.mean(found, "rationality") == (100, 100, 100)


def test_a_system_of_one_seed_is_compared_with_all_seeds_of_another() -> None:
    many = rows({"end-to-end": [[3.0, 5.0], [5.0, 7.0]], "tool pipeline": [[1.0, 3.0]]})
    found = comparison.difference(many, "end-to-end", "tool pipeline", "following")
    assert found.interval.mean == 3.0 and found.p == 0.5
    missing = [row for row in many if not (row["system"] == "tool pipeline" and row["id"] == "001")]
    found = comparison.difference(missing, "end-to-end", "tool pipeline", "following")
    assert found.interval.mean == 3.0  # (3 + 5) / 2 - 1, on the prompt that both have


def test_decisions_are_counted_over_rows() -> None:
    many = rows({"a": [[0.0] * 4]})
    for row, (wanted, given) in zip(
        many, [("image", "image"), ("image+audio", "image"), ("", "audio"), ("video", "")],
        strict=True,
    ):  # fmt: skip
        row.update(wanted=wanted, given=given)
    assert comparison.decided(many, "image").f1.mean == 100
    assert comparison.decided(many, "audio").precision.mean == 0
    assert comparison.decided(many, "video").recall.mean == 0


def test_table_14_has_the_papers_numbers_beside_ours() -> None:
    scores = {name: [[50.0, 60.0]] for name in ("end-to-end", "caption messenger", "gold caption")}
    many = rows(scores) + rows(scores, level="simple")
    many = [{**row, "id": f"{row['level']}/{row['id']}"} for row in many]
    text = table14.table14(many)
    lines = text.splitlines()
    assert [line.split("|")[1].strip().split(" (")[0] for line in lines[2:]] == [
        "caption messenger", "end-to-end", "gold caption",
    ]  # fmt: skip
    assert lines[3].count("55.0") == 6 and lines[3].rstrip(" |").endswith("(80)")
    assert "(76)" in lines[2] and "(" not in lines[4]
    variant = rows({"end-to-end, shipped": [[1.0]], "a": [[1.0]]}, level="simple")
    assert table14.systems_of(many + variant) == [
        "caption messenger", "end-to-end", "end-to-end, shipped", "gold caption", "a",
    ]  # fmt: skip
    report = table14.report(many)
    assert "0.0 [0.0, 0.0], p = 1" in report and "F1" in report
    assert "12 tests, not corrected" in report and "together is 0.0042." in report
    assert table14.PAPER["NExT-GPT"] == (95, 92, 89, 84, 83, 80)


def test_shipped_answers_are_to_the_instructions_of_today() -> None:
    path = Path(__file__).parents[2] / "results" / "lite_baselines" / "baselines.csv"
    shipped = comparison.read_rows(path)
    asked = {one.id: one for one in instructions(100, groups=tuple(MODALITIES))}
    everything = ("tool pipeline", "gold caption", "ground truth", "end-to-end, shipped")
    pictures = sum(one.group == "image" for one in asked.values())
    assert Counter(row["system"] for row in shipped) == {
        **dict.fromkeys(everything, len(asked)),
        "image tools only": pictures,
    }
    for row in shipped:
        one = asked[row["id"]]
        assert (row["skill"], row["split"], row["pairs"], row["length"]) == (
            one.skill, one.split, one.pairs, one.length,
        )  # fmt: skip
        if row["system"] == "ground truth":
            assert row["rationality"] == "100.0" and row["text"] == one.words
    note = (path.parent / "README.md").read_text()
    for system in ("tool pipeline", "end-to-end, shipped", "gold caption"):
        for group, level in itertools.product(MODALITIES, LEVELS):
            mine = comparison.where(shipped, system=system, group=group, level=level)
            assert str(comparison.mean(mine, "following")) in note


def test_a_whole_comparison_is_gone_on_with_and_not_mixed(tmp_path: Path, monkeypatch) -> None:
    made = {"a": tiny_model(), "b": tiny_model(1), "c": tiny_model(messenger="caption")}
    monkeypatch.setattr(run_comparison.NextGPT, "from_pretrained", made.__getitem__)

    def compared(models, captions, **options) -> list[tuple[str, int]]:
        options = {"prompts": 2, "groups": ["image"], "num_inference_steps": 1, **options}
        run_comparison.compare_models(models, captions, tmp_path, **options)
        found = comparison.read_rows(tmp_path / "rows.csv")
        return [(row["system"], row["seed"]) for row in found]

    found = compared(["a", "b"], ["c"])
    assert Counter(found) == dict.fromkeys(
        (("end-to-end", 0), ("end-to-end", 1), ("caption messenger", 0), ("ground truth", 0),
         ("gold caption", 0), ("tool pipeline", 0), ("image tools only", 0)), 2,
    )  # fmt: skip
    assert compared(["a", "b"], ["c"]) == found
    assert len(compared(["a", "b"], ["c"], prompts=4)) == 2 * len(found)
    assert "NExT-GPT-caption" in (tmp_path / "report.md").read_text()
    assert len(read_instructions(tmp_path / "instructions.jsonl")) == 4
    with pytest.raises(ValueError, match="models was"):
        compared(["a"], ["c"])
    with pytest.raises(ValueError, match="'smell' is unknown"):
        compared(["a", "b"], ["c"], groups=["smell"])
    (tmp_path / "settings.json").unlink()
    with pytest.raises(ValueError, match="has the messenger 'caption'"):
        compared(["a", "c"], [])
