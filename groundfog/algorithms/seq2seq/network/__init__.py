"""The network: encoders, decoders, and what they are made of."""
