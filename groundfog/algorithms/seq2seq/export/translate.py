"""Greedy translation by an exported model, with numpy and onnxruntime alone.

    python translate.py < sources.txt > targets.txt

A source on each line, and so are the targets: raw text where tokenizer.json says how it becomes tokens (SentencePiece's
need the package sentencepiece), else tokens with blanks between them. As a module:

    model = Model(".")
    [(tokens, score, attention)] = model.translate([["C", "A", "R"]])
    [(tokens, score, attention)] = model.translate([model.source.split("raw text")])
    model.target.join(tokens)
"""

import base64
import json
import re
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

PAD, UNKNOWN, BEGIN, END = range(4)

Target = tuple[list[str], float, np.ndarray]
"""Its tokens, their mean log probability, and the attention: a row for each of them, a column for each source token."""


class Text:
    """What text on one side is made of: blank, character, word, sentencepiece or sentencepiece-bpe."""

    def __init__(self, kind: str, model: str = "") -> None:
        self.kind = kind
        if model:
            import sentencepiece

            self.pieces: Any = sentencepiece.SentencePieceProcessor(model_proto=base64.b64decode(model))

    def split(self, text: str) -> list[str]:
        if self.kind == "blank":
            return text.split()
        composed = unicodedata.normalize("NFC", text).replace("▁", "_").replace("￭", "■")
        text = " ".join(composed.split())
        if self.kind == "character":
            return list(text.replace(" ", "▁"))
        if self.kind == "word":
            found = re.finditer(r"[^\W\d_]+|\S", text)
            return ["￭" * (text[: each.start()][-1:] not in ("", " ")) + each[0] for each in found]
        return list(self.pieces.encode(text, out_type=str))

    def join(self, tokens: Sequence[str]) -> str:
        if self.kind == "blank":
            return " ".join(tokens)
        if self.kind == "word":
            return "".join(f" {token}" for token in tokens).replace(" ￭", "").strip()
        return " ".join("".join(tokens).replace("▁", " ").split())


class Model:
    def __init__(self, folder: Path | str) -> None:
        folder = Path(folder)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.encoder, self.step = (
            onnxruntime.InferenceSession(folder / f"{graph}.onnx", options, providers=["CPUExecutionProvider"])
            for graph in ("encoder", "decoder_step")
        )
        self.begun = [output.name for output in self.encoder.get_outputs()]
        self.stepped = [output.name for output in self.step.get_outputs()]
        config = json.loads((folder / "config").read_text(encoding="utf-8"))
        self.longest_source, self.longest = config["max_seq_len_source"], config["max_seq_len_target"]
        self.ids = json.loads((folder / "vocab.src.json").read_text(encoding="utf-8"))
        tokenizer = folder / "tokenizer.json"
        sides = json.loads(tokenizer.read_text(encoding="utf-8")) if tokenizer.exists() else {}
        self.source, self.target = (Text(**sides.get(side, {"kind": "blank"})) for side in ("source", "target"))
        target_ids = json.loads((folder / "vocab.trg.json").read_text(encoding="utf-8"))
        self.tokens = sorted(target_ids, key=target_ids.get)

    def translate(self, sources: Sequence[Sequence[str]]) -> list[Target]:
        """Of each source, a list of tokens; an empty one has an empty target."""
        found: list[Target] = [([], 0.0, np.zeros((0, 0))) for _ in sources]
        full = [place for place, source in enumerate(sources) if source]
        if full:
            said = self._search([sources[place][: self.longest_source] for place in full])
            for place, each in zip(full, said, strict=True):
                found[place] = each
        return found

    def _search(self, sources: list[Sequence[str]]) -> list[Target]:
        lengths = np.array([len(source) for source in sources])
        ids = np.full((len(sources), lengths.max()), PAD)
        for row, source in zip(ids, sources, strict=True):
            row[: len(source)] = [self.ids.get(token, UNKNOWN) for token in source]
        begun = self.encoder.run(None, {"source": ids, "lengths": lengths})
        told = dict(zip(self.begun, begun, strict=True))
        told["token"] = np.full(len(sources), BEGIN)
        everyone = np.arange(len(sources))
        totals: np.ndarray = np.zeros(len(sources))
        going = np.ones(len(sources), dtype=bool)
        said, looked = list[np.ndarray](), list[np.ndarray]()
        for spoken in range(self.longest + 1):
            step = dict(zip(self.stepped, self.step.run(None, told), strict=True))
            scores = step["log_probabilities"]
            # After the most tokens that a target may have, all have to end.
            token = np.full(len(sources), END) if spoken == self.longest else scores.argmax(1)
            token[~going] = END
            totals += np.where(going, scores[everyone, token], 0)
            said.append(token)
            looked.append(step["attention"])
            going &= token != END
            if not going.any():
                break
            told |= {name.removeprefix("next."): step[name] for name in self.stepped if name.startswith("next.")}
            told["token"] = token
        return [
            self._target(np.stack(said)[:, number], totals[number], np.stack(looked)[:, number, : lengths[number]])
            for number in everyone
        ]

    def _target(self, said: np.ndarray, total: float, looked: np.ndarray) -> Target:
        length = int((said == END).argmax())
        return [self.tokens[token] for token in said[:length]], float(total) / (length + 1), looked[:length]


if __name__ == "__main__":
    model = Model(Path(__file__).parent)
    lines = [model.source.split(line) for line in sys.stdin]
    for start in range(0, len(lines), 64):
        for tokens, *_ in model.translate(lines[start : start + 64]):
            sys.stdout.write(model.target.join(tokens) + "\n")
