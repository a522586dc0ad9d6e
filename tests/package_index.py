"""An index of Python packages on this machine, the only one that pip knows meanwhile."""

import contextlib
import io
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


def wheel(name: str = "tiny", text: str = "WORD = 'tiny'") -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        file.writestr(f"{name}.py", text)
        file.writestr(f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        file.writestr(f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{name}-1.0.dist-info/RECORD", "")
    return made.getvalue()


class Index(BaseHTTPRequestHandler):
    """It has one wheel, and waits with its page until it may answer."""

    asked, may_answer = threading.Event(), threading.Event()

    def do_GET(self) -> None:
        page = self.path.endswith("/simple/tiny/")
        if page:
            self.asked.set()
            self.may_answer.wait(60)
        body = b'<a href="/tiny-1.0-py3-none-any.whl">tiny-1.0-py3-none-any.whl</a>' if page else wheel()
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if page else "application/zip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def an_index() -> Iterator[pytest.MonkeyPatch]:
    """What is started meanwhile asks it, unless the patch is told otherwise."""
    index = ThreadingHTTPServer(("127.0.0.1", 0), Index)
    threading.Thread(target=index.serve_forever, daemon=True).start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{index.server_port}/simple")
        patch.setenv("PIP_CONFIG_FILE", "/dev/null")
        for variable in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX"):
            patch.delenv(variable, raising=False)
        yield patch
    index.shutdown()
    index.server_close()
