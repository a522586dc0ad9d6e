"""Groundfog: AWS's machine-learning APIs on machines you own, really doing the work."""

__version__ = "0.1.0"
