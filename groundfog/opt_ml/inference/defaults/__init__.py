"""A toolkit is a module: `model_fn`, `input_fn`, `predict_fn` and `output_fn` for where the user's has none.

What they work with, numpy, torch, transformers, is the user's environment's, and imported by name when it is needed.
"""
