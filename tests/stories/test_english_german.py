"""The English-German notebook's own calls, and then what else an endpoint of seq2seq may be sent."""

import io
import json
import random
import tarfile
import tempfile
from collections import Counter

import boto3
import numpy as np
import pytest
from botocore.exceptions import ClientError
from test_word_pronunciation import IMAGE, record, targets

PREFIX, JOB = "sagemaker/DEMO-seq2seq", "DEMO-seq2seq-en-de-2026-11-21-09"
WORDS = {
    "i": "ich", "you": "du", "we": "wir", "see": "sehe", "hear": "höre", "want": "möchte", "the": "das", "a": "ein",
    "no": "kein", "house": "Haus", "child": "Kind", "book": "Buch", "car": "Auto", "movie": "Spiel", "small": "kleine",
    "beautiful": "schöne", "old": "alte", "today": "heute", ".": ".", "!": "!", "&apos;s": "&apos;s",
}  # fmt: skip


def corpus(count, seed):
    """Lines of English and of what passes for German here: each word's own, time before the verb's object."""
    draw = random.Random(seed)

    def pick(words):
        return draw.choice(words.split())

    english = [
        f"{pick('i you we')} {pick('see hear want')} {pick('the a no')} {pick('small beautiful old')} "
        f"{pick('house child book car movie')} {pick('. !')}"
        for _ in range(count)
    ]
    return english, [" ".join(WORDS[word] for word in line.split()) for line in english]


def vocabulary(lines):
    """As create_vocab_proto.py numbers words: the frequent ones first, equally frequent ones from z to a."""
    counts = Counter(token for line in lines for token in line.rstrip().split())
    ranked = [word for _, word in sorted(((count, word) for word, count in counts.items()), reverse=True)]
    return {word: number for number, word in enumerate(["<pad>", "<unk>", "<s>", "</s>", *ranked])}


def records(sources, destinations, of_source, of_target):
    """Pairs of lines as records; those without content are left out, what the vocabulary lacks is 1."""
    return b"".join(
        record(
            source=[of_source.get(token, 1) for token in source.split()],
            target=[of_target.get(token, 1) for token in destination.split()],
        )
        for source, destination in zip(sources, destinations, strict=True)
        if source.strip() and destination.strip()
    )


@pytest.fixture(scope="module")
def prepared(client, server):
    """The four files in the account's default bucket, by `put_object` of boto3's resource as in the notebook."""
    english, german = corpus(2500, seed=1)
    english[7:7] = ["", "you see the house ."]
    german[7:7] = ["nichts", " "]
    of_source, of_target = vocabulary(english), vocabulary(german)
    held_english, held_german = corpus(60, seed=2)
    held_english[3] = held_english[3].replace(held_english[3].split()[4], "unheard-of")
    files = {
        "train/train.rec": records(english, german, of_source, of_target),
        "validation/val.rec": records(held_english, held_german, of_source, of_target),
        "vocab/vocab.src.json": json.dumps(of_source, indent=4, ensure_ascii=False).encode(),
        "vocab/vocab.trg.json": json.dumps(of_target, indent=4, ensure_ascii=False).encode(),
    }
    account, region = client("sts").get_caller_identity()["Account"], "us-east-1"
    bucket = f"sagemaker-{region}-{account}"
    keys = server.environment
    s3 = boto3.resource(
        "s3",
        endpoint_url=server.url,
        region_name=region,
        aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
    )
    s3.create_bucket(Bucket=bucket)
    for key, body in files.items():
        with tempfile.TemporaryFile() as file:
            file.write(body)
            file.seek(0)
            s3.Bucket(bucket).put_object(Key=f"{PREFIX}/{key}", Body=file)
    return bucket, of_source, of_target


