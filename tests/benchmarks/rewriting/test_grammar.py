"""The grammar: what is said is right, and nothing is said or written in two ways."""

import random
from datetime import date

import pytest
from grammar import PHRASES, TEMPLATES, a_date, a_price, a_time, cardinal, ordinal, sentence, sentences, year


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "zero"),
        (8, "eight"),
        (13, "thirteen"),
        (15, "fifteen"),
        (18, "eighteen"),
        (40, "forty"),
        (99, "ninety-nine"),
        (100, "one hundred"),
        (101, "one hundred and one"),
        (730, "seven hundred and thirty"),
        (1000, "one thousand"),
        (2005, "two thousand and five"),
        (4731, "four thousand seven hundred and thirty-one"),
    ],
)
def test_numbers_are_said_as_the_british_say_them(number: int, said: str) -> None:
    assert cardinal(number) == said


@pytest.mark.parametrize(
    ("number", "said"),
    [(1, "first"), (12, "twelfth"), (13, "thirteenth"), (20, "twentieth"), (31, "thirty-first"), (99, "ninety-ninth")],
)
def test_ordinals(number: int, said: str) -> None:
    assert ordinal(number) == said


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (1900, "nineteen hundred"),
        (1905, "nineteen oh five"),
        (1999, "nineteen ninety-nine"),
        (2000, "two thousand"),
        (2005, "two thousand and five"),
        (2024, "twenty twenty-four"),
    ],
)
def test_years(number: int, said: str) -> None:
    assert year(number) == said


def test_a_quarter_to_counts_to_the_next_hour() -> None:
    draw = random.Random(0)
    times = dict(a_time(draw) for _ in range(5000))
    assert times["11:45"] == "a quarter to twelve in the afternoon"
    assert times["23:45"] == "a quarter to twelve in the morning"
    assert times["17:30"] == "half past five in the afternoon"
    assert times["00:00"] == "twelve o'clock in the morning"


def test_dates_are_those_of_the_calendar() -> None:
    draw = random.Random(0)
    for written, said in (a_date(draw) for _ in range(500)):
        day = date.fromisoformat(written)
        assert said == f"the {ordinal(day.day)} of {day:%B} {year(day.year)}"


def test_a_single_pound_is_a_pound() -> None:
    draw = random.Random(0)
    prices = dict(a_price(draw) for _ in range(20000))
    assert prices["£1"] == "one pound"
    assert prices["£2"] == "two pounds"
    assert all(("pound" in said) == written.startswith("£") for written, said in prices.items())


@pytest.mark.parametrize("kind", PHRASES)
def test_a_phrase_is_said_in_one_way_and_written_in_one_way(kind: str) -> None:
    draw = random.Random(kind)
    phrases = {PHRASES[kind](draw) for _ in range(5000)}
    assert len({written for written, _ in phrases}) == len({said for _, said in phrases}) == len(phrases)


def test_so_is_a_sentence() -> None:
    found = sentences(5000, seed=3)
    assert len({written for written, _ in found}) == len({said for _, said in found}) == 5000
    assert not any(character.isdigit() for _, said in found for character in said)
    assert not any("{" in written + said for written, said in found)


def test_every_template_is_used_and_the_seed_decides() -> None:
    assert sentences(50, seed=1) == sentences(50, seed=1) != sentences(50, seed=2)
    draw = random.Random(1)
    beginnings = {sentence(draw)[1].split()[0] for _ in range(1000)}
    assert {template.split()[0] for template in TEMPLATES} <= beginnings
