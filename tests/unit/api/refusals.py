"""Assert that an input is refused, and that the error shows nothing of it."""

import pytest

from airflow_provider_kore.exceptions import Consequence, KoreInputError

MARK = "Xq7ZwK9"
"""Stands in each id that is refused; no error text would hold it by chance."""


def refused(check, *arguments, **more):
    with pytest.raises(KoreInputError) as caught:
        check(*arguments, **more)
    assert caught.value.consequence is Consequence.NOT_SENT
    assert caught.value.remedy
    return caught.value
