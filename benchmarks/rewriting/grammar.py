"""Sentences with dates, times, numbers, prices and measures in them, as they are written and as they are said.

    written  We sold 31 tickets at £12.50 before 17:45.
    said     We sold thirty-one tickets at twelve pounds fifty before a quarter to six in the afternoon.

Each sentence is drawn from a template; each template has places for a few kinds of phrases. No two written sentences
are said alike and none is said in two ways, so that both directions have one right answer.

    python benchmarks/rewriting/grammar.py 10 --seed 1      prints ten pairs, tab-separated
"""

import argparse
import calendar
import random
import re
from collections.abc import Callable
from datetime import date, timedelta
from functools import partial

Phrase = tuple[str, str]
"""As written, as said."""

_ONES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_ONES += tuple(f"{stem}teen" for stem in ("thir", "four", "fif", "six", "seven", "eigh", "nine"))
_TENS = ("zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
_MONTHS = calendar.month_name
_LENGTHS = {
    "km": ("kilometre", "kilometres"),
    "m": ("metre", "metres"),
    "cm": ("centimetre", "centimetres"),
    "mi": ("mile", "miles"),
}
_AMOUNTS = {"kg": ("kilogram", "kilograms"), "g": ("gram", "grams"), "l": ("litre", "litres")}
_DURATIONS = {"h": ("hour", "hours"), "min": ("minute", "minutes"), "s": ("second", "seconds")}
_FIRST_DAY = date(1900, 1, 1)
_DAYS = (date(2100, 1, 1) - _FIRST_DAY).days
_CURRENCIES = {"£": ("pound", "pounds"), "$": ("dollar", "dollars"), "€": ("euro", "euros")}


def cardinal(number: int) -> str:
    """0 to 9999, as the British say it."""
    if number < 20:
        return _ONES[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return _TENS[tens] + (f"-{_ONES[ones]}" if ones else "")
    above, below = divmod(number, 1000) if number >= 1000 else divmod(number, 100)
    said = f"{_ONES[above]} {'thousand' if number >= 1000 else 'hundred'}"
    if not below:
        return said
    return f"{said} {'and ' if below < 100 else ''}{cardinal(below)}"


def ordinal(number: int) -> str:
    """1 to 99."""
    tens, dash, last = cardinal(number).rpartition("-")
    return tens + dash + _ORDINALS.get(last, re.sub("y$", "ie", last) + "th")


def year(number: int) -> str:
    """1900 to 2099: nineteen hundred, nineteen oh five, two thousand and five, twenty twenty-four."""
    century, rest = divmod(number, 100)
    if century == 20 and rest < 10:
        return cardinal(number)
    if not rest:
        return f"{cardinal(century)} hundred"
    return f"{cardinal(century)} {'oh ' if rest < 10 else ''}{cardinal(rest)}"


def a_number(draw: random.Random) -> Phrase:
    number = draw.randrange(2, 10 ** draw.choice((1, 2, 3, 4)))
    return str(number), cardinal(number)


def an_ordinal(draw: random.Random) -> Phrase:
    number = draw.randrange(1, 100)
    teen = number // 10 == 1
    ending = "th" if teen else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}", ordinal(number)


def a_date(draw: random.Random) -> Phrase:
    day = _FIRST_DAY + timedelta(days=draw.randrange(_DAYS))
    return day.isoformat(), f"the {ordinal(day.day)} of {_MONTHS[day.month]} {year(day.year)}"


def a_time(draw: random.Random) -> Phrase:
    """Full hours, quarters and halves have names, which count to the next hour; other minutes are said as they are."""
    hour, minute = draw.randrange(24), draw.choice((0, 15, 30, 45, draw.randrange(1, 60)))
    written = f"{hour:02d}:{minute:02d}"
    if minute == 45:
        hour = (hour + 1) % 24
    part = "in the morning" if hour < 12 else "in the afternoon" if hour < 18 else "in the evening"
    name = cardinal(hour % 12 or 12)
    named = {0: f"{name} o'clock", 15: f"a quarter past {name}", 30: f"half past {name}", 45: f"a quarter to {name}"}
    exact = f"{name} {'oh ' if minute < 10 else ''}{cardinal(minute)}"
    return written, f"{named.get(minute, exact)} {part}"


def a_price(draw: random.Random) -> Phrase:
    sign = draw.choice(tuple(_CURRENCIES))
    one, many = _CURRENCIES[sign]
    whole, cents = draw.randrange(1, 1000), draw.choice((0, draw.randrange(1, 100)))
    said = f"{cardinal(whole)} {one if whole == 1 else many}"
    return (f"{sign}{whole}.{cents:02d}", f"{said} {cardinal(cents)}") if cents else (f"{sign}{whole}", said)


def a_measure(units: dict[str, tuple[str, str]], draw: random.Random) -> Phrase:
    unit = draw.choice(tuple(units))
    one, many = units[unit]
    whole, tenth = draw.randrange(1, 1000), draw.choice((0, draw.randrange(1, 10)))
    if tenth:
        return f"{whole}.{tenth} {unit}", f"{cardinal(whole)} point {cardinal(tenth)} {many}"
    return f"{whole} {unit}", f"{cardinal(whole)} {one if whole == 1 else many}"


def a_share(draw: random.Random) -> Phrase:
    number = draw.randrange(1, 101)
    return f"{number}%", f"{cardinal(number)} per cent"


def a_temperature(draw: random.Random) -> Phrase:
    number = draw.choice([*range(-30, -1), *range(2, 41)])
    return f"{number} °C", f"{'minus ' if number < 0 else ''}{cardinal(abs(number))} degrees Celsius"


PHRASES: dict[str, Callable[[random.Random], Phrase]] = {
    "number": a_number,
    "ordinal": an_ordinal,
    "date": a_date,
    "time": a_time,
    "price": a_price,
    "length": partial(a_measure, _LENGTHS),
    "amount": partial(a_measure, _AMOUNTS),
    "duration": partial(a_measure, _DURATIONS),
    "share": a_share,
    "temperature": a_temperature,
}
TEMPLATES = (
    "The train of {time} on {date} costs {price}.",
    "We walked {length} on {date}.",
    "Their {ordinal} child was born on {date} at {time}.",
    "A bag of {amount} costs {price}, and {number} of them cost {price}.",
    "There were {number} people, {share} of them from here.",
    "Room {number} is on the {ordinal} floor.",
    "At {time} it was {temperature}, and at {time} it was {temperature}.",
    "The shop opens at {time} and closes at {time}.",
    "She came {ordinal} of {number} after {duration}.",
    "Prices rose by {share} to {price}.",
    "It is {length} from here to the {ordinal} bridge.",
    "On {date} the bridge was {length} long.",
    "Mix {amount} with {amount} and heat it to {temperature} for {duration}.",
    "Of {number} letters we answered {share} by {date}.",
    "The {ordinal} meeting is on {date}, the {ordinal} on {date}.",
    "We sold {number} tickets at {price} before {time}.",
)
_PLACE = re.compile(r"\{(\w+)\}")


def sentence(draw: random.Random) -> Phrase:
    template = draw.choice(TEMPLATES)
    phrases = [PHRASES[name](draw) for name in _PLACE.findall(template)]
    written, said = (iter(side) for side in zip(*phrases, strict=True))
    return _PLACE.sub(lambda _: next(written), template), _PLACE.sub(lambda _: next(said), template)


def sentences(count: int, seed: int) -> list[Phrase]:
    """All different."""
    draw, found = random.Random(seed), dict[str, str]()
    while len(found) < count:
        written, said = sentence(draw)
        found[written] = said
    return list(found.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("count", type=int, nargs="?", default=6000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for written, said in sentences(options.count, options.seed):
        print(f"{written}\t{said}")


if __name__ == "__main__":
    main()
