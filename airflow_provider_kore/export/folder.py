"""The folder of an export, which belongs to one task instance and its users."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

from pydantic import AwareDatetime, BaseModel, ValidationError

from airflow_provider_kore.exceptions import KoreExportError, KoreInputError
from airflow_provider_kore.export.selection import Selection
from airflow_provider_kore.storage.folder import StorageFolder

DocumentT = TypeVar("DocumentT", bound=BaseModel)

CLAIM = "export.json"
"""The first file in the folder: what it is for."""

_NAMES = {"users": "set of users"}
"""How an error names a field of a claim, where the field's own name would be wrong English."""


class Identity(Selection, frozen=True):
    """
    Tell one export from all others.

    :param run: names the task instance, see :func:`~airflow_provider_kore.export.run.run_digest`.
    :param users: the fingerprint of its users.
    """

    run: str
    users: str


class Claim(Identity, frozen=True):
    """
    Say which export a folder belongs to.

    :param now: what counts as now in all attempts: a finished DAG run that is cleared gets another start from Airflow.
    """

    now: AwareDatetime


class ExportFolder(StorageFolder):
    """
    Read and write the files of an export.

    :param uri: of the folder.
    :raises KoreExportError: by every method, if the storage fails.
    """

    def read_document(self, name: str, form: type[DocumentT]) -> DocumentT | None:
        """Read a JSON document; ``None`` if there is none, or it has another form."""
        content = self.read(name)
        try:
            return None if content is None else form.model_validate_json(content)
        except ValidationError:
            return None

    def write_document(self, name: str, document: BaseModel) -> str:
        """Write a JSON document, and return the file's SHA-256 in hex."""
        return self.write(name, document.model_dump_json(indent=2).encode() + b"\n")

    def read_now(self, run: str, now: datetime) -> datetime:
        """
        Return what counts as now in a run.

        :param run: of the export.
        :param now: what counts as now, if the folder does not say.
        :raises KoreInputError: if the folder is not understood.
        """
        claim = self.read_document(CLAIM, Claim)
        if claim is None and self.read(CLAIM) is not None:
            raise _not_free(f"it contains a file {CLAIM} that is not understood")
        return claim.now if claim is not None and claim.run == run else now

    def claim(self, identity: Identity, now: datetime) -> None:
        """
        Let the folder say which export it belongs to.

        :raises KoreInputError: if it belongs to another one.
        """
        if self.read_document(CLAIM, Claim) is None:
            self.write_document(CLAIM, Claim(**dict(identity), now=now))
        self.require_claim(identity)

    def require_claim(self, identity: Identity) -> None:
        """
        Refuse a folder that belongs to another export, also to one that began at the same moment.

        :raises KoreInputError: if it does.
        """
        claim = self.read_document(CLAIM, Claim)
        if claim is None:
            raise _not_free(f"its file {CLAIM} is gone, or not understood")
        if differences := identity.differences(claim):
            others = " and ".join(_NAMES.get(name, name) for name in differences)
            raise _not_free(f"it contains an export of another {others}")

    def _error(self, name: str, fault: str) -> KoreExportError:  # noqa: ARG002 # the task names the user
        return KoreExportError(
            f"The export {fault}.",
            remedy="Check the destination, the rights of the worker there and the room, and that the provider of its "
            "file system is installed; then clear the task to resume.",
        )


def _not_free(why: str) -> KoreInputError:
    return KoreInputError(
        f"The destination cannot be used: {why}.",
        remedy="Give each export a folder of its own, for example by a template such as {{ run_id }}; or empty the "
        "folder.",
    )
