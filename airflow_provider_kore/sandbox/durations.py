"""How long an erasure takes: a fixed time, or one drawn at random."""

import math
from random import Random


def draw_seconds(duration: float | str, random: Random) -> float:
    """Draw from a number of seconds, ``uniform:a:b`` or ``log-uniform:a:b``; raise ``ValueError`` on any other form."""
    match str(duration).split(":"):
        case [seconds]:
            kind, low, high = "uniform", float(seconds), float(seconds)
        case [("uniform" | "log-uniform") as kind, least, most]:
            low, high = float(least), float(most)
        case _:
            raise ValueError("must be seconds, uniform:a:b or log-uniform:a:b")
    if not 0 <= low <= high < math.inf or (kind == "log-uniform" and not low):
        raise ValueError("must have finite bounds in order, and not be negative; log-uniform begins above 0")
    if kind == "log-uniform":
        return math.exp(random.uniform(math.log(low), math.log(high)))
    return random.uniform(low, high)
