# %% [markdown]
r"""Speech in, its text out: Wav2Vec2 fine-tuned by the HuggingFace estimator and served by a script of one's own.

    python3 -m venv speech && speech/bin/pip install -r walkthroughs/speech_recognition.txt
    groundfog exec -- speech/bin/python walkthroughs/speech_recognition.py   # minutes, offline: a small network
    ... --data FOLDER                                                        # your audio files, and a metadata.csv
    ... --hub superb --configuration asr --model-name facebook/wav2vec2-base --epochs 10       # the real thing: a GPU

It follows "Fine-tune and deploy a Wav2Vec2 model for speech recognition with Hugging Face and Amazon SageMaker", step
for step, with the libraries of today; `speech/` has the scripts that run in the job and in the endpoint.
"""

# %%
import argparse
import csv
import io
import json
import logging
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import datasets
import numpy as np
import sagemaker
import soundfile
from sagemaker.deserializers import JSONDeserializer
from sagemaker.huggingface import HuggingFace, HuggingFaceModel
from sagemaker.predictor import Predictor
from sagemaker.s3 import S3Uploader
from sagemaker.serializers import DataSerializer
from transformers import Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor, Wav2Vec2Processor

Clip = tuple[str, np.ndarray]
"""What was said, and the samples: 16,000 a second, float32."""

SCRIPTS = Path(__file__).parent / "speech" if "__file__" in globals() else Path("speech")
PREFIX = "speech-recognition"
RATE = 16_000
IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/huggingface-pytorch-{use}:2.13.0-transformers5.23.0-cpu-py311"
SMALL = {"epochs": 14, "learning_rate": 2e-3, "warmup_steps": 100, "eval_steps": 44}
"""For a network that starts from nothing, and few clips."""
METRICS = [
    {"Name": name, "Regex": rf"'{name}': '?([0-9.e+-]+)"}
    for name in ("loss", "eval_loss", "eval_wer", "eval_runtime", "eval_samples_per_second", "epoch")
]
VERBS, COLOURS, THINGS = (
    ("open", "close", "dim", "switch on", "switch off"),
    ("red", "green", "blue", "white"),
    ("lamp", "door", "radio", "heater"),
)
VOICES = ("en-us", "en-gb", "en-us+f3", "en-us+m3")


