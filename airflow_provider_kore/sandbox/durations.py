"""How long an erasure takes: a fixed time, or one drawn at random."""

import math
from random import Random


def draw_seconds(duration: float | str, random: Random) -> float:
    """Draw from a number of seconds, ``uniform:a:b`` or ``log-uniform:a:b``; raise ``ValueError`` on any other form."""
    kind, *numbers = str(duration).split(":") if ":" in str(duration) else ("uniform", duration, duration)
    try:
        low, high = map(float, numbers)
    except ValueError:
        low = high = math.nan
    if kind == "uniform" and 0 <= low <= high < math.inf:
        return random.uniform(low, high)
    if kind == "log-uniform" and 0 < low <= high < math.inf:
        return math.exp(random.uniform(math.log(low), math.log(high)))
    raise ValueError(
        "must be seconds, uniform:a:b or log-uniform:a:b, with 0 <= a <= b (0 < a where it is a logarithm)"
    )
