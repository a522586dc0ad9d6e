"""What programs say, by group and stream.

store.py     Logs: which groups and streams there are
file.py      a stream is a file of lines: append, read forward and backward
diary.py     a stream of the server's own
pattern.py   what to look for
"""

from groundfog.engine.logs.file import Event
from groundfog.engine.logs.pattern import Pattern
from groundfog.engine.logs.store import Cursor, Found, Group, Logs, Page, Span, Stream, first_page

__all__ = ["Cursor", "Event", "Found", "Group", "Logs", "Page", "Pattern", "Span", "Stream", "first_page"]