def main() -> None:
    # The SDK lets everything be told that anybody tells; who found which address is not worth a line each.
    logging.getLogger("botocore").setLevel(logging.WARNING)
    given = arguments()
    given.out.mkdir(parents=True, exist_ok=True)
    clips = list(speech(given))
    random.Random(1).shuffle(clips)
    held = max(1, len(clips) // 6)
    test, train = clips[:held], clips[held:]
    minutes = sum(len(samples) for _, samples in clips) / RATE / 60
    say(f"{len(train)} clips to learn from, {len(test)} to be judged by: {minutes:.1f} minutes of speech")

    session = sagemaker.Session()
    bucket, role, stamp = session.default_bucket(), sagemaker.get_execution_role(), int(time.time())
    processor, vocab_url = make_processor([text for text, _ in clips], bucket)
    where = {name: upload(part, processor, bucket, name) for name, part in (("train", train), ("test", test))}

    job_name = f"huggingface-wav2vec2-training-{stamp}"
    estimator = train_on(where, job_name, role, bucket, vocab_url, given)
    draw(job_name, given.out / "metrics.png")

    try:
        predictor = deploy("inference.py", estimator.model_data, role, f"speech-recognition-{stamp}")
        text, samples = test[0]
        say(f"\nsaid      {text}")
        say(f"heard     {predictor.predict({'speech_array': samples.tolist(), 'sampling_rate': RATE})}")
        ask_with_files(estimator.model_data, role, stamp, test, given.out)
    except KeyboardInterrupt:
        raise SystemExit("\nstopped; the model is in S3 already") from None
    say(f"\nModel     {estimator.model_data}")
    say(f"Metrics   {given.out / 'metrics.png'}")


def arguments() -> argparse.Namespace:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    asked.add_argument("--data", type=Path, help="a folder of audio files with a metadata.csv: file_name,text")
    asked.add_argument("--hub", help="a data set of the HuggingFace hub with the columns audio and text")
    asked.add_argument("--configuration", help="of the hub's data set")
    asked.add_argument("--clips", type=int, default=420, help="how many, of a hub's set or to be made by espeak-ng")
    asked.add_argument("--model-name", default="small", help="small, a model of the hub, or a folder")
    asked.add_argument("--epochs", type=int)
    asked.add_argument("--out", type=Path, default=Path("speech-recognition"), help="where the picture goes")
    return asked.parse_args([] if "ipykernel" in sys.modules else None)


def say(text: str) -> None:
    print(text, flush=True)


# %% [markdown]
# ## The speech
# One's own, a hub's, or, where there is neither a recording nor a network, sentences that a synthesiser says.


# %%
def speech(given: argparse.Namespace) -> Iterator[Clip]:
    if given.data:
        return recorded(given.data)
    if given.hub:
        return from_hub(given.hub, given.configuration, given.clips)
    if shutil.which("espeak-ng") is None:
        raise SystemExit("there is no espeak-ng to make speech with: apt install espeak-ng, or give --data or --hub")
    return synthesised(given.clips)


def recorded(folder: Path) -> Iterator[Clip]:
    with (folder / "metadata.csv").open(newline="") as table:
        for row in csv.DictReader(table):
            yield row["text"].lower(), read_audio(folder / row["file_name"])


def from_hub(name: str, configuration: str | None, most: int) -> Iterator[Clip]:
    """From its test part, as the walkthrough has it, to keep the data small."""
    found = datasets.load_dataset(name, configuration, split="test")
    for row in found.select(range(min(most, len(found)))).cast_column("audio", datasets.Audio(decode=False)):
        sound = row["audio"]
        yield row["text"].lower(), read_audio(io.BytesIO(sound["bytes"]) if sound["bytes"] else sound["path"])


def synthesised(count: int) -> Iterator[Clip]:
    """Orders to a house, in four voices, at changing speed and pitch."""
    draw = random.Random(0)
    for _ in range(count):
        text = f"{draw.choice(VERBS)} the {draw.choice(COLOURS)} {draw.choice(THINGS)}"
        manner = ["-v", draw.choice(VOICES), "-s", str(draw.randint(170, 210)), "-p", str(draw.randint(35, 65))]
        said = subprocess.run(["espeak-ng", *manner, "--stdout", text], capture_output=True, check=True).stdout
        yield text, read_audio(io.BytesIO(said))


def read_audio(file: Any) -> np.ndarray:
    """Any format and rate that libsndfile reads, as one channel of 16,000 samples a second."""
    samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    moments = np.arange(int(len(mono) * RATE / rate)) * rate / RATE
    return np.interp(moments, np.arange(len(mono)), mono).astype(np.float32)


# %% [markdown]
# ## Vocabulary, processor, data in S3


# %%
def make_processor(texts: list[str], bucket: str) -> tuple[Wav2Vec2Processor, str]:
    """The letters that occur, `|` between words, `[UNK]`, and `[PAD]`, which is CTC's blank too."""
    letters = sorted(set("".join(texts)) - {" "})
    vocabulary = {letter: number for number, letter in enumerate([*letters, "|", "[UNK]", "[PAD]"])}
    boto3.client("s3").put_object(Bucket=bucket, Key=f"{PREFIX}/vocab.json", Body=json.dumps(vocabulary))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "vocab.json")
        file.write_text(json.dumps(vocabulary))
        tokenizer = Wav2Vec2CTCTokenizer(
            str(file), unk_token="[UNK]", pad_token="[PAD]", word_delimiter_token="|", bos_token=None, eos_token=None
        )
    extractor = Wav2Vec2FeatureExtractor(
        feature_size=1, sampling_rate=RATE, padding_value=0.0, do_normalize=True, return_attention_mask=False
    )
    processor = Wav2Vec2Processor(feature_extractor=extractor, tokenizer=tokenizer)
    return processor, f"s3://{bucket}/{PREFIX}/vocab.json"


def upload(clips: list[Clip], processor: Wav2Vec2Processor, bucket: str, name: str) -> str:
    """As Arrow files, which the job maps into memory."""
    rows = [
        {
            "input_values": processor(samples, sampling_rate=RATE).input_values[0],
            "labels": processor.tokenizer(text).input_ids,
        }
        for text, samples in clips
    ]
    where = f"s3://{bucket}/{PREFIX}/{name}"
    with tempfile.TemporaryDirectory() as folder:
        datasets.Dataset.from_list(rows).save_to_disk(folder)
        S3Uploader.upload(folder, where)
    return where


