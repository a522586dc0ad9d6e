"""Tokens as text that is safe to show: whatever a vocabulary holds, it can be seen, and changes nothing around it."""

import unicodedata
from collections.abc import Sequence
from html import escape

from ..data.tokenizer import GLUE

_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Controls, marks of direction, halves of pairs, unassigned places, ends of lines."""


def visible(token: str) -> str:
    """The token with its invisible characters written out: a line feed is \\u000a.

    A reversing mark would turn what stands beside it, and half a surrogate pair cannot be written to a file.
    """
    if token.isalnum():
        return token
    # Few fonts have the sign that stands for "no blank before".
    signs = token.replace(GLUE, "·")
    return "".join(f"\\u{ord(sign):04x}" if _hidden(sign) else sign for sign in signs) or "\\u2205"


def text(token: object) -> str:
    """For a page."""
    return escape(visible(str(token)))


def shortened(token: str, most: int) -> str:
    whole = visible(token)
    return whole if len(whole) <= most else f"{whole[: most - 1]}…"


def spelled(tokens: Sequence[str]) -> str:
    """Letters as the word that they are, other tokens with blanks between them."""
    return ("" if all(len(token) == 1 for token in tokens) else " ").join(tokens)


def _hidden(sign: str) -> bool:
    return unicodedata.category(sign) in _INVISIBLE or (sign.isspace() and sign != " ")
