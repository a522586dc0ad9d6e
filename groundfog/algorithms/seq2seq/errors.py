"""What can go wrong with what comes from outside."""


class InputFault(ValueError):
    """Data, vocabularies, hyperparameters or a request are at fault; the text says what, where, and what to do."""
