"""The call recordings of sessions: which there are, and which have been deleted."""

from urllib.parse import parse_qsl

from airflow_provider_kore.sandbox.answers import Answer, RefusedError, json_answer
from airflow_provider_kore.sandbox.conversations import Session
from airflow_provider_kore.sandbox.records import DeletedRecordings
from airflow_provider_kore.sandbox.requests import ReceivedRequest, Route, is_name, refuse_unknown_bots
from airflow_provider_kore.sandbox.settings import Settings


def read_recordings_request(route: Route, request: ReceivedRequest, settings: Settings) -> str:
    """Return the session id that a request names; refuse what Kore does not document."""
    if route.variant != settings.recordings_path:
        raise RefusedError(404, "Not Found")
    if request.body:
        raise RefusedError(400, "The request must have no body")
    pairs = parse_qsl(request.query, keep_blank_values=True)
    session_id = dict(pairs).get("sessionId")
    if len(pairs) != 1 or not is_name(session_id):
        raise RefusedError(400, "The query must have sessionId only, once")
    refuse_unknown_bots([route.bot_id], settings)
    return session_id


class Recordings:
    """
    Describe the recordings of an account: those of each session, until they are deleted.

    They are deleted by session alone, and an erasure leaves them where they are.
    """

    def __init__(self) -> None:
        self.deleted: dict[tuple[str, str], DeletedRecordings] = {}

    def delete(self, session_id: str, session: Session | None, settings: Settings) -> Answer:
        """Delete the recordings of a session; there are none if it is not known."""
        key = session and (session.bot_id, session_id)
        is_recorded = session and (not settings.recorded_channels or session.channel in settings.recorded_channels)
        if not session or not key or not is_recorded or key in self.deleted:
            if settings.no_recordings_status == 200:
                return json_answer(200, {"message": settings.no_recordings_text, "sessionId": session_id})
            raise RefusedError(settings.no_recordings_status, settings.no_recordings_text)
        self.deleted[key] = DeletedRecordings(
            session_id=session_id, bot_id=session.bot_id, user_id=session.user.user_id, name=session.user.name
        )
        return json_answer(200, {"message": settings.recordings_deleted_text, "sessionId": session_id})
