import os
from pathlib import Path

import pytest

from groundfog.engine.environments import pythons
from groundfog.engine.environments.profiles import Profiles
from groundfog.engine.errors import Unfit

OURS = Profiles()


@pytest.mark.parametrize(
    ("repository", "tag", "package", "toolkit"),
    [
        ("huggingface-pytorch-training", "1.7.1-transformers4.6.1-gpu-py36", "transformers==4.44.2", "huggingface"),
        ("huggingface-pytorch-training", "1.7.1-transformers4.5.0-cpu", "transformers==4.44.2", "huggingface"),
        # Walkthrough 002 pins datasets 2.8 in its requirements.txt, which runs with these and none later.
        ("huggingface-pytorch-training", "1.7.1-transformers4.6.1-gpu-py36", "numpy==1.26.4", "huggingface"),
        ("huggingface-pytorch-training", "1.7.1-transformers4.6.1-gpu-py36", "pyarrow==20.0.0", "huggingface"),
        ("huggingface-pytorch-training", "2.5.1-transformers4.49.0-gpu", "transformers==4.57.6", "huggingface"),
        ("huggingface-pytorch-training", "2.8.0-transformers4.56.2-gpu", "transformers==4.57.6", "huggingface"),
        ("huggingface-pytorch-training", "2.8.0-transformers5.1.0-gpu-py312", "transformers==5.23.0", "huggingface"),
        ("huggingface-pytorch-training", "", "transformers==5.23.0", "huggingface"),
        ("huggingface-pytorch-inference", "2.0.0-transformers4.28.1-cpu", "transformers==4.44.2", "huggingface"),
        ("pytorch-training", "2.0.0-cpu-py310", "torch==2.13.0", "pytorch"),
        ("pytorch-inference", "latest", "torch==2.13.0", "pytorch"),
        ("sagemaker-scikit-learn", "1.2-1-cpu-py3", "scikit-learn==1.9.1", "sklearn"),
        ("sagemaker-xgboost", "1.7-1", "xgboost-cpu==3.2.0", "xgboost"),
        ("xgboost", "1", "xgboost-cpu==3.2.0", "xgboost"),
        ("mxnet-training", "1.6.0-cpu-py3", "boto3==1.44.*", "mxnet"),
    ],
)
def test_an_image_has_the_libraries_of_its_years(repository: str, tag: str, package: str, toolkit: str) -> None:
    for kind in ("training", "inference"):
        profile = OURS.find(repository, tag, kind)
        assert profile is not None
        assert (package in profile.recipe.packages, profile.toolkit) == (True, toolkit)


def test_every_package_that_is_large_is_pinned_and_shared() -> None:
    for repository in ("huggingface-pytorch-training", "pytorch-training"):
        profile = OURS.find(repository, "", "training")
        assert profile is not None
        assert profile.recipe.shared == ("torch",)
        assert all("==" in package for package in profile.recipe.packages)


def test_an_image_that_nobody_described_is_unknown() -> None:
    assert OURS.find("tensorflow-training", "2.0", "training") is None


def test_a_users_file_comes_first_and_is_read_again_when_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "images.toml"
    profiles = Profiles(file)
    assert profiles.find("mine", "1", "training") is None
    file.write_text('[[image]]\nrepository = "pytorch-training"\npackages = ["a"]\n')
    found = profiles.find("pytorch-training", "1", "training")
    assert found is not None
    assert found.recipe.packages == ("a",)
    file.write_text('[[image]]\nrepository = "mine"\nkind = "training"\nvariables = {A = "b"}\n')
    os.utime(file, (1, 1))
    mine = profiles.find("mine", "1", "training")
    assert mine is not None
    assert mine.recipe.variables == {"A": "b"}
    assert profiles.find("mine", "1", "inference") is None
    assert "mine" in profiles.names


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[image]\n", "cannot be used"),
        ("[images]\n", "'images' is unknown"),
        ("[[image]]\n", "needs a repository"),
        ('[[image]]\nrepository = "a"\npackage = ["b"]\n', "no 'package'"),
        ('[[image]]\nrepository = "a"\npackages = "b"\n', "packages of a must be a list"),
        ('[[image]]\nrepository = "a"\ntag = 2\n', "tag of a"),
        ('[[image]]\nrepository = "a"\ntoolkit = "keras"\n', "toolkit of a must be one of huggingface"),
        ("image = 3\n", "'image' is unknown"),
        ('[[image]]\nrepository = "a"\nkind = "serving"\n', "kind of a"),
        ('[[image]]\nrepository = "a"\nvariables = {A = 1}\n', "variables of a"),
    ],
)
def test_a_file_that_cannot_be_used_says_where_and_why(text: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "images.toml").write_text(text)
    with pytest.raises(Unfit, match=complaint) as refused:
        Profiles(tmp_path / "images.toml").find("a", "", "training")
    assert str(tmp_path) in str(refused.value)


def test_the_servers_own_python_is_taken_where_it_will_do() -> None:
    own = pythons.find([])
    assert own == pythons.find(["2.7", own.short])
    assert own.pip.exists()


def test_a_python_that_is_not_here_is_named() -> None:
    with pytest.raises(Unfit, match=r"Python 2\.0 or 3\.99 is not on the machine"):
        pythons.find(["2.0", "3.99"])
