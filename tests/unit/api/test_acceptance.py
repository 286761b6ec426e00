"""Which answers to an erase call leave it open whether it was accepted."""

import pytest

from airflow_provider_kore.api.acceptance import leaves_open


@pytest.mark.parametrize(
    ("statuses", "open_"),
    [
        pytest.param([400, 402, 422], False, id="the request itself is refused"),
        pytest.param([401, 403, 407], False, id="nobody is let in"),
        pytest.param([404, 405, 410, 501], False, id="nothing is there that could do it"),
        pytest.param([409, 412, 417, 423, 428], False, id="a condition is not met"),
        pytest.param([411, 413, 414, 415, 431], False, id="its form is refused"),
        pytest.param([421, 425, 426], False, id="not for this server, moment or protocol"),
        pytest.param([300, 301, 302, 304, 305, 307, 308], False, id="somewhere else"),
        pytest.param([429, 451], False, id="not now, or never"),
        pytest.param([408, 499, 460, 494], True, id="a proxy that no longer waits"),
        pytest.param([500, 502, 503, 504, 507, 511, 520, 524, 598, 599], True, id="a fault behind it"),
        pytest.param([303, 306, 406, 418, 424, 440], True, id="it may have been done before this was answered"),
    ],
)
def test_only_what_proves_that_nothing_was_done_settles_an_erase_call(statuses, open_):
    assert [leaves_open(status) for status in statuses] == [open_] * len(statuses)