@pytest.fixture(scope="module")
def trained(client, prepared):
    bucket, *_ = prepared
    sagemaker = client("sagemaker")
    sagemaker.create_training_job(
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        RoleArn="arn:aws:iam::000000000000:role/groundfog",
        OutputDataConfig={"S3OutputPath": f"s3://{bucket}/{PREFIX}/"},
        ResourceConfig={"InstanceCount": 1, "InstanceType": "ml.p2.xlarge", "VolumeSizeInGB": 50},
        TrainingJobName=JOB,
        HyperParameters={
            "max_seq_len_source": "60",
            "max_seq_len_target": "60",
            "optimized_metric": "bleu",
            "batch_size": "64",
            "checkpoint_frequency_num_batches": "1000",
            "rnn_num_hidden": "48",
            "num_layers_encoder": "1",
            "num_layers_decoder": "1",
            "num_embed_source": "32",
            "num_embed_target": "32",
            "checkpoint_threshold": "3",
            # These two are not the notebook's: so small a corpus is learnt in a few seconds.
            "learning_rate": "0.01",
            "max_num_batches": "160",
        },
        StoppingCondition={"MaxRuntimeInSeconds": 48 * 3600},
        InputDataConfig=[
            {
                "ChannelName": channel,
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": f"s3://{bucket}/{PREFIX}/{channel}/",
                        "S3DataDistributionType": "FullyReplicated",
                    }
                },
            }
            for channel in ("train", "vocab", "validation")
        ],
    )
    waiter = sagemaker.get_waiter("training_job_completed_or_stopped")
    waiter.config.delay, waiter.config.max_attempts = 0.5, 400
    waiter.wait(TrainingJobName=JOB)
    return sagemaker.describe_training_job(TrainingJobName=JOB)


def put_into_service(sagemaker, name, archive):
    sagemaker.create_model(
        ModelName=name,
        ExecutionRoleArn="arn:aws:iam::000000000000:role/groundfog",
        PrimaryContainer={"Image": IMAGE, "ModelDataUrl": archive},
    )
    variant = {
        "InstanceType": "ml.m4.xlarge",
        "InitialInstanceCount": 1,
        "ModelName": name,
        "VariantName": "AllTraffic",
    }
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    waiter = sagemaker.get_waiter("endpoint_in_service")
    waiter.config.delay, waiter.config.max_attempts = 0.5, 240
    waiter.wait(EndpointName=name)


@pytest.fixture(scope="module")
def ask(client, trained):
    """ask(body, content_type) of the notebook's endpoint."""
    sagemaker = client("sagemaker")
    put_into_service(sagemaker, JOB, trained["ModelArtifacts"]["S3ModelArtifacts"])
    runtime = client("runtime.sagemaker")

    def invoke(body, content_type="application/json", endpoint=JOB, **more):
        answer = runtime.invoke_endpoint(EndpointName=endpoint, ContentType=content_type, Body=body, **more)
        return answer["Body"].read()

    yield invoke
    sagemaker.delete_endpoint(EndpointName=JOB)


def instances(*sentences, **configuration):
    asked = {"configuration": configuration} if configuration else {}
    return json.dumps({"instances": [{"data": sentence, **asked} for sentence in sentences]})


SENTENCES = ["you want a beautiful child !", "i see the old car .", "we hear no small movie ."]
GERMAN = ["du möchte ein schöne Kind !", "ich sehe das alte Auto .", "wir höre kein kleine Spiel ."]


def test_sentences_are_translated_in_json(ask):
    response = json.loads(ask(instances(*SENTENCES)).decode("utf-8"))
    assert response == {"predictions": [{"target": target} for target in GERMAN]}


def test_the_attention_matrix_can_be_drawn_as_the_notebook_draws_it(ask):
    body = instances(SENTENCES[0], attention_matrix="true")
    (response,) = json.loads(ask(body).decode("utf-8"))["predictions"]
    matrix = np.array(response["matrix"])
    assert matrix.shape == (len(response["target"].split()), len(SENTENCES[0].split()))
    assert np.allclose(matrix.sum(1), 1, atol=1e-3)
    assert matrix.min() >= 0
    # Each word is said while the decoder looks at the word that it translates.
    assert (matrix.argmax(1) == np.arange(6)).mean() > 0.5


def test_sentences_are_translated_in_recordio(ask, prepared):
    _, of_source, of_target = prepared
    back = {number: token for token, number in of_target.items()}
    f = io.BytesIO()
    for sentence in [*SENTENCES, "you want an aeroplane !"]:
        f.write(record(source=[of_source.get(token, 1) for token in sentence.split()], target=[]))
    found = targets(ask(f.getvalue(), "application/x-recordio-protobuf"))
    assert len(found) == 4
    assert [" ".join(back.get(token, "<unk>") for token in sentence) for sentence in found[:3]] == GERMAN


