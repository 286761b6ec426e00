"""Erase a throw-away user, and record what Kore.ai answers. Generators, no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from airflow_provider_kore.api.conversation import Pause
from airflow_provider_kore.api.erase_request import ERASE_PATH, ErasureRequest
from airflow_provider_kore.api.errors import Call
from airflow_provider_kore.api.outcome import Outcome
from airflow_provider_kore.api.profile import ApiProfile
from airflow_provider_kore.api.scope import ErasureScope
from airflow_provider_kore.api.status import status_path
from airflow_provider_kore.api.users import ChannelUserId, UserId
from airflow_provider_kore.checks.history_checks import lite_query, query_probe, sessions_query
from airflow_provider_kore.checks.probes import Kind, Probe, Reply, Steps, Subject, ask
from airflow_provider_kore.checks.trial_seen import DataSeen, ErasureSeen, Poll, TrialSeen, read_poll

POLLS_OF_UNKNOWN_WORD = 5
"""After so many polls with the same unknown word, the user's data are read: if none are left, it is the last word."""

OTHER_KEYS = (("channelId", "channelUserId"), ("channelId", "channelUId"))
"""Other keys by which Kore.ai may name a channel and a user's id in it."""

_INTERRUPTED = Reply(Kind.NONE, why="interrupted before the answer")


