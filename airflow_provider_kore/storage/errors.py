"""What may be shown of an error of a file system: its cause, and nothing that can contain a user id or a secret."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping

_MEANINGS = {
    "AirflowNotFoundException": "the Airflow connection that the URI names is not defined",
    "FileNotFoundError": "there is no such file, folder or bucket",
    "IsADirectoryError": "it is a folder and no file",
    "PermissionError": "access is denied",
    "TimeoutError": "there was no answer in time",
    "NoCredentialsError": "there are no credentials",
    "PartialCredentialsError": "the credentials are not complete",
    "DefaultCredentialsError": "there are no credentials",
    "gaierror": "the name of the host cannot be resolved",
    "EndpointConnectionError": "the endpoint cannot be reached",
}
"""By the name of an exception's class, or of a base class: what it means, where the name alone helps few."""

_PROVIDERS = {
    **dict.fromkeys(("s3", "s3a", "s3n"), "apache-airflow-providers-amazon[s3fs]"),
    **dict.fromkeys(("gs", "gcs"), "apache-airflow-providers-google"),
    **dict.fromkeys(("abfs", "abfss", "adl"), "apache-airflow-providers-microsoft-azure"),
    **dict.fromkeys(("msgraph", "sharepoint", "onedrive", "msgd"), "apache-airflow-providers-microsoft-azure"),
    **dict.fromkeys(("sftp", "ssh"), "apache-airflow-providers-sftp[sshfs]"),
}
"""By the scheme of a URI: the package that registers its file system with Airflow."""

_STATUSES = ("response.ResponseMetadata.HTTPStatusCode", "status_code", "status", "code", "response.status_code")
"""Where exceptions of object stores have the HTTP status."""

_CODES = ("response.Error.Code", "error_code", "error_code.value", "reason")
"""Where they have the storage's own code, such as ``NoSuchBucket``."""

_NO_FILE_SYSTEM = re.compile(
    r"No filesystem registered for scheme ([a-z][a-z0-9+.-]*)"  # Airflow
    r"|Unsupported filesystem: '([a-z][a-z0-9+.-]*)'"  # universal_pathlib
)
_CODE = re.compile(r"[A-Z][A-Za-z_]{2,59}")
_MOST_CAUSES = 4
_LONGEST_TEXT = 300


def describe_storage_error(error: BaseException) -> str:
    """
    Describe why a storage failed, without any text that can contain a user id or a secret.

    Shown are the class of the exception and of its causes, the error number, the HTTP status, the error code of the
    storage, a missing file system and a missing module. All other text is withheld.

    :param error: whatever a file system or ``ObjectStoragePath`` raised.
    """
    described: list[str] = []
    link: BaseException | None = error
    while link is not None and len(described) < _MOST_CAUSES:
        described.append(": ".join([_class_name(link), *_details(link)]))
        link = _cause(link)
    return ", caused by ".join(described)


def _cause(error: BaseException) -> BaseException | None:
    """Find the cause of an exception; a mere context counts only if it shows more than its class."""
    wrapped = _find(error, "kwargs.error")  # of botocore's exceptions
    if isinstance(wrapped, BaseException):
        return wrapped
    if error.__cause__ is not None or error.__suppress_context__:
        return error.__cause__
    return error.__context__ if error.__context__ is not None and any(_details(error.__context__)) else None


def _class_name(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _details(error: BaseException) -> list[str]:
    meanings = (_MEANINGS.get(kind.__name__) for kind in type(error).__mro__)
    details = [next(filter(None, meanings), None), _text(error), _number(error)]
    statuses = (_find(error, path) for path in _STATUSES)
    details += [f"HTTP {status:d}" for status in statuses if isinstance(status, int) and 100 <= status <= 599][:1]
    codes = (_find(error, path) for path in _CODES)
    details += [code for code in codes if isinstance(code, str) and _CODE.fullmatch(code)][:1]
    return [detail for detail in dict.fromkeys(details) if detail]


def _find(error: BaseException, path: str) -> object:
    """Follow a path of attributes and keys; ``None`` where it ends early."""
    found: object = error
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else getattr(found, name, None)
    return found


def _text(error: BaseException) -> str | None:
    """Show what a failed import says, which is about modules, and name the scheme of a missing file system."""
    text = " ".join(str(error).split())
    if isinstance(error, ImportError):
        shown = len(text) <= _LONGEST_TEXT and text.isprintable() and "@" not in text and "://" not in text
        return text if shown else None
    if not isinstance(error, ValueError) or not (found := _NO_FILE_SYSTEM.fullmatch(text)):
        return None
    scheme = found[1] or found[2]
    package = _PROVIDERS.get(scheme, "the Airflow provider of this file system")
    return f"no file system is registered for the scheme {scheme}; install {package}"


def _number(error: BaseException) -> str | None:
    """Show the error number in the words of the operating system, since the exception's own can be a server's."""
    if isinstance(error, OSError) and isinstance(error.errno, int) and error.errno in errno.errorcode:
        return f"{errno.errorcode[error.errno]}, {os.strerror(error.errno)}"
    return None
