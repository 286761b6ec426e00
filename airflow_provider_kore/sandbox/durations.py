"""How long an erasure takes: a fixed time, or one drawn at random."""

import math
from collections.abc import Callable
from random import Random


def read_duration(duration: float | str) -> Callable[[Random], float]:
    """Turn a number of seconds, ``uniform:a:b`` or ``log-uniform:a:b`` into a function that draws seconds."""
    name, _, numbers = str(duration).rpartition("uniform:")
    is_random = bool(_)
    try:
        bounds = [float(number) for number in numbers.split(":")]
    except ValueError:
        bounds = []
    match is_random, name, bounds:
        case False, "", [seconds] if 0 <= seconds < math.inf:
            return lambda _random: seconds
        case True, "", [low, high] if 0 <= low <= high < math.inf:
            return lambda random: random.uniform(low, high)
        case True, "log-", [low, high] if 0 < low <= high < math.inf:
            return lambda random: math.exp(random.uniform(math.log(low), math.log(high)))
    raise ValueError(f"duration must be seconds, uniform:a:b or log-uniform:a:b, not {duration!r}")