def test_lines_of_json_are_answered_by_lines(ask):
    body = "".join(json.dumps({"source": sentence}) + "\n" for sentence in SENTENCES)
    lines = ask(body, "application/jsonlines", Accept="application/jsonlines").decode().splitlines()
    assert [json.loads(line) for line in lines] == [{"target": target} for target in GERMAN]


def test_any_charset_may_be_sent_and_utf_8_comes_back(ask):
    for charset in ("utf-8", "UTF-16", "latin-1"):
        body = json.dumps({"instances": [{"data": SENTENCES[0]}]}).encode(charset)
        assert ask(body, f"application/json; charset={charset}") == (
            '{"predictions":[{"target":"du möchte ein schöne Kind !"}]}'.encode()
        )


def test_the_empty_the_unknown_and_the_endless_are_answered_in_order(ask):
    found = json.loads(ask(instances("", "dinosaurs Ω \U0001f996", SENTENCES[1] + " ." * 5000, SENTENCES[2])))
    empty, unknown, endless, last = [each["target"] for each in found["predictions"]]
    assert (empty, last) == ("", GERMAN[2])
    assert isinstance(unknown, str)
    assert len(endless.split()) <= 60


def test_thousands_of_sentences_fit_in_a_call(ask):
    english, german = corpus(3000, seed=9)
    found = [each["target"] for each in json.loads(ask(instances(*english)))["predictions"]]
    assert len(found) == 3000
    assert sum(each == right for each, right in zip(found, german, strict=True)) > 2900


def test_the_best_targets_come_with_scores(ask):
    (response,) = json.loads(ask(instances(SENTENCES[0], n_best=4)))["predictions"]
    assert response["n_best"][0]["target"] == response["target"] == GERMAN[0]
    scores = [each["score"] for each in response["n_best"]]
    assert len(scores) == 4
    assert scores == sorted(scores, reverse=True)
    assert scores[0] < 0


@pytest.mark.parametrize(
    ("body", "content_type", "said"),
    [
        (b"{", "application/json", "no JSON"),
        (b'{"instances": [{"data": "a"}, {"text": "a"}]}', "application/json", "instances[1]"),
        (b'{"source": "a"}\n{"source": 1}', "application/jsonlines", "Line 2"),
        (record(source=[4], target=[]) + b"rubbish!", "application/x-recordio-protobuf", "record 2"),
        (record(source=[4], target=[]) + record(target=[4]), "application/x-recordio-protobuf", "record 2"),
        (b"a,b", "text/csv", "text/csv is not supported"),
    ],
)
def test_a_malformed_body_is_a_model_error_that_says_what_and_where(ask, body, content_type, said):
    with pytest.raises(ClientError) as refused:
        ask(body, content_type)
    assert refused.value.response["Error"]["Code"] == "ModelError"
    assert 400 <= refused.value.response["OriginalStatusCode"] < 500
    assert said in refused.value.response["OriginalMessage"]


def test_an_archive_with_several_models_is_served_as_an_ensemble(ask, client, trained):
    """The job's model twice, in folders of their own, says what it says alone."""
    s3, sagemaker = client("s3"), client("sagemaker")
    bucket, _, key = trained["ModelArtifacts"]["S3ModelArtifacts"].removeprefix("s3://").partition("/")
    body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    together = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(body)) as one, tarfile.open(fileobj=together, mode="w:gz") as several:
        for member in one.getmembers():
            for folder in ("first", "second"):
                if member.isfile():
                    copy = tarfile.TarInfo(f"{folder}/{member.name.removeprefix('./')}")
                    copy.size = member.size
                    several.addfile(copy, one.extractfile(member))
        about = json.dumps({"models": ["first", "second"]}).encode()
        entry = tarfile.TarInfo("ensemble.json")
        entry.size = len(about)
        several.addfile(entry, io.BytesIO(about))
    s3.put_object(Bucket=bucket, Key="ensemble/model.tar.gz", Body=together.getvalue())
    put_into_service(sagemaker, "ensemble", f"s3://{bucket}/ensemble/model.tar.gz")
    response = json.loads(ask(instances(*SENTENCES), endpoint="ensemble"))
    sagemaker.delete_endpoint(EndpointName="ensemble")
    assert response == {"predictions": [{"target": target} for target in GERMAN]}
