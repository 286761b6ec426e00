"""Erase a throw-away user, and record what Kore.ai answers. Generators, no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from airflow_provider_kore.api.conversation import Pause
from airflow_provider_kore.api.erase_request import ERASE_PATH, ErasureRequest, read_request_id
from airflow_provider_kore.api.errors import Call
from airflow_provider_kore.api.outcome import Outcome
from airflow_provider_kore.api.profile import ApiProfile
from airflow_provider_kore.api.scope import ErasureScope
from airflow_provider_kore.api.shown_words import may_be_shown
from airflow_provider_kore.api.status import status_path
from airflow_provider_kore.api.users import ChannelUserId, UserId, folded
from airflow_provider_kore.checks.history_checks import lite_query, query_probe, sessions_query
from airflow_provider_kore.checks.probes import Kind, Probe, Reply, Steps, Subject, ask

POLLS_OF_UNKNOWN_WORD = 5
"""After so many polls with the same unknown word, the user's data are read: if none are left, it is the last word."""

OTHER_KEYS = (("channelId", "channelUserId"), ("channelId", "channelUId"))
"""Other keys by which Kore.ai may name a channel and a user's id in it."""


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
    :param pair: the user who is named by channel, and by which keys.
    """

    before: DataSeen
    first: ErasureSeen
    after: DataSeen | None = None
    again: ErasureSeen | None = None
    unknown: ErasureSeen | None = None
    pair: tuple[ErasureSeen, tuple[str, str]] | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """
    Erase a throw-away user of one bot, and record what Kore.ai answers.

    :param subject: the user, by an id that is a text, and the bot.
    :param pair: the same or another throw-away user by channel; ``None`` for none.
    :param interval: seconds between two polls.
    :param longest: seconds after which an erasure is polled no more.
    """

    subject: Subject
    pair: ChannelUserId | None
    interval: float
    longest: float

    def run(self, before: DataSeen) -> Steps[TrialSeen]:
        """
        Erase, and poll to the end.

        :param before: the user's data.
        """
        user_id = self.subject.user_id
        assert isinstance(user_id, str), "who is erased is named"  # noqa: S101
        first = yield from self._erase(user_id, 0)
        if not first.has_ended:
            return TrialSeen(before, first)
        after = yield from read_data(self.subject, 1)
        again = yield from self._erase(user_id, 1)
        unknown = yield from self._erase(self.subject.made_up_user, 2)
        pair = None if self.pair is None else (yield from self._erase_pair(self.pair))
        return TrialSeen(before, first, after, again, unknown, pair)

    def _erase_pair(self, pair: ChannelUserId) -> Steps[tuple[ErasureSeen, tuple[str, str]]]:
        """Try the keys of the profile, then others: a refusal as a whole erases no user."""
        profile = self.subject.profile
        seen, keys = (yield from self._erase(pair, 3)), profile.channel_keys
        for number, other in enumerate(OTHER_KEYS, start=4):
            if seen.accepted.kind is not Kind.REFUSED or other == profile.channel_keys:
                break
            renamed = ApiProfile(channel_id_key=other[0], channel_user_id_key=other[1])
            seen, keys = (yield from self._erase(pair, number, renamed)), other
        return seen, keys

    def _erase(self, user_id: UserId, number: int, profile: ApiProfile | None = None) -> Steps[ErasureSeen]:
        scope = ErasureScope((self.subject.bot_id,), all_bots=False)
        body = ErasureRequest((user_id,), scope).body(profile or self.subject.profile)
        accepted = yield from ask(Probe(Call.ERASE, "DELETE", ERASE_PATH, body, number=number), *Kind)
        seen = ErasureSeen(accepted)
        return seen if seen.request_id is None else (yield from self._poll(seen, user_id, number))

    def _poll(self, seen: ErasureSeen, user_id: UserId, number: int) -> Steps[ErasureSeen]:
        polls: list[Poll] = []
        path, seconds, ended = status_path(seen.request_id or ""), 0.0, False
        while not ended and seconds <= self.longest:
            if polls:
                yield Pause(self.interval)
                seconds += self.interval
            reply = yield from ask(Probe(Call.STATUS, "GET", path, number=len(polls)), *Kind)
            polls.append(read_poll(reply, user_id, seconds, self.subject.profile))
            ended = yield from self._has_ended(polls, user_id, number)
        return ErasureSeen(seen.accepted, polls, ended)

    def _has_ended(self, polls: Sequence[Poll], user_id: UserId, number: int) -> Steps[bool]:
        word = polls[-1].word
        known = self.subject.profile.outcome_of(word) if word else Outcome.OPEN
        if known is not None or len(polls) % POLLS_OF_UNKNOWN_WORD:
            return known in (Outcome.ERASED, Outcome.NOT_ERASED)
        if {poll.word for poll in polls[-POLLS_OF_UNKNOWN_WORD:]} != {word}:
            return False
        if user_id != self.subject.user_id or number:
            return True
        return (yield from read_data(self.subject, 1 + len(polls))).are_gone


def read_data(subject: Subject, number: int) -> Steps[DataSeen]:
    """
    Count the user's sessions and messages.

    :param number: makes these calls other ones than those before.
    """
    sessions = yield from ask(replace(query_probe(sessions_query(subject, 30)), number=number), *Kind)
    messages = yield from ask(replace(query_probe(lite_query(subject)), number=number), *Kind)
    return DataSeen(sessions, messages)


def read_poll(reply: Reply, user_id: UserId, seconds: float, profile: ApiProfile) -> Poll:
    """Read one status call about one user."""
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
    shown = word if isinstance(word, str) and may_be_shown(word, [user_id]) else None
    return Poll(seconds, reply, "entries", shown, entry.get("userId"))


def names_as_sent(poll: Poll, user_id: UserId) -> bool:
    """Tell whether an answer names the user as it was sent."""
    return isinstance(poll.user_id, str) and folded(poll.user_id) == folded(user_id)
