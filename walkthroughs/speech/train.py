"""Fine-tunes Wav2Vec2 for speech recognition: the script of the training job that ../speech_recognition.py starts.

`SM_*` variables say where the channels and the output are; hyperparameters come as arguments. `--model_name small`
is a network of 0.8 million parameters that learns from nothing in minutes; any other name is one of the hub's, or a
folder, and is fine-tuned as "Fine-tune and deploy a Wav2Vec2 model for speech recognition" does it.
"""

import argparse
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import jiwer
import numpy as np
import torch
from datasets import load_from_disk
from transformers import (
    Trainer,
    TrainingArguments,
    Wav2Vec2Config,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
    Wav2Vec2Processor,
)

SMALL: dict[str, Any] = {
    "conv_dim": (64,) * 5,
    "conv_stride": (5, 4, 4, 2, 2),
    "conv_kernel": (10, 8, 8, 4, 4),
    "hidden_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 512,
    "num_conv_pos_embeddings": 32,
    "num_conv_pos_embedding_groups": 8,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "conv_bias": True,
    **dict.fromkeys(("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout"), 0.0),
    **dict.fromkeys(("layerdrop", "mask_time_prob", "final_dropout"), 0.0),
}
IGNORED = -100
"""Where a label has this number, PyTorch's losses do not look."""


def main() -> None:
    given = arguments()
    processor = processor_of(given.vocab_url)
    train, test = load_from_disk(given.training_dir), load_from_disk(given.test_dir)
    print(f"{len(train)} clips to learn from, {len(test)} to be judged by", flush=True)
    trainer = Trainer(
        model=model_of(given.model_name, processor),
        args=settings(given),
        data_collator=Padding(processor),
        compute_metrics=WordErrors(processor),
        train_dataset=train,
        eval_dataset=test,
        processing_class=processor.feature_extractor,
    )
    trainer.train()
    results = trainer.evaluate()
    lines = [f"{name} = {value}\n" for name, value in sorted(results.items())]
    Path(given.output_data_dir, "eval_results.txt").write_text("".join(lines))
    trainer.save_model(given.model_dir)
    processor.save_pretrained(given.model_dir)


def arguments() -> argparse.Namespace:
    asked = argparse.ArgumentParser()
    asked.add_argument("--epochs", type=int, default=10)
    asked.add_argument("--train_batch_size", type=int, default=8)
    asked.add_argument("--eval_batch_size", type=int, default=8)
    asked.add_argument("--warmup_steps", type=int, default=500)
    asked.add_argument("--eval_steps", type=int, default=500)
    asked.add_argument("--learning_rate", type=float, default=1e-4)
    asked.add_argument("--weight_decay", type=float, default=0.005)
    asked.add_argument("--model_name", default="facebook/wav2vec2-base")
    asked.add_argument("--vocab_url", required=True)
    asked.add_argument("--output-data-dir", default=os.environ["SM_OUTPUT_DATA_DIR"])
    asked.add_argument("--model-dir", default=os.environ["SM_MODEL_DIR"])
    asked.add_argument("--training_dir", default=os.environ["SM_CHANNEL_TRAIN"])
    asked.add_argument("--test_dir", default=os.environ["SM_CHANNEL_TEST"])
    return asked.parse_known_args()[0]


def processor_of(vocab_url: str) -> Wav2Vec2Processor:
    where = urlsplit(vocab_url)
    boto3.client("s3").download_file(where.netloc, where.path.lstrip("/"), "/tmp/vocab.json")
    tokenizer = Wav2Vec2CTCTokenizer(
        "/tmp/vocab.json",
        unk_token="[UNK]",
        pad_token="[PAD]",
        word_delimiter_token="|",
        bos_token=None,
        eos_token=None,
    )
    extractor = Wav2Vec2FeatureExtractor(
        feature_size=1, sampling_rate=16000, padding_value=0.0, do_normalize=True, return_attention_mask=False
    )
    return Wav2Vec2Processor(feature_extractor=extractor, tokenizer=tokenizer)


def model_of(name: str, processor: Wav2Vec2Processor) -> Wav2Vec2ForCTC:
    tokens = {
        "vocab_size": len(processor.tokenizer),
        "pad_token_id": processor.tokenizer.pad_token_id,
        "bos_token_id": None,
        "eos_token_id": None,
        "ctc_loss_reduction": "mean",
        "ctc_zero_infinity": True,
    }
    if name == "small":
        torch.manual_seed(1)
        return Wav2Vec2ForCTC(Wav2Vec2Config(**SMALL, **tokens))
    model = Wav2Vec2ForCTC.from_pretrained(name, **tokens)
    # What it heard in its pre-training, the convolutions keep.
    model.freeze_feature_encoder()
    return model


def settings(given: argparse.Namespace) -> TrainingArguments:
    return TrainingArguments(
        output_dir="/tmp/checkpoints",
        per_device_train_batch_size=given.train_batch_size,
        per_device_eval_batch_size=given.eval_batch_size,
        num_train_epochs=given.epochs,
        learning_rate=given.learning_rate,
        weight_decay=given.weight_decay,
        warmup_steps=given.warmup_steps,
        eval_strategy="steps",
        eval_steps=given.eval_steps,
        logging_steps=given.eval_steps,
        save_strategy="no",
        fp16=torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        report_to=[],
        disable_tqdm=True,
        seed=1,
    )


class Padding:
    """Clips to one length, labels to one length: [batch, samples] and [batch, letters]."""

    def __init__(self, processor: Wav2Vec2Processor) -> None:
        self.processor = processor

    def __call__(self, clips: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        batch = self.processor.feature_extractor.pad(
            [{"input_values": clip["input_values"]} for clip in clips], padding=True, return_tensors="pt"
        )
        labels = self.processor.tokenizer.pad(
            [{"input_ids": clip["labels"]} for clip in clips], padding=True, return_tensors="pt"
        )
        batch["labels"] = labels["input_ids"].masked_fill(labels["attention_mask"] != 1, IGNORED)
        return batch


class WordErrors:
    """`eval_wer`: words to insert, to delete and to replace, over the words that were said."""

    def __init__(self, processor: Wav2Vec2Processor) -> None:
        self.processor = processor

    def __call__(self, predicted: Any) -> dict[str, float]:
        blank = self.processor.tokenizer.pad_token_id
        labels = np.where(predicted.label_ids == IGNORED, blank, predicted.label_ids)
        # Shorter clips are filled up to the longest of all with this number, which would read as the first letter.
        beyond = (predicted.predictions == IGNORED).all(axis=-1)
        heard = self.processor.batch_decode(np.where(beyond, blank, np.argmax(predicted.predictions, axis=-1)))
        said = self.processor.batch_decode(labels, group_tokens=False)
        return {"wer": jiwer.wer(said, heard)}


if __name__ == "__main__":
    main()
