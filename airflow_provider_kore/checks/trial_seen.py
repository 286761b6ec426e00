"""What a trial saw: the answers of Kore.ai to erasures of throw-away users. Pure values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from airflow_provider_kore.api.acceptance import leaves_open
from airflow_provider_kore.api.erase_request import read_request_id
from airflow_provider_kore.api.profile import ApiProfile
from airflow_provider_kore.api.shown_words import may_be_shown
from airflow_provider_kore.api.users import UserId, folded
from airflow_provider_kore.checks.probes import Kind, Reply


@dataclass(frozen=True, slots=True)
class Poll:
    """
    What one status call showed; its ``repr`` shows no user.

    :param seconds: since the acceptance, without the time that calls take.
    :param reply: the answer.
    :param form: of ``response``: ``missing``, ``empty``, ``entries``, or ``unknown`` for an unknown request id;
        ``None`` if the call was not answered.
    :param word: the status of the user, as far as it may be shown.
    :param user_id: of the entry, as it came.
    """

    seconds: float
    reply: Reply
    form: str | None
    word: str | None
    user_id: object = field(repr=False)


@dataclass(frozen=True, slots=True)
class ErasureSeen:
    """
    What happened to one erasure.

    :param accepted: the answer to the erase call.
    :param polls: the status calls, in their order.
    :param has_ended: whether the end was seen.
    """

    accepted: Reply
    polls: Sequence[Poll] = ()
    has_ended: bool = False

    @property
    def request_id(self) -> str | None:
        """What the erase call answered; ``None`` if there is none that can be used."""
        return read_request_id(self.accepted.document)

    @property
    def last_word(self) -> str | None:
        """The word of the end; ``None`` if it was not seen."""
        return self.polls[-1].word if self.has_ended and self.polls else None

    @property
    def is_unclear(self) -> bool:
        """Whether it is not known if the erasure was accepted; what was throttled or not received was not."""
        reply = self.accepted
        if self.request_id is not None or reply.kind is Kind.THROTTLED or not reply.received:
            return False
        return reply.kind is Kind.OK or reply.answer is None or leaves_open(reply.status)

    @property
    def fate(self) -> str:
        """What is known of it, in words that follow it as a subject."""
        if self.is_unclear:
            return "was sent, and whether Kore.ai accepted it is not known: ask Kore.ai"
        if self.request_id is None:
            return "was not accepted"
        end = "its end was seen" if self.has_ended else "and Kore.ai continues with it"
        return f"was accepted (request {self.request_id}), {end}"

    def running_polls(self) -> Sequence[Poll]:
        """List the polls before the end that were answered."""
        answered = [poll for poll in self.polls if poll.form is not None]
        return [poll for poll in answered if not self.has_ended or poll.word != self.last_word]


@dataclass(frozen=True, slots=True)
class DataSeen:
    """
    How many sessions and messages there are; ``None`` where the call is not answered.

    :param sessions: the answer about sessions.
    :param messages: the answer of ``messages-lite``.
    """

    sessions: Reply
    messages: Reply

    @property
    def counts(self) -> tuple[int | None, int | None]:
        """How many of each."""
        return _total(self.sessions), _total(self.messages)

    @property
    def are_there(self) -> bool:
        """Whether the user certainly has data."""
        return any(self.counts)

    @property
    def are_gone(self) -> bool:
        """Whether both calls certainly show none."""
        return self.counts == (0, 0)


def _total(reply: Reply) -> int | None:
    total = reply.document.get("total") if reply.kind is Kind.OK and isinstance(reply.document, dict) else None
    return total if type(total) is int else None


@dataclass(frozen=True, slots=True)
class TrialSeen:
    """
    What happened to all erasures of the trial; ``None`` for what was not reached.

    :param before: the user's data before.
    :param first: the erasure of the user.
    :param after: the user's data after it.
    :param again: the same user once more.
    :param unknown: a user whom Kore.ai does not know.
    :param pair: the user who is named by channel.
    :param pair_keys: the keys of the object that names this user.
    :param batches: how many users whom Kore.ai does not know a request named, and the answer to it.
    """

    before: DataSeen
    first: ErasureSeen
    after: DataSeen | None = None
    again: ErasureSeen | None = None
    unknown: ErasureSeen | None = None
    pair: ErasureSeen | None = None
    pair_keys: tuple[str, str] | None = None
    batches: tuple[tuple[int, Reply], ...] = ()


def describe_erasures(seen: TrialSeen | None) -> str:
    """Say what is known of the erasures of users who exist, for who has interrupted them."""
    if seen is None:
        return "Nothing was erased."
    pair = f" That of the user who is named by channel {seen.pair.fate}." if seen.pair else ""
    return f"The erasure of the test user {seen.first.fate}.{pair}"


def read_poll(reply: Reply, user_ids: Sequence[UserId], seconds: float, profile: ApiProfile) -> Poll:
    """
    Read one status call about one user.

    :param user_ids: all users of the trial, whom no word that is shown may name.
    """
    if reply.kind is not Kind.OK:
        unknown = profile.means_unknown_request(reply.status, reply.text)
        return Poll(seconds, reply, "unknown" if unknown else None, None, None)
    assert isinstance(reply.document, dict), "a success is an object"  # noqa: S101
    response = reply.document.get("response")
    if response is None:
        return Poll(seconds, reply, "missing", None, None)
    if not isinstance(response, list) or not all(isinstance(entry, dict) for entry in response):
        return Poll(seconds, reply, f"of type {type(response).__name__}", None, None)
    if not response:
        return Poll(seconds, reply, "empty", None, None)
    entry = response[0]
    word = entry.get("status")
    shown = word if isinstance(word, str) and may_be_shown(word, user_ids) else None
    return Poll(seconds, reply, "entries", shown, entry.get("userId"))


def names_as_sent(poll: Poll, user_id: UserId) -> bool:
    """Tell whether an answer names the user as it was sent."""
    return isinstance(poll.user_id, str) and folded(poll.user_id) == folded(user_id)