# %% [markdown]
# ## Training


# %%
def train_on(
    where: dict[str, str], job_name: str, role: str, bucket: str, vocab_url: str, given: argparse.Namespace
) -> HuggingFace:
    small = SMALL if given.model_name == "small" else {}
    asked = {"epochs": given.epochs} if given.epochs else {}
    estimator = HuggingFace(
        entry_point="train.py",
        source_dir=str(SCRIPTS),
        output_path=f"s3://{bucket}/{PREFIX}/{job_name}/output/",
        instance_type="ml.p3.2xlarge",
        instance_count=1,
        image_uri=IMAGE.format(use="training"),
        py_version="py311",
        role=role,
        hyperparameters={
            "train_batch_size": 8,
            "model_name": given.model_name,
            "vocab_url": vocab_url,
            **small,
            **asked,
        },
        metric_definitions=METRICS,
    )
    estimator.fit(where, job_name=job_name)
    return estimator


def draw(job_name: str, file: Path) -> None:
    """What CloudWatch has of the job: losses, and how many words in a hundred were wrong."""
    import matplotlib

    if "ipykernel" not in sys.modules:  # a notebook shows the pictures as well
        matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (losses, errors) = plt.subplots(1, 2, figsize=(10, 4))
    for axes, name, colour in (
        (losses, "loss", "#4878a8"),
        (losses, "eval_loss", "#c85a3c"),
        (errors, "eval_wer", "#c85a3c"),
    ):
        points = curve(job_name, name)
        axes.plot(*zip(*points, strict=True), "o-", label=name, color=colour, markersize=3)
    for axes, title in ((losses, "CTC loss"), (errors, "Word error rate")):
        axes.set(xlabel="seconds", ylim=(0, None), title=title)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(file, dpi=120, bbox_inches="tight")
    say(f"word error rate at the end: {curve(job_name, 'eval_wer')[-1][1]:.1%}")


def curve(job_name: str, name: str) -> list[tuple[float, float]]:
    """Seconds since the training began, and the metric."""
    job = boto3.client("sagemaker").describe_training_job(TrainingJobName=job_name)
    found = boto3.client("cloudwatch").get_metric_statistics(
        Namespace="/aws/sagemaker/TrainingJobs",
        MetricName=name,
        Dimensions=[{"Name": "TrainingJobName", "Value": job_name}],
        StartTime=job["TrainingStartTime"],
        EndTime=job["LastModifiedTime"],
        Period=1 if job["TrainingTimeInSeconds"] < 1200 else 60,
        Statistics=["Average"],
    )
    points = sorted((point["Timestamp"], point["Average"]) for point in found["Datapoints"])
    return [((at - points[0][0]).total_seconds(), value) for at, value in points]


# %% [markdown]
# ## The endpoint


# %%
def deploy(script: str, model_data: str, role: str, name: str, **options: Any) -> Predictor:
    model = HuggingFaceModel(
        entry_point=script,
        source_dir=str(SCRIPTS),
        name=name,
        image_uri=IMAGE.format(use="inference"),
        py_version="py311",
        model_data=model_data,
        role=role,
    )
    return model.deploy(initial_instance_count=1, instance_type="ml.g4dn.xlarge", endpoint_name=name, **options)


def ask_with_files(model_data: str, role: str, stamp: int, test: list[Clip], out: Path) -> None:
    """The same model behind another script, which takes WAV files."""
    name = f"speech-recognition-wav-{stamp}"
    ears = {"serializer": DataSerializer("audio/wav"), "deserializer": JSONDeserializer()}
    predictor = deploy("inference_wav.py", model_data, role, name, **ears)
    for number, (text, samples) in enumerate(test[1:4]):
        file = out / f"clip-{number}.wav"
        soundfile.write(file, samples, RATE)
        say(f"\n{file}\nsaid      {text}\nheard     {predictor.predict(file.read_bytes())['text']}")
    predictor.delete_model()
    predictor.delete_endpoint()


# %%
if __name__ == "__main__":
    main()
