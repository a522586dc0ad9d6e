"""docs/seq2seq.md is followed to the letter: each line of shell runs, on fewer pairs and with less learning."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[4]
LESS = "--size small --max-num-batches 2 --beam-size 1 --max-seq-len-target 30"


def test_the_pages_shell_runs(tmp_path: Path) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "seq2seq.md").read_text(), re.DOTALL)
    script = "set -e -o pipefail\n" + "".join(blocks)
    assert script.count("groundfog seq2seq") == 10
    script = re.sub(r"(groundfog seq2seq train \S+)", rf"\1 {LESS}", script)
    script = script.replace("groundfog seq2seq", f"{sys.executable} -m groundfog seq2seq")
    script = script.replace("python benchmarks", f"{sys.executable} {ROOT}/benchmarks")
    script = script.replace("python pairs-onnx", f"{sys.executable} -I pairs-onnx")
    script = re.sub(r"grammar\.py \d+", "grammar.py 60", script)
    ran = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "pairs-model" / "report.html").exists()
    assert len((tmp_path / "answers.txt").read_text().splitlines()) == 60
    assert "sequence error rate" in ran.stdout


def test_the_pages_python_runs(tmp_path: Path) -> None:
    [block] = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "seq2seq.md").read_text(), re.DOTALL)
    (tmp_path / "pairs.tsv").write_text("".join(f"Room {number}.\tRoom number {number}.\n" for number in range(300)))
    block = block.replace("max_num_epochs=12", "max_num_batches=2, beam_size=1, max_seq_len_target=9")
    ran = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "my-model" / "tokenizer.json").exists()
