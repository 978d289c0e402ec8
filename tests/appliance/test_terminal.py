"""What is printed: nothing from the wire steers the terminal, and tables fit."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from vittne.appliance.ladder import Arrow, Participant, Remark, draw
from vittne.appliance.terminal import Cell, Column, cells, clean, duration, fit, padded, table

ANY_TEXT = st.text(st.characters(codec=None), max_size=40)
ROWS = st.builds(
    Arrow,
    at_s=st.floats(0, 1e6),
    source=st.integers(0, 3),
    target=st.integers(0, 3),
    label=ANY_TEXT,
    kind=st.sampled_from(["signal", "media"]),
    below=st.lists(ANY_TEXT, max_size=2).map(tuple),
) | st.builds(Remark, at_s=st.floats(0, 1e6), text=ANY_TEXT)


@given(ANY_TEXT)
def test_cleaned_text_holds_no_control_and_no_direction_marks(text: str) -> None:
    shown = clean(text)

    assert all(unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for letter in shown)
    assert len(shown) == len(text)


@given(ANY_TEXT.map(clean), st.integers(0, 30))
def test_a_text_is_fitted_into_its_columns(text: str, width: int) -> None:
    assert cells(fit(text, width)) <= max(width, 0) or cells(text) <= width
    assert cells(padded(text, width)) == width


def test_wide_letters_count_twice_and_combining_ones_not() -> None:
    assert cells("漢字") == 4
    assert cells("e\u0301") == 1
    assert padded("漢字漢字", 5) == "漢字…"


def test_a_table_gives_up_spare_columns_and_squeezes_before_it_gets_too_wide() -> None:
    columns = [Column("name", least=4), Column("n", right=True), Column("more", spare=1)]
    rows: list[list[str | Cell]] = [["abcdefgh", "1", "spare text"], [Cell("xy"), "22", ""]]

    assert table(columns, rows, 40) == ["name       n  more", "abcdefgh   1  spare text", "xy        22"]
    assert table(columns, rows, 12) == ["name       n", "abcdefgh   1", "xy        22"]
    assert table(columns, rows, 9) == ["name    n", "abcd…   1", "xy     22"]


@given(st.lists(st.lists(ANY_TEXT, min_size=3, max_size=3), max_size=4), st.integers(20, 80))
def test_a_table_of_anything_stays_within_the_width(rows: list[list[str]], width: int) -> None:
    columns = [Column("one", least=4), Column("two", least=4), Column("three", least=5)]

    lines = table(columns, rows, width)

    assert len(lines) == 1 + len(rows)
    assert all(cells(line) <= width for line in lines)


@given(st.lists(ROWS, max_size=6), st.integers(40, 200), st.integers(1, 4))
def test_a_ladder_of_anything_stays_within_the_width(rows: list[Arrow | Remark], width: int, many: int) -> None:
    participants = [Participant(f"10.0.0.{n}", "proxy") for n in range(many)]
    known = [row for row in rows if isinstance(row, Remark) or max(row.source, row.target) < many]

    lines = draw(participants, known, width)

    assert all(cells(line) <= width for line in lines)
    assert all(letter.isprintable() for line in lines for letter in line)


def test_lengths_of_time_are_shown_as_people_read_them() -> None:
    assert [duration(s) for s in (0, 3.04, 3.05, 59.99, 3599, 3600, None)] == [
        "0:00.0",
        "0:03.0",
        "0:03.1",
        "1:00.0",
        "59:59.0",
        "1:00:00",
        "",
    ]
