"""The base of what the sandbox reads from JSON: settings, faults and the bodies of requests."""

from pydantic import BaseModel, ConfigDict, ValidationError


class StrictModel(BaseModel):
    """A model that converts nothing and knows all its keys; its errors do not repeat the value."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


def explain(error: Exception) -> str:
    """Return in one line what is wrong, with the name of each field."""
    if not isinstance(error, ValidationError):
        return str(error)
    return "; ".join(": ".join([".".join(map(str, wrong["loc"])), wrong["msg"]]) for wrong in error.errors())
