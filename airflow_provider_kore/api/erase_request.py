"""The erase call: its body, and the request id that Kore.ai answers. Pure functions, no I/O."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from airflow_provider_kore.api.profile import DEFAULT_PROFILE, ApiProfile
from airflow_provider_kore.api.scope import ErasureScope
from airflow_provider_kore.api.users import ChannelUserId, UserId
from airflow_provider_kore.exceptions import KoreInputError

ERASE_PATH = "/api/public/bot/eraseUsersData"
"""Documented by Kore.ai: the path of the erase call; the status call hangs below it."""


@dataclass(frozen=True, slots=True)
class ErasureRequest:
    """
    One erase call: the users of a batch, and the scope.

    Its ``repr`` shows a count, not the users.

    :param user_ids: the users, checked.
    :param scope: the bots, checked.
    """

    user_ids: tuple[UserId, ...] = field(repr=False)
    scope: ErasureScope

    def body(self, profile: ApiProfile = DEFAULT_PROFILE) -> bytes:
        """
        Write the JSON body; Kore.ai documents the three keys, the flag's capital R among them.

        :param profile: how Kore.ai wants a channel with a user's id in it, and how many users it takes.
        :raises KoreInputError: if there are no users, or too many.
        """
        if not self.user_ids:
            raise KoreInputError("An erasure without users is never sent.", remedy="Pass at least one user id.")
        if profile.largest_batch is not None and len(self.user_ids) > profile.largest_batch:
            raise KoreInputError(
                f"These are {len(self.user_ids)} users, and Kore.ai takes {profile.largest_batch} in one request, as "
                "largest_batch in the connection's api_profile says.",
                remedy="Submit fewer users at once, or use KoreEraseUserDataOperator, which cuts its batches to that.",
            )
        document: dict[str, object] = {"userIds": self.user_ids}
        if not self.scope.all_bots:
            document["botIds"] = list(self.scope.bot_ids)
        document["RemoveDataFromAllBots"] = self.scope.all_bots

        def write_pair(user: ChannelUserId) -> dict[str, str]:
            return dict(zip(profile.channel_keys, (user.channel_id, user.channel_user_id), strict=True))

        return json.dumps(document, default=write_pair).encode()


_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~:-]{0,199}")


def check_request_id(value: object) -> str:
    """
    Accept a request id, as Kore.ai gave it.

    :raises KoreInputError: if it is not a plain id, which could lead the status call to another path.
    """
    if not isinstance(value, str) or not _REQUEST_ID.fullmatch(value):
        raise KoreInputError(
            f"A request id must be a plain id such as eud-123, and this one (of type {type(value).__name__}) is not.",
            remedy="Pass what the operator returned, or the id that Kore.ai gave.",
        )
    return value


def read_request_id(document: object) -> str | None:
    """Read the id from the answer to an erase call; ``None`` if there is none that can be used."""
    request_id = document.get("requestId") if isinstance(document, dict) else None
    return request_id if isinstance(request_id, str) and _REQUEST_ID.fullmatch(request_id) else None
