"""A model for other programs: ONNX graphs that need neither torch nor Groundfog.

encoder.onnx           source ids and lengths -> what the decoder needs of them, and its first state
decoder_step.onnx      the token said last, that, and a state -> log probabilities, where it looked, the next state
vocab.src.json, vocab.trg.json, config, tokenizer.json      as in a model's folder
translate.py           greedy translation with numpy and onnxruntime alone: an example, and a program
README.md

graphs       the two graphs as modules; trees of tensors as lists with names
recurrent    recurrent encoder layers as ONNX's own operators
writing      `export_onnx`
"""
