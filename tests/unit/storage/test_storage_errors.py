"""What is shown of an error that a file system raised."""

import errno
import socket
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_kore.storage.errors import describe_storage_error

MARKER = "Xq7ZwK9@example.com"


class ClientError(Exception):
    """Looks as botocore's."""

    def __init__(self, code, status):
        super().__init__(f"An error occurred ({code}): {MARKER}")
        self.response = {"Error": {"Code": code, "Message": MARKER}, "ResponseMetadata": {"HTTPStatusCode": status}}


class HttpResponseError(Exception):
    """Looks as Azure's."""

    def __init__(self, status_code, error_code):
        super().__init__(MARKER)
        self.status_code, self.error_code, self.reason = status_code, error_code, MARKER


class HttpError(Exception):
    """Looks as gcsfs's."""

    def __init__(self, code):
        super().__init__(MARKER)
        self.code, self.message = code, MARKER


class EndpointConnectionError(Exception):
    """Looks as botocore's."""

    def __init__(self, error):
        super().__init__(MARKER)
        self.kwargs = {"endpoint_url": MARKER, "error": error}


class NoCredentialsError(Exception):
    pass


def caused(error, cause):
    error.__cause__ = cause
    return error


def in_context(error, context):
    error.__context__ = context
    return error


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (TypeError(MARKER), ["TypeError"]),
        (FileNotFoundError(MARKER), ["FileNotFoundError", "there is no such file, folder or bucket"]),
        (FileNotFoundError(errno.ENOENT, MARKER, MARKER), ["ENOENT, No such file or directory"]),
        (PermissionError(errno.EACCES, MARKER), ["EACCES, Permission denied"]),
        (PermissionError(MARKER), ["access is denied"]),
        (OSError(errno.ENOSPC, MARKER), ["ENOSPC, No space left on device"]),
        (
            caused(PermissionError(MARKER), ClientError("AccessDenied", 403)),
            ["access is denied", "HTTP 403", "AccessDenied"],
        ),
        (caused(OSError(errno.EINVAL, MARKER), ClientError("403", 403)), ["EINVAL", "HTTP 403"]),
        (HttpResponseError(404, "ContainerNotFound"), ["HTTP 404", "ContainerNotFound"]),
        (in_context(OSError(MARKER), HttpResponseError(503, None)), ["OSError", "HTTP 503"]),
        (HttpError(412), ["HTTP 412"]),
        (EndpointConnectionError(ConnectionRefusedError(errno.ECONNREFUSED, MARKER)), ["ECONNREFUSED", "reached"]),
        (NoCredentialsError(MARKER), ["there are no credentials"]),
        (ValueError("No filesystem registered for scheme s3"), ["scheme s3", "apache-airflow-providers-amazon[s3fs]"]),
        (ValueError("No filesystem registered for scheme xyz"), ["scheme xyz", "the Airflow provider of"]),
        (ValueError("Unsupported filesystem: 'xyz'"), ["scheme xyz", "the Airflow provider of"]),
        (ValueError(f"Unsupported filesystem: '{MARKER}'"), ["ValueError"]),
        (ModuleNotFoundError("No module named 's3fs'", name="s3fs"), ["No module named 's3fs'"]),
        (ImportError("Install gcsfs to access it"), ["Install gcsfs to access it"]),
        (ImportError(MARKER, name="gcsfs"), ["ImportError"]),
        (OSError([MARKER], MARKER), ["OSError"]),
        (socket.gaierror(socket.EAI_NONAME, MARKER), ["gaierror", "the name of the host cannot be resolved"]),
        (ssl.SSLError(1, MARKER), ["SSLError"]),
    ],
)
def test_the_cause_is_named_and_the_text_withheld(error, shown):
    described = describe_storage_error(error)
    assert all(words in described for words in shown), described
    assert "Xq7ZwK9" not in described


def test_a_context_that_tells_nothing_more_is_left_out():
    assert describe_storage_error(in_context(TimeoutError(MARKER), KeyError(MARKER))).count("caused by") == 0


def test_causes_in_a_circle_come_to_an_end():
    one, other = OSError(errno.EIO, MARKER), OSError(errno.EPIPE, MARKER)
    assert describe_storage_error(caused(one, caused(other, one))).count("caused by") == 3


@given(st.lists(st.integers() | st.text(), max_size=5), st.integers() | st.text(), st.integers() | st.text())
def test_no_text_of_an_exception_is_shown(arguments, code, status):
    marked = [MARKER if isinstance(argument, str) else argument for argument in arguments]
    error = caused(OSError(*marked[:2]), HttpResponseError(status, f"{code} {MARKER}"))
    assert "Xq7ZwK9" not in describe_storage_error(error)
