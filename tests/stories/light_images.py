"""Images of frameworks without the frameworks: their toolkits in a bare Python, which is there in no time."""

from pathlib import Path

REGISTRY = "763104351884.dkr.ecr.us-east-1.amazonaws.com"
HUGGINGFACE = f"{REGISTRY}/huggingface-light-inference:4.37.0"
PYTORCH = f"{REGISTRY}/pytorch-light-inference:2.1.0"
_KNOWN = """
[[image]]
repository = "huggingface-light-*"
toolkit = "huggingface"

[[image]]
repository = "pytorch-light-*"
toolkit = "pytorch"
"""


def make_known(home: Path) -> None:
    """To the server over this home."""
    file = home / "images.toml"
    written = file.read_text() if file.exists() else ""
    if _KNOWN not in written:
        file.write_text(written + _KNOWN)
