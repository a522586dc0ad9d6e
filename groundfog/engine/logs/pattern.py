"""What to look for in log events.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntaxForLogEvents.html
"""

import re
from dataclasses import dataclass

from groundfog.engine.errors import Unfit

_TERM = re.compile(r'\s*([?-]?)(?:"((?:[^"\\]|\\.)*)"|([^\s"]+))(?=\s|$)')
_BARE = re.compile(r"\w+")


@dataclass(frozen=True)
class Pattern:
    """Terms, case-sensitive: all of `every`, any of `some` where nothing else is asked for, none of `without`."""

    every: tuple[str, ...] = ()
    some: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Pattern":
        """`one two`, `"a phrase"`, `?either ?or`, `-without`. Raises Unfit."""
        if text.strip()[:1] in ("{", "[", "%"):
            raise Unfit("Patterns for JSON and space-delimited events and regular expressions are not supported yet")
        terms: dict[str, list[str]] = {"": [], "?": [], "-": []}
        position, end = 0, len(text.rstrip())
        while position < end:
            found = _TERM.match(text, position)
            if found is None:
                raise Unfit("Invalid filter pattern: a quote is not closed")
            sign, quoted, bare = found.groups()
            if bare is not None and not _BARE.fullmatch(bare):
                raise Unfit(f"Invalid character(s) in term '{bare}'")
            terms[sign].append(bare if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
            position = found.end()
        return cls(tuple(terms[""]), tuple(terms["?"]), tuple(terms["-"]))

    def is_in(self, message: str) -> bool:
        if any(term in message for term in self.without) or not all(term in message for term in self.every):
            return False
        return bool(self.every) or not self.some or any(term in message for term in self.some)
