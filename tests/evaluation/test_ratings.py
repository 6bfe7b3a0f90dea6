"""People's judgements: agreement against published values, blindness, files, keys, tables."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import ipywidgets as widgets
import pytest
from PIL import Image

from nextgpt_lite.display import MIME
from nextgpt_lite.errors import DamagedError
from nextgpt_lite.evaluation.protocols import Answer, Instruction
from nextgpt_lite.evaluation.ratings.items import Item, item_of, read_items, write_items
from nextgpt_lite.evaluation.ratings.results import Results
from nextgpt_lite.evaluation.ratings.session import QUESTIONS, Session, read_judgements
from nextgpt_lite.notebook.rating import TURN, RatingWidget, rating_html
from nextgpt_lite.reply import Reply
from nextgpt_lite.world.dialogue.parts import assistant, user
from nextgpt_lite.world.scene import Group, Picture

SYSTEMS = ("ours", "captions", "tools")


def items(count: int = 3) -> list[Item]:
    """Items whose pictures differ by system."""
    shades = dict(zip(SYSTEMS, ("red", "green", "blue"), strict=True))
    return [
        Item(
            f"i{index}",
            "image",
            "simple" if index % 2 else "complex",
            [{"type": "text", "text": f"Draw <b>{index}</b>."}],
            {
                name: [
                    {"type": "text", "text": "Here it is."},
                    {"type": "image", "data": Image.new("RGB", (8, 8), shade)},
                ]
                for name, shade in shades.items()
            },
        )
        for index in range(count)
    ]


def test_orders_are_seeded_differ_between_raters_and_say_nothing(tmp_path: Path) -> None:
    many = items(12)
    ada, again, ben = (
        Session(many, tmp_path / f"{name}.jsonl", name) for name in ("ada", "ada", "ben")
    )
    assert ada.tasks == again.tasks != ben.tasks
    firsts = [ada.order(item)[0] for item in many]
    assert {*firsts} == {*SYSTEMS}
    assert firsts != [ben.order(item)[0] for item in many]
    page = rating_html(many[0], ada.order(many[0]), "following")
    assert not any(name in page for name in SYSTEMS)
    assert "Draw &lt;b&gt;0&lt;/b&gt;." in page


def test_a_session_goes_on_and_a_cut_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "ada.jsonl"
    session = Session(items(), path, "ada")
    for points in ([1, 10, 5], [2, 3, 4]):
        session.judge(points)
    with path.open("a") as file:
        file.write('{"id": "i0", "asp')
    again = Session(items(), path, "ada")
    assert again.done == 2
    assert again.task == session.task
    again.judge([7, 7, 7])
    assert [each.points for each in read_judgements(path)] == [(1, 10, 5), (2, 3, 4), (7, 7, 7)]
    again.undo()
    again.undo()
    assert [each.points for each in read_judgements(path)] == [(1, 10, 5)]
    path.write_text("no judgement\n" + path.read_text())
    with pytest.raises(ValueError, match=r"ada\.jsonl, line 1"):
        read_judgements(path)


@pytest.mark.parametrize("points", [[1, 2], [0, 5, 5], [5, 5, 11]])
def test_points_out_of_range_are_refused(points: list[int], tmp_path: Path) -> None:
    session = Session(items(), tmp_path / "ada.jsonl", "ada")
    with pytest.raises(ValueError, match="1 to 10 for each of 3 answers"):
        session.judge(points)
    assert session.done == 0


def test_keys_judge_and_take_back(tmp_path: Path) -> None:
    session = Session(items(1), tmp_path / "ada.jsonl", "ada")
    widget = RatingWidget(session)
    for typed in ("9", "90x"):  # as a front end sends it: all that is in the box
        widget._keys.value = typed
    assert widget._points == [9, 10]
    marks = [card.children[0].value for card in widget._cards.children]
    assert marks == ["<b>A: 9</b>", "<b>B: 10</b>", "<b>C</b>"]
    assert [TURN in card.layout.border_top for card in widget._cards.children] == [0, 0, 1]
    widget._keys.value = "90"  # backspace
    assert widget._points == [9]
    widget._keys.value = "9012"
    assert [each.points for each in session.judgements] == [(9, 1, 2)]
    assert "question 2 of 3" in widget._status.value
    widget._keys.value = "90123"  # sent before the box could have been cleared: one key more
    assert widget._points == [3]
    widget.press("-")
    widget._keys.value = "5"  # all was marked and typed over: nobody meant four to be taken back
    widget.press("-")
    assert session.done == 0
    for _ in range(9):
        widget._buttons.children[6].click()
    assert session.task is None
    assert session.judgements[0].points == (7, 7, 7)
    assert "All is judged" in widget.static().data["text/html"]
    widget.press("5")
    assert session.done == 3


def test_media_stay_as_they_play_until_the_next_item(tmp_path: Path) -> None:
    widget = RatingWidget(Session(items(2), tmp_path / "ada.jsonl", "ada"))
    first = widget._cards.children
    sent: list[str] = []
    for card in first:
        card.children[1].observe(lambda change: sent.append(change["new"]), "value")
    for key in "1" * 8:
        widget.press(key)
    assert (widget._cards.children, sent) == (first, [])
    widget.press("1")
    assert not {*widget._cards.children} & {*first}
    assert "instruction 2 of 2, question 1 of 3" in widget._status.value


def states(widget: widgets.Widget) -> Iterator[str]:
    """All that a front end is sent of a widget and of those within it."""
    yield str({name: getattr(widget, name) for name in widget.keys if name != "children"})
    for child in getattr(widget, "children", ()):
        yield from states(child)


@pytest.mark.parametrize("mode", ["points", "best"])
def test_the_page_of_a_rater_names_no_system(mode: str, tmp_path: Path) -> None:
    widget = RatingWidget(Session(items(), tmp_path / "ada.jsonl", "ada", mode=mode))
    for key in ("1", "a", "2"):
        widget.press(key)
        page = "".join([*states(widget.widget), json.dumps(widget.static().data)])
        assert page.count("<img") == 2 * len(SYSTEMS)
        assert not any(name in page for name in SYSTEMS)


def test_a_widget_shows_itself_where_no_front_end_runs(tmp_path: Path) -> None:
    session = Session(items(), tmp_path / "a" / "ada.jsonl", "ada", mode="best")
    widget = RatingWidget(session)
    bundle = widget._repr_mimebundle_()
    assert bundle[MIME] == {"kind": "rating", "mode": "best", "answers": 3, "done": 0}
    assert bundle["text/html"].count("<img") == 3
    widget.press("b")
    assert session.judgements[0].points == (0, 1, 0)
    widget.press("d")
    assert session.done == 1
    with pytest.raises(ValueError, match="'best'"):
        Session(items(), session.path, "ada", mode="points")


def test_a_file_that_cannot_be_written_is_said_in_the_status_line(tmp_path: Path) -> None:
    session = Session(items(), tmp_path / "ada.jsonl", "ada")
    widget = RatingWidget(session)
    session.journal.path = tmp_path / "ada.jsonl" / "below"
    (tmp_path / "ada.jsonl").touch()
    for key in "555":
        widget.press(key)
    assert "ada.jsonl" in widget._status.value
    assert session.done == 0


def test_items_survive_their_folder_and_stay_inside(tmp_path: Path) -> None:
    write_items(items(2), tmp_path)
    assert not any(name in path.name for name in SYSTEMS for path in tmp_path.iterdir())
    back = read_items(tmp_path)
    assert [item.id for item in back] == ["i0", "i1"]
    assert back[0].answers["tools"][1]["data"].getpixel((0, 0)) == (0, 0, 255)
    text = (tmp_path / "items.json").read_text()
    (tmp_path / "items.json").write_text(text.replace("image_0000.png", "../outside.png"))
    with pytest.raises(DamagedError, match=r"items\.json.*outside"):
        read_items(tmp_path)


def test_tables_and_csv_hold_what_was_said(tmp_path: Path) -> None:
    for rater, shift in (("ada", 0), ("ben", 1)):
        session = Session(items(4), tmp_path / f"{rater}.jsonl", rater)
        while session.task is not None:
            order = session.order(session.task[0])
            session.judge([{"ours": 9, "captions": 6, "tools": 3}[name] + shift for name in order])
    results = Results.read(tmp_path)
    assert results.mean("ours", "quality", level="simple").mean == pytest.approx(95)
    assert results.mean("tools", "following").mean == pytest.approx(35)
    # Equal ranks, one point apart: 24 ratings, distances 1 within and 1 to 49 between units.
    assert results.agreement("following", "interval").mean == pytest.approx(0.92, abs=0.02)
    printed = results.markdown()
    assert printed.splitlines()[0].startswith("| system | simple: following | simple: rationality")
    assert "| ours | 95.0 [" in printed
    assert "2 raters, 4 instructions" in printed
    rows = results.rows
    assert len(rows) == 2 * 4 * 3
    assert {float(row["quality"]) for row in rows if row["system"] == "ours"} == {90, 100}
    assert {*QUESTIONS} <= {*rows[0]}
    assert json.loads((tmp_path / "ada.jsonl").read_text().splitlines()[0])["mode"] == "points"


def test_an_instruction_becomes_an_item_with_its_whole_conversation() -> None:
    scene = Picture((Group("cat", "red"),))
    messages = [user("What is it?", scene), assistant("It is a cat."), user("Draw it in blue.")]
    one = Instruction("i", messages, [], "image", "complex")
    reply = Reply([{"type": "text", "text": "Here it is."}])
    item = item_of(one, {"ours": Answer(reply), "tools": Answer(reply)})
    words = [part["text"] for part in item.asked if part["type"] == "text"]
    assert words == ["User: What is it?", "Assistant: It is a cat.", "User: Draw it in blue."]
    assert [part["data"].size for part in item.asked if part["type"] == "image"] == [(64, 64)]
    assert item.answers == {"ours": reply.parts, "tools": reply.parts}
    with pytest.raises(ValueError, match="two to four"):
        item_of(one, {"ours": Answer(reply)})
