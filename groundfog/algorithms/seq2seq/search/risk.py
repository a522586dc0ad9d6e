"""Minimum Bayes risk: of several candidates the one that will be least wrong (Kumar and Byrne 2004).

The most probable target need not be the best one. Where three candidates of 20 % each agree in all but a stress mark,
and a fourth of 30 % agrees with nothing, one of the three is the better guess. With the candidates' probabilities p and
a loss that says how wrong a target is where another one were right:

    risk(y) = sum over y' of p(y') * loss(y, y')

Candidates are an n-best list, its probabilities made to sum to 1 (Eikema and Aziz 2020 take samples).
"""

import math
from collections.abc import Callable, Hashable, Sequence

Loss = Callable[[list[str], list[str]], float]
"""How wrong the first target is where the second one is right."""


def edit_distance(said: Sequence[str], right: Sequence[str]) -> float:
    """Tokens to insert, to delete and to replace (Levenshtein 1966)."""
    before = list(range(len(right) + 1))
    for row, token in enumerate(said, start=1):
        line = [row]
        for column, other in enumerate(right, start=1):
            line.append(min(before[column] + 1, line[-1] + 1, before[column - 1] + (token != other)))
        before = line
    return float(before[-1])


def differing(what: Callable[[list[str]], Hashable]) -> Loss:
    """1 where `what` of the two targets differs, else 0: the best class of targets is found, not the best single one.

    differing(lambda tokens: " ".join(tokens).translate(STRESS))
    """
    return lambda said, right: float(what(said) != what(right))


def risks(candidates: Sequence[list[str]], log_probabilities: Sequence[float], loss: Loss) -> list[float]:
    """Of each candidate."""
    most = max(log_probabilities)
    weights = [math.exp(each - most) for each in log_probabilities]
    return [
        sum(weight * loss(said, right) for weight, right in zip(weights, candidates, strict=True)) / sum(weights)
        for said in candidates
    ]