class Trial:
    """
    Erase a throw-away user of one bot, and record what Kore.ai answers.

    :param subject: the user, by an id that is a text, and the bot.
    :param pair: the same or another throw-away user by channel; ``None`` for none.
    :param interval: seconds between two polls.
    :param longest: seconds after which an erasure is polled no more.
    :param largest_batch: most made-up users that a request may name.
    :param before: the user's data before.
    :ivar seen: what was seen so far, also if the trial is interrupted; ``None`` as long as no erase call was sent.
    """

    def __init__(
        self,
        subject: Subject,
        pair: ChannelUserId | None,
        *,
        interval: float,
        longest: float,
        largest_batch: int,
        before: DataSeen,
    ) -> None:
        self._subject = subject
        self._pair = pair
        self._interval = interval
        self._longest = longest
        self._largest_batch = largest_batch
        self._before = before
        self._under_way: tuple[str, Probe] | None = None
        self.seen: TrialSeen | None = None

    def run(self) -> Steps[None]:
        """Erase, and poll to the end."""
        user_id, made_up = self._subject.user_id, self._subject.made_up_user
        assert isinstance(user_id, str), "who is erased is named"  # noqa: S101
        first = yield from self._erase("first", user_id, 0)
        if first.has_ended:
            self._note(after=(yield from read_data(self._subject, 1)))
            yield from self._erase("again", user_id, 1)
        elif first.request_id is not None or first.accepted.kind is not Kind.REFUSED:
            return
        # If the user was refused, one whom Kore.ai does not know shows whether the refusal is about the user.
        unknown = yield from self._erase("unknown", made_up, 2)
        if self._pair is not None and first.has_ended:
            yield from self._erase_pair(self._pair)
        if unknown.request_id is not None:
            yield from self._find_largest_batch(made_up)

    def note_interruption(self, sent: Probe | None) -> None:
        """
        Note that an erase call was interrupted: if it was sent, Kore.ai may have accepted it.

        :param sent: what was sent last.
        """
        if self._under_way is not None and self._under_way[1] is sent:
            self._note(**{self._under_way[0]: ErasureSeen(_INTERRUPTED)})

    def _note(self, **changes: object) -> None:
        if self.seen is not None:
            self.seen = replace(self.seen, **changes)  # type: ignore[arg-type] # each is of its field's type
        elif isinstance(first := changes.get("first"), ErasureSeen):
            self.seen = TrialSeen(self._before, first)

    def _erase_pair(self, pair: ChannelUserId) -> Steps[None]:
        """Try the keys of the profile, then others: a refusal as a whole erases no user."""
        profile = self._subject.profile
        keys_to_try = (profile.channel_keys, *(keys for keys in OTHER_KEYS if keys != profile.channel_keys))
        for number, keys in enumerate(keys_to_try, start=3):
            self._note(pair=None, pair_keys=keys)
            named = profile.model_copy(update={"channel_id_key": keys[0], "channel_user_id_key": keys[1]})
            seen = yield from self._erase("pair", pair, number, named)
            if seen.accepted.kind is not Kind.REFUSED:
                break

    def _find_largest_batch(self, made_up: str) -> Steps[None]:
        """Search for the most users that a request may name, by users who do not exist."""
        accepted, refused, size = 1, self._largest_batch + 1, self._largest_batch
        tried: list[tuple[int, Reply]] = []
        while refused - accepted > 1:
            users = [f"{made_up}-{number}" for number in range(size)]
            reply = yield from ask(self._probe(users, 10 + len(tried), self._subject.profile), *Kind)
            tried.append((size, reply))
            self._note(batches=tuple(tried))
            if ErasureSeen(reply).request_id is not None:
                accepted = size
            elif reply.kind is Kind.REFUSED:
                refused = size
            else:
                return
            size = (accepted + refused) // 2

    def _probe(self, user_ids: Sequence[UserId], number: int, profile: ApiProfile) -> Probe:
        scope = ErasureScope((self._subject.bot_id,), all_bots=False)
        body = ErasureRequest(tuple(user_ids), scope).body(profile)
        return Probe(Call.ERASE, "DELETE", ERASE_PATH, body, number=number)

    def _erase(self, name: str, user_id: UserId, number: int, profile: ApiProfile | None = None) -> Steps[ErasureSeen]:
        """Erase one user, poll to the end, and note it all under a name of :class:`TrialSeen`."""
        probe = self._probe([user_id], number, profile or self._subject.profile)
        self._under_way = name, probe
        accepted = yield from ask(probe, *Kind)
        self._under_way = None
        seen = ErasureSeen(accepted)
        self._note(**{name: seen})
        return seen if seen.request_id is None else (yield from self._poll(name, seen, user_id, number))

    def _poll(self, name: str, seen: ErasureSeen, user_id: UserId, number: int) -> Steps[ErasureSeen]:
        path, seconds = status_path(seen.request_id or ""), 0.0
        while not seen.has_ended and seconds <= self._longest:
            if seen.polls:
                yield Pause(self._interval)
                seconds += self._interval
            reply = yield from ask(Probe(Call.STATUS, "GET", path, number=len(seen.polls)), *Kind)
            polls = (*seen.polls, read_poll(reply, self._users(user_id), seconds, self._subject.profile))
            seen = ErasureSeen(seen.accepted, polls, (yield from self._has_ended(polls, user_id, number)))
            self._note(**{name: seen})
        return seen

    def _users(self, user_id: UserId) -> list[UserId]:
        return [name for name in (user_id, self._subject.user_id, self._pair) if name is not None]

    def _has_ended(self, polls: Sequence[Poll], user_id: UserId, number: int) -> Steps[bool]:
        word = polls[-1].word
        known = self._subject.profile.outcome_of(word) if word else Outcome.OPEN
        if known is not None or len(polls) % POLLS_OF_UNKNOWN_WORD:
            return known in (Outcome.ERASED, Outcome.NOT_ERASED)
        if {poll.word for poll in polls[-POLLS_OF_UNKNOWN_WORD:]} != {word}:
            return False
        if user_id != self._subject.user_id or number:
            return True
        return (yield from read_data(self._subject, 1 + len(polls))).are_gone


def read_data(subject: Subject, number: int) -> Steps[DataSeen]:
    """
    Count the user's sessions and messages.

    :param number: makes these calls other ones than those before.
    """
    sessions = yield from ask(replace(query_probe(sessions_query(subject, 30)), number=number), *Kind)
    messages = yield from ask(replace(query_probe(lite_query(subject)), number=number), *Kind)
    return DataSeen(sessions, messages)
