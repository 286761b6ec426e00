"""Run the sandbox from the command line: ``python -m airflow_provider_kore.sandbox``."""

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import Field, dataclass, fields, replace
from pathlib import Path
from types import FrameType, UnionType
from typing import Literal, NoReturn, get_args, get_origin, get_type_hints

from airflow_provider_kore.sandbox.account import Account
from airflow_provider_kore.sandbox.faults import Fault
from airflow_provider_kore.sandbox.server import Connection, SandboxServer, connection_to, listen, url_of
from airflow_provider_kore.sandbox.settings import Settings
from airflow_provider_kore.sandbox.tokens import generate_key_pair


@dataclass(frozen=True)
class CommandLine:
    """What the command line asks for."""

    host: str
    port: int
    settings: Settings
    private_key: str | None
    faults: Sequence[Fault]
    ready_file: Path | None


def build_parser() -> argparse.ArgumentParser:
    """Build the parser: a few flags for the server, and one for each setting."""
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_kore.sandbox",
        usage="%(prog)s [options]",
        description="A strict, configurable local stand-in for what Kore.ai's API offers around erasures.",
    )
    server = parser.add_argument_group("server")
    server.add_argument("--host", default="127.0.0.1", help="loopback address to listen on")
    server.add_argument("--port", type=int, default=8765, help="port to listen on; 0 picks a free one")
    server.add_argument("--config", type=Path, metavar="FILE", help="settings as a JSON object; flags win")
    server.add_argument("--ready-file", type=Path, metavar="FILE", help="write url, connection and pid once ready")
    server.add_argument("--write-private-key", type=Path, metavar="FILE", help="generate a key pair for RS256 or RS512")
    server.add_argument("--fault", action="append", default=[], metavar="JSON", help="script a fault, may be repeated")
    settings = parser.add_argument_group("settings")
    hints = get_type_hints(Settings)
    for field in fields(Settings):
        _add_flag(settings, field, hints[field.name])
    return parser


def read_command_line(arguments: Sequence[str] | None = None) -> CommandLine:
    """Read the command line; end the program with a message if it cannot be followed."""
    parser = build_parser()
    given = vars(parser.parse_args(arguments))
    try:
        settings, private_key = _read_settings(given)
        faults = [Fault.from_json(json.loads(text)) for text in given["fault"]]
    except (ValueError, OSError) as error:
        parser.error(str(error))
    return CommandLine(given["host"], given["port"], settings, private_key, faults, given["ready_file"])


def main() -> None:
    """Run the sandbox until it is told to stop."""
    command_line = read_command_line()
    for number in (signal.SIGINT, signal.SIGTERM):  # uvicorn stops, restores these, and raises the signal again
        signal.signal(number, _exit)
    try:
        account = Account(command_line.settings)
        listener = listen(command_line.host, command_line.port)
    except (ValueError, OSError) as error:
        sys.exit(f"The sandbox cannot start: {error}")
    if command_line.ready_file:
        command_line.ready_file.unlink(missing_ok=True)  # one of an earlier run would say ready too soon
    account.faults.pending += command_line.faults
    url = url_of(listener)
    connection = connection_to(url, command_line.settings, command_line.private_key)

    def on_ready() -> None:
        sys.stdout.write(f"Kore sandbox at {url}\n{connection.as_export()}\n")
        sys.stdout.flush()
        if command_line.ready_file:
            _write_ready_file(command_line.ready_file, url, connection)

    SandboxServer(account, on_ready).run([listener])


def _add_flag(group: "argparse._ArgumentGroup", field: "Field[object]", hint: object) -> None:
    flag = "--" + field.name.replace("_", "-")
    description = str(field.metadata["description"]).replace("%", "%%")
    source = field.metadata["source"]
    text = f"{description} [{source}, default: {_show(field.default)}]"
    if field.name == "public_key":
        group.add_argument(flag, type=Path, metavar="FILE", default=argparse.SUPPRESS, help=text)
    elif hint is bool:
        group.add_argument(flag, action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS, help=text)
    elif get_origin(hint) is tuple:
        group.add_argument(
            flag, action="append", metavar="ID", default=argparse.SUPPRESS, help=text + ", may be repeated"
        )
    elif get_origin(hint) is Literal:
        choices = get_args(hint)
        group.add_argument(flag, type=type(choices[0]), choices=choices, default=argparse.SUPPRESS, help=text)
    else:
        convert = str if isinstance(hint, UnionType) or not callable(hint) else hint
        group.add_argument(flag, type=convert, metavar="VALUE", default=argparse.SUPPRESS, help=text)


def _read_settings(given: dict[str, object]) -> tuple[Settings, str | None]:
    names = {field.name for field in fields(Settings)}
    changes = {name: value for name, value in given.items() if name in names}
    public_key = changes.get("public_key")
    if isinstance(public_key, Path):
        changes["public_key"] = public_key.read_text()
    settings = Settings()
    config = given["config"]
    if isinstance(config, Path):
        content = json.loads(config.read_text())
        if not isinstance(content, dict):
            raise ValueError(f"{config} must hold a JSON object")
        settings = settings.changed(content)
    settings = settings.changed(changes)
    private_key_file = given["write_private_key"]
    if not isinstance(private_key_file, Path):
        return settings, None
    if not settings.algorithm.startswith("RS"):
        raise ValueError(f"{settings.algorithm} has no private key")
    pair = generate_key_pair()
    _write_private(private_key_file, pair.private_key)
    return replace(settings, public_key=pair.public_key), pair.private_key


def _write_ready_file(path: Path, url: str, connection: Connection) -> None:
    content = {"url": url, "connection": connection.as_dict(), "pid": os.getpid()}
    unfinished = path.with_name(path.name + ".unfinished")
    _write_private(unfinished, json.dumps(content))
    unfinished.replace(path)  # so that whoever sees the file sees all of it


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)


def _show(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) if value != () else "none"


def _exit(_number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(0)


if __name__ == "__main__":
    main()
