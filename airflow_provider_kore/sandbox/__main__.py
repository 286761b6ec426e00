"""Run the sandbox from the command line: ``python -m airflow_provider_kore.sandbox``."""

import argparse
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Literal, NoReturn, get_args, get_origin

from airflow_provider_kore.sandbox.account import Account
from airflow_provider_kore.sandbox.faults import Fault
from airflow_provider_kore.sandbox.models import explain
from airflow_provider_kore.sandbox.server import SandboxServer, connection_to, export_command, listen, url_of
from airflow_provider_kore.sandbox.settings import Settings
from airflow_provider_kore.sandbox.tokens import with_key_pair


@dataclass(frozen=True)
class CommandLine:
    """The options of the command line."""

    host: str
    port: int
    settings: Settings
    private_key: str | None
    faults: Sequence[Fault]
    ready_file: Path | None


PROG = "python -m airflow_provider_kore.sandbox"


def build_parser(prog: str = PROG) -> argparse.ArgumentParser:
    """Build the parser: a few flags for the server, and one for each setting."""
    parser = argparse.ArgumentParser(
        prog=prog,
        usage="%(prog)s [options]",
        description="A strict, configurable local stand-in for what Kore.ai's API offers around erasures.",
    )
    server = parser.add_argument_group("server")
    server.add_argument("--host", default="127.0.0.1", help="loopback address to listen on")
    server.add_argument("--port", type=int, default=8765, help="port to listen on; 0 picks a free one")
    server.add_argument("--config", type=Path, metavar="FILE", help="settings as a JSON object; flags win")
    server.add_argument("--replay", type=Path, metavar="FILE", help="settings of a report of airflow kore check")
    server.add_argument("--ready-file", type=Path, metavar="FILE", help="write url, connection and pid once ready")
    server.add_argument("--write-private-key", type=Path, metavar="FILE", help="generate a key pair for RS256 or RS512")
    server.add_argument("--fault", action="append", default=[], metavar="JSON", help="script a fault, may be repeated")
    settings = parser.add_argument_group("settings")
    for name, field in Settings.model_fields.items():
        options = {"type": Path, "metavar": "FILE"} if name == "public_key" else _flag_options(field.annotation)
        default = json.dumps(field.default, ensure_ascii=False) if field.default != () else "none"
        repeated = ", may be repeated" if "append" in options.values() else ""
        text = f"{field.description} [{Settings.source_of(name)}, default: {default}]{repeated}".replace("%", "%%")
        settings.add_argument("--" + name.replace("_", "-"), default=argparse.SUPPRESS, help=text, **options)
    return parser


def read_command_line(arguments: Sequence[str] | None = None, prog: str = PROG) -> CommandLine:
    """Read the command line; end the program with a message if something is wrong."""
    parser = build_parser(prog)
    options = vars(parser.parse_args(arguments))
    try:
        settings, private_key = _read_settings(options)
        faults = [Fault.model_validate(json.loads(text)) for text in options["fault"]]
    except (ValueError, OSError) as error:
        parser.error(explain(error))
    return CommandLine(options["host"], options["port"], settings, private_key, faults, options["ready_file"])


def main(arguments: Sequence[str] | None = None, prog: str = PROG) -> None:
    """Run the sandbox until a signal stops it."""
    command_line = read_command_line(arguments, prog)
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
        sys.stdout.write(f"Kore sandbox at {url}\n{export_command(connection)}\n")
        sys.stdout.flush()
        if command_line.ready_file:
            _write_ready_file(command_line.ready_file, url, connection)

    SandboxServer(account, on_ready).run([listener])


def _flag_options(annotation: object) -> dict[str, Any]:
    if annotation is bool:
        return {"action": argparse.BooleanOptionalAction}
    if get_origin(annotation) is tuple:
        return {"action": "append", "metavar": "ID"}
    if get_origin(annotation) is Literal:
        choices = get_args(annotation)
        return {"type": type(choices[0]), "choices": choices}
    return {"type": annotation if annotation in (int, float) else str, "metavar": "VALUE"}


def _read_settings(options: Mapping[str, Any]) -> tuple[Settings, str | None]:
    changes = {name: options[name] for name in Settings.model_fields if name in options}
    if "public_key" in changes:
        changes["public_key"] = changes["public_key"].read_text()
    if options["config"]:
        changes = _read_object(options["config"]) | changes
    if options["replay"]:
        replayed = _read_object(options["replay"]).get("sandbox")
        if not isinstance(replayed, dict):
            raise ValueError(f"{options['replay']} is no report of airflow kore check")
        changes = replayed | changes
    settings = Settings().changed(changes)
    if not options["write_private_key"]:
        return settings, None
    if not settings.algorithm.startswith("RS"):
        raise ValueError(f"{settings.algorithm} has no private key")
    settings, private_key = with_key_pair(settings)
    _write_private(options["write_private_key"], private_key)
    return settings, private_key


def _read_object(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text())
    if not isinstance(content, dict):
        raise ValueError(f"{path} must contain a JSON object")
    return content


def _write_ready_file(path: Path, url: str, connection: Mapping[str, object]) -> None:
    unfinished = path.with_name(path.name + ".unfinished")
    _write_private(unfinished, json.dumps({"url": url, "connection": connection, "pid": os.getpid()}))
    unfinished.replace(path)  # so that a reader finds all of it or none


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)


def _exit(_number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(0)


if __name__ == "__main__":
    main()
