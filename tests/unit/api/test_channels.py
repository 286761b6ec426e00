"""Which text names a channel."""

import pytest

from airflow_provider_kore.api.channels import DEFAULT_CHANNEL_TYPE, check_channel_types
from airflow_provider_kore.exceptions import KoreInputError


@pytest.mark.parametrize("channel", ["rtm", "korevg", "audiocodes", "RTM", "an ivrInstID", "Ünit/7", "a" * 300])
def test_any_text_can_name_a_channel(channel):
    assert check_channel_types([channel, "sms", channel]) == (channel, "sms")


@pytest.mark.parametrize(
    "channels",
    [
        "rtm",
        [],
        None,
        {"rtm"},
        ["rtm", ""],
        [" "],
        [None],
        [7],
        ["a\x00"],
        ["a\nb"],
        ["{{ x }}"],
        ["a\u200bb"],
        ["None"],
    ],
)
def test_what_names_no_channel_is_refused(channels):
    with pytest.raises(KoreInputError, match=f"list of channels|The channel at position {len(channels or '')} "):
        check_channel_types(channels)


def test_the_default_channel_is_the_documented_one():
    assert check_channel_types([DEFAULT_CHANNEL_TYPE]) == ("rtm",)
