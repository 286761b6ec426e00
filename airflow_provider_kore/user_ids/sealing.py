"""
The format of sealed user ids: ``jwe:`` and a compact JWE, ECDH-ES on P-256 with A256GCM. It needs no Airflow.

The content is a JSON array of user ids, as :func:`~airflow_provider_kore.user_ids.text_forms.read_json` reads it. Its
header names the key, the DAG that may open it, and until when a run of that may start.
"""

from __future__ import annotations

import io
import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from airflow_provider_kore.api.id_text import SEALED_PREFIX
from airflow_provider_kore.api.users import UserId, check_user_id
from airflow_provider_kore.exceptions import KoreInputError
from airflow_provider_kore.user_ids.column_names import refuse_header
from airflow_provider_kore.user_ids.columns import ListError
from airflow_provider_kore.user_ids.seal_keys import ECKey, SealKeys, decrypt, encrypt
from airflow_provider_kore.user_ids.text_forms import parse_json, read_json

LONGEST = 48 * 1024
"""Characters of a text. MySQL has 64 kB for the audit entry that keeps the request which starts a run."""

BLOCK = 256
"""Bytes to a multiple of which the content is padded, so that its length tells little of the ids."""

LAST_SECOND = 253_402_300_799
"""The end of the year 9999."""

_FORM = re.compile(rf"{SEALED_PREFIX}([\w-]+)\.\.([\w-]{{16}})\.([\w-]+)\.([\w-]{{22}})", re.ASCII)

_Of32Bytes = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}\z")]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


class _EphemeralKey(_Strict):
    kty: Literal["EC"]
    crv: Literal["P-256"]
    x: _Of32Bytes
    y: _Of32Bytes


class _Header(_Strict):
    alg: Literal["ECDH-ES"]
    enc: Literal["A256GCM"]
    kid: _Of32Bytes
    aud: Annotated[str, Field(min_length=1)]
    exp: Annotated[int, Field(ge=1, le=LAST_SECOND)]
    epk: _EphemeralKey


def seal_user_ids(user_ids: Iterable[UserId], key: ECKey, dag_id: str, expires: datetime) -> str:
    """
    Seal user ids, so that only tasks of a DAG with the private key can read them.

    :param user_ids: checked.
    :param key: the public key.
    :param dag_id: the DAG.
    :param expires: until when a run of the DAG may start with them; a fraction of a second is cut off.
    :raises KoreInputError: if there are none, or too many for Airflow's database.
    """
    values = [user_id if isinstance(user_id, str) else asdict(user_id) for user_id in user_ids]
    if not values:
        raise KoreInputError("There are no user ids to seal.", remedy="Pass at least one.")
    content = json.dumps(values, ensure_ascii=False).encode()
    header = {
        "alg": "ECDH-ES",
        "enc": "A256GCM",
        "kid": key.thumbprint(),
        "aud": dag_id,
        "exp": int(expires.timestamp()),
    }
    padding = b" " * (-len(content) % BLOCK)
    text = SEALED_PREFIX + encrypt(header, content + padding, key)
    if len(text) > LONGEST:
        raise KoreInputError(
            f"There are too many user ids to seal: the text would have {len(text)} characters, and Airflow's database "
            f"has room for {LONGEST}.",
            remedy=_AS_FILE,
        )
    return text


class SealedText:
    """
    A sealed text, whose form is checked.

    :param text: from anywhere.
    :raises KoreInputError: if it is not in the one form of sealed user ids. No error of this class shows a part of it.
    """

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST:
            raise KoreInputError(f"The sealed user ids are longer than {LONGEST} characters.", remedy=_AS_FILE)
        parts = _FORM.fullmatch(text)
        if parts is None or not all(map(_is_canonical, parts.groups())) or len(_decode(parts[3])) % BLOCK:
            raise KoreInputError(
                "The sealed user ids are not in the form in which user ids are sealed, or not whole.",
                remedy="Pass the text as it was made, without a space or a line break before, in or after it.",
            )
        self._text = text
        try:
            self._header = _Header.model_validate(parse_json(_decode(parts[1]).decode(), "the header"))
            if not all(map(_is_canonical, (self._header.kid, self._header.epk.x, self._header.epk.y))):
                raise ValueError
        except (ListError, ValidationError, ValueError):
            raise KoreInputError(
                "The sealed user ids have another header than ECDH-ES on P-256 with A256GCM, kid, aud and exp.",
                remedy=_SEAL_ANEW,
            ) from None

    def require_dag(self, dag_id: str) -> None:
        """
        Refuse to be opened by another DAG.

        :raises KoreInputError: if they are not for this one.
        """
        if self._header.aud != dag_id:
            raise KoreInputError(
                f"The user ids are sealed for another DAG than {dag_id}.",
                remedy="Start a run of the DAG for which they are sealed, or seal them anew for this one.",
            )

    def require_not_expired(self, run_started: datetime) -> None:
        """
        Refuse to be opened by a run that started too late.

        A run that started in time may take as long as it takes: an erasure is not interrupted halfway.

        :param run_started: when the run of the DAG started, or started again after it had ended.
        :raises KoreInputError: if that is too late.
        """
        if run_started.timestamp() >= self._header.exp:
            raise KoreInputError(
                "The sealed user ids have expired: this run of the DAG started too late.",
                remedy=_SEAL_ANEW,
            )

    def open(self, keys: SealKeys) -> Iterator[UserId]:
        """
        Open it, and check each user id.

        :param keys: of the connection.
        :raises KoreInputError: if none of the keys opens it, it was changed, or it contains what is no user id.
        """
        key = keys.find(self._header.kid)
        if key is None:
            raise KoreInputError(
                "The user ids are sealed to a key that the connection does not have: it is destroyed, or belongs to "
                f"another connection. The connection has {', '.join(keys.key_ids)}.",
                remedy=f"If the key was removed too early, put it back and clear the task. {_SEAL_ANEW} Erasing twice "
                "ends in the same state.",
            )
        content = decrypt(self._text.removeprefix(SEALED_PREFIX), key)
        if content is None:
            raise KoreInputError(
                "The sealed user ids were changed after they were sealed.",
                remedy=f"Pass the text as it was made. {_SEAL_ANEW}",
            )
        try:
            for place, value in refuse_header(read_json(io.BytesIO(content), None), _SEAL_ANEW):
                yield check_user_id(value, place)
        except ListError as error:
            raise KoreInputError(f"The sealed user ids cannot be read: {error.reason}.", remedy=_SEAL_ANEW) from None


_AS_FILE = "Put the user ids into a file in object storage, and pass its URI as user_ids."
_SEAL_ANEW = "Seal the user ids anew, by the form or the command seal, and start a new run."


def _decode(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _is_canonical(part: str) -> bool:
    """Tell whether it is the one spelling of its bytes; other readers of base64url accept several."""
    return len(part) % 4 != 1 and urlsafe_b64encode(_decode(part)).rstrip(b"=") == part.encode()
