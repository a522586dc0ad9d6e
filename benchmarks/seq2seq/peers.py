"""OpenNMT-py and CTranslate2 at work, told by compare.py when; run by the interpreter of .clients/opennmt, not by ours.

    peers.py train FOLDER (rnn | transformer)        keeps FOLDER/<kind>.pt when its input ends
    peers.py translate FOLDER (rnn | transformer)    OpenNMT-py
    peers.py ctranslate FOLDER (float32 | int8)      CTranslate2, FOLDER/transformer.pt converted

FOLDER holds train.src and train.trg. Each request is a line of JSON, and so is its answer. CPU-seconds are those of
this process, which has one thread.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
# OpenNMT-py 3.5.1 keeps its options beside the weights; torch reads such files on demand only by now.
os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"

import ctranslate2
import onmt.opts
import onmt.train_single
import torch
import yaml
from onmt.inference_engine import InferenceEnginePY
from onmt.inputters.dynamic_iterator import build_dynamic_dataset_iter
from onmt.utils.parse import ArgumentParser

STEPS = 7
"""Of each target, whatever the model would say: barely trained ones find no end."""

COMMON = "-dropout 0 -attention_dropout 0 -batch_type sents -batch_size 64 -bucket_size 65536 -num_workers 0 -seed 1"
COMMON += " -optim adam -learning_rate 0.0003 -max_grad_norm 1 -train_steps 1000000 -save_checkpoint_steps 0"
COMMON += " -report_every 1000000 -valid_steps 1000000 -src_vocab_size 1000 -tgt_vocab_size 1000"
KINDS = {
    "rnn": "-encoder_type brnn -decoder_type rnn -rnn_type LSTM -enc_layers 1 -dec_layers 1 -word_vec_size 512"
    " -hidden_size 512 -global_attention mlp -input_feed 1",
    "transformer": "-encoder_type transformer -decoder_type transformer -enc_layers 3 -dec_layers 3 -word_vec_size 256"
    " -hidden_size 256 -transformer_ff 1024 -heads 4 -position_encoding -self_attn_type scaled-dot",
}


def requests() -> Iterator[dict[str, Any]]:
    for line in sys.stdin:
        yield json.loads(line)


def answer(**values: Any) -> None:
    print(json.dumps(values), file=ANSWERS, flush=True)


def train(folder: Path, kind: str) -> None:
    """Its own trainer on its own batches, which are handed over as they are asked for."""

    def paced(batches: Iterator[Any]) -> Iterator[Any]:
        for request in requests():
            tokens, began = 0, time.process_time()
            for _ in range(request["batches"]):
                batch = next(batches)
                # Each target begins with <s>, which is not learnt.
                tokens += int(batch[0]["tgtlen"].sum()) - len(batch[0]["tgtlen"])
                yield batch
            answer(tokens=tokens, seconds=time.process_time() - began)

    def iterate(*given: Any, task: str, **named: Any) -> Iterator[Any] | None:
        batches = build_dynamic_dataset_iter(*given, task=task, **named)
        return paced(iter(batches)) if task == "train" else None

    onmt.train_single.build_dynamic_dataset_iter = iterate
    options = parse(onmt.opts.train_opts, f"-config {configure(folder, kind)} {COMMON} {KINDS[kind]}")
    ArgumentParser.validate_train_opts(options)
    ArgumentParser.update_model_opts(options)
    ArgumentParser.validate_model_opts(options)
    onmt.train_single.main(options, device_id=-1)
    next(folder.glob(f"{kind}_step_*.pt")).replace(folder / f"{kind}.pt")


def configure(folder: Path, kind: str) -> Path:
    for side in ("src", "trg"):
        symbols = sorted(set((folder / f"train.{side}").read_text().split()))
        (folder / f"vocab.{side}").write_text("".join(f"{symbol}\t1\n" for symbol in symbols))
    file = folder / f"{kind}.yaml"
    corpus = {"path_src": str(folder / "train.src"), "path_tgt": str(folder / "train.trg"), "transforms": []}
    vocabularies = {"src_vocab": str(folder / "vocab.src"), "tgt_vocab": str(folder / "vocab.trg")}
    file.write_text(yaml.safe_dump({"data": {"train": corpus}, "save_model": str(folder / kind), **vocabularies}))
    return file


def translate(folder: Path, kind: str) -> None:
    def engine_of(width: int) -> InferenceEnginePY:
        # Without -output it leaves an empty pred.txt where it was started.
        line = f"-model {folder / kind}.pt -src - -output {os.devnull} -gpu -1 -beam_size {width}"
        line += f" -min_length {STEPS} -max_length {STEPS}"
        options = parse(onmt.opts.translate_opts, line)
        ArgumentParser.validate_translate_opts(options)
        ArgumentParser._get_all_transform_translate(options)
        ArgumentParser._validate_transforms_opts(options)
        ArgumentParser.validate_translate_opts_dynamic(options)
        return InferenceEnginePY(options)

    engines = {width: engine_of(width) for width in (1, 5)}

    def say(words: list[list[str]], width: int) -> list[int]:
        engine = engines[width]
        engine.opt.batch_size = len(words)
        _, said = engine.infer_list([" ".join(word) for word in words])
        return [len(best[0].split()) for best in said]

    serve(say)


def ctranslate(folder: Path, kind: str) -> None:
    converted = folder / f"ctranslate2-{kind}"
    # OpenNMT-py's file is our own, of a minute ago.
    converter = ctranslate2.converters.OpenNMTPyConverter(str(folder / "transformer.pt"), unsafe_deserialization=True)
    converter.convert(str(converted), force=True)
    translator = ctranslate2.Translator(str(converted), compute_type=kind, inter_threads=1, intra_threads=1)

    def say(words: list[list[str]], width: int) -> list[int]:
        said = translator.translate_batch(
            words, beam_size=width, min_decoding_length=STEPS, max_decoding_length=STEPS, max_batch_size=len(words)
        )
        return [len(each.hypotheses[0]) for each in said]

    serve(say)


def serve(say: Callable[[list[list[str]], int], list[int]]) -> None:
    for request in requests():
        began = time.process_time()
        lengths = [length for words in request["batches"] for length in say(words, request["width"])]
        seconds = time.process_time() - began
        assert set(lengths) == {STEPS}, lengths
        answer(seconds=seconds)


def parse(add: Callable[[ArgumentParser], None], line: str) -> Any:
    parser = ArgumentParser()
    add(parser)
    return parser.parse_args(line.split())


# What the libraries print is no answer.
ANSWERS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

if __name__ == "__main__":
    torch.set_num_threads(1)
    {"train": train, "translate": translate, "ctranslate": ctranslate}[sys.argv[1]](Path(sys.argv[2]), sys.argv[3])
