"""How the command line becomes settings."""

import json

import pytest

from airflow_provider_kore.sandbox.__main__ import build_parser, read_command_line
from airflow_provider_kore.sandbox.settings import Settings


def test_without_flags_the_settings_are_the_defaults():
    command_line = read_command_line([])
    assert command_line.settings == Settings()
    assert (command_line.host, command_line.port) == ("127.0.0.1", 8765)
    assert command_line.private_key is None


def test_every_setting_has_a_flag_and_its_help_says_whether_it_is_a_guess():
    page = build_parser().format_help()
    for name in Settings.model_fields:
        assert f"--{name.replace('_', '-')}" in page
    guesses = sum(Settings.source_of(name) == "guessed" for name in Settings.model_fields)
    assert page.count("[guessed") == guesses


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--refuse", "u-1", "--refuse", "*@example.com"], {"refuse": ("u-1", "*@example.com")}),
        (["--no-enforce-jti"], {"enforce_jti": False}),
        (["--throttle-status", "400"], {"throttle_status": 400}),
        (["--minute-seconds", "0.5"], {"minute_seconds": 0.5}),
        (["--requests-per-minute", "0"], {"requests_per_minute": 0}),
        (["--duration", "uniform:1:2"], {"duration": "uniform:1:2"}),
        (["--while-running", "growing"], {"while_running": "growing"}),
        (["--members", "boss", "--members", "u-9"], {"members": ("boss", "u-9")}),
        (["--no-history-counts", "--ignore-user-filter"], {"history_counts": False, "ignore_user_filter": True}),
        (["--history-channels", "email", "--history-channels", "sms"], {"history_channels": ("email", "sms")}),
        (
            ["--leave-behind-kind", "messages", "--wrong-total", "-1"],
            {"leave_behind_kind": "messages", "wrong_total": -1},
        ),
        (["--sessions-per-user", "250", "--history-days", "0.5"], {"sessions_per_user": 250, "history_days": 0.5}),
    ],
)
def test_a_flag_changes_its_setting(flags, expected):
    assert read_command_line(flags).settings == Settings(**expected)


def test_a_flag_wins_over_the_file(tmp_path):
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"seed": 1, "erased_word": "done", "bots": ["st-1"]}))
    settings = read_command_line(["--config", str(config), "--seed", "2"]).settings
    assert settings == Settings(seed=2, erased_word="done", bots=("st-1",))


def test_a_public_key_is_read_from_its_file(tmp_path, key_pair):
    public_key = tmp_path / "public.pem"
    public_key.write_text(key_pair[0].public_key)
    command_line = read_command_line(["--algorithm", "RS256", "--public-key", str(public_key)])
    assert command_line.settings.public_key == key_pair[0].public_key
    assert command_line.private_key is None


@pytest.mark.parametrize("content", ["[]", "{", '{"surprise": 1}', '{"bots": "st-1"}'])
def test_a_file_that_makes_no_sense_is_refused(tmp_path, capsys, content):
    config = tmp_path / "config.json"
    config.write_text(content)
    with pytest.raises(SystemExit):
        read_command_line(["--config", str(config)])
    assert "error:" in capsys.readouterr().err
