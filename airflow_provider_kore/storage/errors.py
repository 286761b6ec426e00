"""What may be shown of an error of a file system: its cause, and nothing that can hold a user id or a secret."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Mapping

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

_NO_FILE_SYSTEM = re.compile(
    r"No filesystem registered for scheme ([a-z][a-z0-9+.-]*)"  # Airflow
    r"|Unsupported filesystem: '([a-z][a-z0-9+.-]*)'"  # universal_pathlib
)
_CODE = re.compile(r"[A-Z][A-Za-z_]{2,59}")
_MOST_CAUSES = 4
_LONGEST_TEXT = 300


def describe_storage_error(error: BaseException) -> str:
    """
    Describe why a storage failed, without any text that can hold a user id or a secret.

    Shown are the class of the exception and of its causes, the error number, the HTTP status, the error code of the
    storage, a missing file system and a missing module. All other text is withheld.

    :param error: whatever a file system or ``ObjectStoragePath`` raised.
    """
    described = [": ".join([_class_name(link), *_details(link)]) for link in _chain(error)]
    return ", caused by ".join(described)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Go from an exception to its causes."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen and len(seen) < _MOST_CAUSES:
        yield link
        seen.add(id(link))
        link = _cause(link)


def _cause(error: BaseException) -> BaseException | None:
    """Find the cause of an exception; a mere context counts only if it shows more than its class."""
    keywords = getattr(error, "kwargs", None)  # of botocore's exceptions
    wrapped = keywords.get("error") if isinstance(keywords, Mapping) else None
    if isinstance(wrapped, BaseException):
        return wrapped
    if error.__cause__ is not None or error.__suppress_context__:
        return error.__cause__
    context = error.__context__
    return context if context is not None and any(_details(context)) else None


def _class_name(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _details(error: BaseException) -> list[str]:
    details = [_meaning(error), _import(error), _file_system(error), _number(error), _http_status(error), _code(error)]
    return [detail for detail in dict.fromkeys(details) if detail]


def _meaning(error: BaseException) -> str | None:
    names = (kind.__name__ for kind in type(error).__mro__)
    return next((_MEANINGS[name] for name in names if name in _MEANINGS), None)


def _import(error: BaseException) -> str | None:
    """Show the text of a failed import, which is about modules."""
    if not isinstance(error, ImportError):
        return None
    text = " ".join(str(error).split())
    if not text or len(text) > _LONGEST_TEXT or "@" in text or "://" in text or not text.isprintable():
        return f"the module {error.name} cannot be imported" if error.name else None
    return text


def _file_system(error: BaseException) -> str | None:
    if not isinstance(error, ValueError) or not (found := _NO_FILE_SYSTEM.fullmatch(str(error))):
        return None
    scheme = found[1] or found[2]
    package = _PROVIDERS.get(scheme)
    install = f"install {package}" if package else "install the Airflow provider of this file system"
    return f"no file system is registered for the scheme {scheme}; {install}"


def _number(error: BaseException) -> str | None:
    """Show the error number in the words of the operating system, since the exception's own can be a server's."""
    number = getattr(error, "errno", None)
    if isinstance(error, OSError) and isinstance(number, int) and number in errno.errorcode:
        return f"{errno.errorcode[number]}, {os.strerror(number)}"
    return None


def _http_status(error: BaseException) -> str | None:
    response = getattr(error, "response", None)
    metadata = response.get("ResponseMetadata") if isinstance(response, Mapping) else None
    candidates = (
        metadata.get("HTTPStatusCode") if isinstance(metadata, Mapping) else None,
        getattr(error, "status_code", None),
        getattr(error, "status", None),
        getattr(error, "code", None),
        getattr(response, "status_code", None),
    )
    status = next((value for value in candidates if isinstance(value, int) and 100 <= value <= 599), None)
    return None if status is None else f"HTTP {status:d}"


def _code(error: BaseException) -> str | None:
    """Show the code that a storage gives its error, such as ``NoSuchBucket``: a word, and no sentence."""
    response = getattr(error, "response", None)
    answered = response.get("Error") if isinstance(response, Mapping) else None
    candidates = (
        answered.get("Code") if isinstance(answered, Mapping) else None,
        getattr(error, "error_code", None),
        getattr(error, "reason", None),
    )
    for candidate in candidates:
        code = getattr(candidate, "value", candidate)
        if isinstance(code, str) and _CODE.fullmatch(code):
            return code
    return None
