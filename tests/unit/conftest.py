"""Settings for all unit tests."""

from hypothesis import settings

# A shared machine can be slow for a moment; how long an example takes is for a benchmark to judge.
settings.register_profile("unit", deadline=None)
settings.load_profile("unit")
