"""The split of CMUdict that all figures of benchmarks/g2p are about."""

import hashlib

import dictionary
import pytest


@pytest.fixture(scope="module")
def parts():
    return dictionary.split(dictionary.read())


def test_has_the_published_sizes(parts):
    sizes = [(len(part), len(dictionary.pairs(part))) for part in parts]
    assert sizes == [(112_433, 120_610), (6_246, 6_679), (6_247, 6_682)]


def test_no_word_stands_in_two_parts(parts):
    assert not set(parts.train) & set(parts.dev)
    assert not set(parts.train) & set(parts.test)
    assert not set(parts.dev) & set(parts.test)


def test_is_the_same_everywhere_byte_for_byte(parts, tmp_path):
    dictionary.write(parts, tmp_path)
    digests = [hashlib.md5((tmp_path / f"test.{ending}").read_bytes()).hexdigest() for ending in ("src", "trg")]
    assert digests == ["59b639dcc3b1eb00c55a0968654720c5", "ba173a38ccef4f2b5467407768a473ed"]


def test_a_pronunciation_counts_once(parts):
    for part in parts:
        for spoken in part.values():
            assert len(spoken) == len(set(map(tuple, spoken)))
