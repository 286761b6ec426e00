"""Collect all sessions of a user, which alone lead to the user's call recordings."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from airflow_provider_kore.api.client import KoreClient
from airflow_provider_kore.api.errors import Call, unreadable
from airflow_provider_kore.api.history import HistoryKind, LiteQuery, Query
from airflow_provider_kore.api.history_range import HistoryRange, channel_name, lite_queries, window_queries
from airflow_provider_kore.api.recordings import RecordedSession, is_session_id
from airflow_provider_kore.api.user_history import LITE_REFUSALS, HistoryItem, UserHistory
from airflow_provider_kore.api.users import ChannelUserId, UserId
from airflow_provider_kore.exceptions import KoreExportError, KoreRecordingsError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FoundSessions:
    """
    Contain the sessions of one user; its ``repr`` shows none.

    :param sessions: each once.
    :param compared: whether ``messages-lite`` was asked, too, for sessions that the sessions call does not list.
    """

    sessions: tuple[RecordedSession, ...] = field(repr=False)
    compared: bool


def session_queries(user_id: UserId, wanted: HistoryRange) -> Iterator[Query]:
    """
    List what is asked about a user.

    The sessions call takes a user id. ``messages-lite`` names the session of each message: by the same id, in case that
    the sessions call leaves a session out; and by the user's id in a channel, such as a telephone number.

    :param wanted: the bots, the period, and the channels for ``messages-lite``, all if there are none.
    """
    channel_types = wanted.channel_types or (None,)
    if isinstance(user_id, str):
        yield from window_queries(HistoryKind.SESSIONS, user_id, wanted)
        yield from lite_queries(user_id, wanted, channel_types)
    if (name := channel_name(user_id)) is not None:
        yield from lite_queries(name, wanted, channel_types, by_channel=True)


def find_sessions(client: KoreClient, user_id: UserId, wanted: HistoryRange, deadline: float) -> FoundSessions:
    """
    Collect all sessions of a user.

    :param client: asks Kore.ai.
    :param wanted: see :func:`session_queries`.
    :param deadline: when the task ends, in seconds since the epoch.
    :raises KoreRecordingsError: if they cannot be all of them, or are not only this user's, or the time is over.
    :raises KoreError: if Kore.ai cannot be asked, or refuses to answer.
    """
    # The full calls are asked for no messages, so that the sessions need not name channels for them.
    history = UserHistory(user_id, replace(wanted, channel_types=wanted.channel_types or ()))
    found: dict[RecordedSession, None] = {}
    compared, without_session = True, 0

    for query in session_queries(user_id, wanted):

        def note(item: HistoryItem, query: Query = query) -> None:
            nonlocal without_session
            session_id = item.data.get("sessionId")
            if is_session_id(session_id):
                found[RecordedSession(str(item.bot_id), str(session_id))] = None
            elif item.kind is HistoryKind.SESSIONS:
                raise unreadable(query.call, "one of its sessions has a sessionId that cannot be sent")
            else:
                without_session += 1

        require_time(deadline)
        try:
            client.run(history.read(query, client.pacing, note, client.pacing.moment_of(deadline)))
        except LITE_REFUSALS as error:
            if not isinstance(query, LiteQuery) or isinstance(user_id, ChannelUserId):
                raise
            if query.by_channel and not found:
                raise _not_findable(error.problem) from None
            compared = False
            log.info("The sessions of a user cannot be compared with messages-lite: %s", error.problem)
        except KoreExportError as error:  # what is read of a user serves an export too, and fails alike
            raise KoreRecordingsError(
                error.problem,
                remedy="Clear the task to read the sessions again. If it stays so, name the user by the u-… id, let "
                "since be earlier, or ask Kore.ai.",
            ) from None
    if without_session and (isinstance(user_id, ChannelUserId) or not found):
        why = f"{without_session} messages of a user name no session, and no other call shows it"
        raise unreadable(Call.MESSAGES_LITE, why)
    return FoundSessions(tuple(found), compared and not without_session)


def require_time(deadline: float) -> None:
    """
    Require that the time of the task is not over.

    :raises KoreRecordingsError: if it is.
    """
    if time.time() >= deadline:
        raise KoreRecordingsError(
            "The time of the task is over.", remedy="Clear the task to resume, or let timeout be longer."
        )


def _not_findable(why: str) -> KoreRecordingsError:
    return KoreRecordingsError(
        "The sessions call lists no session under this id, which may be the user's id in a channel, and messages-lite, "
        f"the one call that takes such ids, cannot be asked: {why}",
        remedy="Name the user by the u-… id, or give the app of kore_conn_id the scope Bot Analytics > Chat History. "
        "If Kore.ai wants a channel beside such an id, set channel_types.",
    )
