"""The manifest of an export: all its files, and whether each is of another user."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from airflow_provider_kore.exceptions import KoreExportError
from airflow_provider_kore.export.selection import Selection
from airflow_provider_kore.export.user_files import Counts, ExportedFile, UserSummary

log = logging.getLogger(__name__)

MANIFEST = "manifest.json"
"""The last file in the folder."""


class Totals(Counts, frozen=True):
    """Count users and their items."""

    users: int


class Manifest(Selection, frozen=True):
    """List all files of data, in the order of their names."""

    files: list[ExportedFile]
    totals: Totals


def make_manifest(selection: Selection, summaries: Iterable[tuple[str, UserSummary | None]]) -> Manifest:
    """
    List the files of all users.

    :param selection: which data were exported.
    :param summaries: of each user how an error names the user, and the summary.
    :raises KoreExportError: if a user has no whole file, or two users have the data of one.
    """
    files: list[ExportedFile] = []
    owners: dict[str, str] = {}
    not_compared = 0
    for user, summary in summaries:
        if summary is None:
            raise KoreExportError(
                f"{user}: there is no whole file of this user at the end. The source of the user ids, or the "
                "destination, was changed while the task ran.",
                remedy="Clear the task to resume.",
            )
        name = summary.named_in_data
        if name is not None and (owner := owners.setdefault(name, user)) != user:
            raise KoreExportError(
                f"{user} and {owner} have the data of one and the same user of Kore.ai.",
                remedy="Take one of them out if both ids name one user. If not, Kore.ai answered with another user's "
                "data: delete the export, and ask Kore.ai.",
            )
        not_compared += not summary.compared
        files.append(ExportedFile(**summary.model_dump(include=set(ExportedFile.model_fields))))
    if not_compared:
        log.warning(
            "The exports of %d users were not compared with messages-lite, which does not answer, or takes no request "
            "for all bots or by a user's id in a channel: Kore.ai's full calls alone show that they are whole.",
            not_compared,
        )
    totals = Totals(
        users=len(files),
        sessions=sum(file.sessions for file in files),
        messages=sum(file.messages for file in files),
    )
    return Manifest(**dict(selection), files=sorted(files, key=lambda file: file.file), totals=totals)
