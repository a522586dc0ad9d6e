"""What the engine refuses.

    EngineError
    ├── Missing   what was named is not there
    ├── Taken     the name is in use already
    ├── Busy      not in a state in which this can be done
    ├── Unfit     what was given cannot be used, and why
    └── Unreachable   what is needed does not answer now, and may later

Services turn these into AWS's codes and texts; nothing here knows either.
"""


class EngineError(Exception):
    """Anything that the engine refuses."""


class Missing(EngineError):
    """What was named is not there."""


class Taken(EngineError):
    """The name is in use already."""


class Busy(EngineError):
    """It exists, but is not in a state in which this can be done."""


class Unfit(EngineError):
    """What was given cannot be used; the text says why."""


class Unreachable(EngineError):
    """What is needed lies on another machine and does not answer now; to try again later may help."""
