"""`groundfog tensorboard` and the process that it starts; tests/stories has the one that shows curves."""

import os
import signal
import subprocess
import sys

STUBBORN = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(600)
"""


def test_a_tensorboard_that_does_not_end_when_asked_is_ended(server, tmp_path):
    (tmp_path / "tensorboard").mkdir()
    (tmp_path / "tensorboard" / "main.py").write_text(STUBBORN)
    (tmp_path / "tensorboard" / "__init__.py").touch()
    command = [sys.executable, "-m", "groundfog", "tensorboard", "--home", str(server.home), "s3://board/logs"]
    around = os.environ | {"PYTHONPATH": str(tmp_path)}
    with subprocess.Popen(command, env=around, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout.readline() == "ready\n"
        running.terminate()
        assert running.wait(30) == 128 + signal.SIGTERM
        assert running.stdout.read() == ""  # Its child held the other end.
