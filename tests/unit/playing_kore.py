"""Play Kore.ai to a conversation, without a network and without waiting."""

import heapq
import itertools
import json
from dataclasses import dataclass, field

from airflow_provider_kore.api.conversation import Pause
from airflow_provider_kore.api.exchange import Answer, Request
from airflow_provider_kore.api.local_budget import LocalBudget
from airflow_provider_kore.api.pacing import Pacing
from airflow_provider_kore.api.profile import DEFAULT_PROFILE
from airflow_provider_kore.api.turn_keeper import with_turns

WALL_START = 1_800_000_000.0


@dataclass
class Clock:
    """Monotonic seconds, the wall clock that goes with them, and the budget that :func:`pacing` made of them last."""

    now: float = 1000.0
    budget: object = None

    def monotonic(self):
        return self.now

    def wall(self):
        return WALL_START + self.now - 1000.0


@dataclass
class Played:
    """What a conversation did."""

    clock: Clock
    result: object = None
    requests: list = field(default_factory=list)
    pauses: list = field(default_factory=list)
    sent_at: list = field(default_factory=list)


def pacing(clock, per_minute=1_000_000, per_hour=100_000_000, profile=DEFAULT_PROFILE):
    clock.budget = LocalBudget(per_minute, per_hour, clock.monotonic)
    return Pacing(clock.budget, clock.monotonic, profile)


def by_hand(conversation, clock):
    """A conversation whose requests and pauses are answered by hand; the clock's budget answers its other steps."""
    return with_turns(conversation, Pacing(clock.budget, clock.monotonic))


def play(conversation, reply, clock, *, played=None, takes=0.0, most=5000):
    """
    Do what a conversation asks for; its exception comes through, and what it did is in ``played``.

    :param conversation: a conversation, or one :func:`by_hand` that has begun.
    :param reply: a list of replies in order, or a function that gives the reply to a request.
    :param takes: seconds that an exchange takes.
    :param most: how many requests there can be.
    """
    played = played if played is not None else Played(clock)
    replies = None if callable(reply) else iter(reply)
    answer = None
    conversation = by_hand(conversation, clock)
    while True:
        try:
            step = conversation.send(answer)
        except StopIteration as end:
            played.result = end.value
            return played
        answer = None
        if isinstance(step, Pause):
            assert step.seconds > 0
            played.pauses.append(step.seconds)
            clock.now += step.seconds
        else:
            assert isinstance(step, Request)
            played.requests.append(step)
            played.sent_at.append(clock.now)
            assert len(played.requests) <= most, "the conversation never ends"
            clock.now += takes
            answer = reply(step) if replies is None else next(replies)


def play_all(conversations, reply, clock, *, travel=lambda: 0.0, late=lambda: 0.0):
    """
    Play many conversations at once, each to its end, and tell what each did.

    :param reply: gives the reply to a request, when it arrives.
    :param travel: seconds that a request takes to arrive, and its answer to come back.
    :param late: seconds by which a sleeper wakes up late.
    """
    everything = [Played(clock) for _ in conversations]
    numbers = itertools.count()
    events = []

    def at(moment, event, *arguments):
        heapq.heappush(events, (moment, next(numbers), event, arguments))

    def go_on(conversation, played, answer):
        try:
            step = conversation.send(answer)
        except StopIteration as end:
            played.result = end.value
            return
        if isinstance(step, Pause):
            assert step.seconds > 0
            played.pauses.append(step.seconds)
            at(clock.now + step.seconds + late(), go_on, conversation, played, None)
        else:
            played.requests.append(step)
            played.sent_at.append(clock.now)
            at(clock.now + travel(), arrive, conversation, played, step)

    def arrive(conversation, played, request):
        at(clock.now + travel(), go_on, conversation, played, reply(request))

    for conversation, played in zip(conversations, everything, strict=True):
        at(clock.now, go_on, by_hand(conversation, clock), played, None)
    while events:
        clock.now, _, event, arguments = heapq.heappop(events)
        event(*arguments)
    return everything


def http(status, body=None, retry_after=None):
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return Answer(status, retry_after, content)


def error(status, text, code=None, retry_after=None):
    return http(status, {"errors": [{"msg": text, "code": status if code is None else code}]}, retry_after)


def status_of(request_id, *words, names="u-{}"):
    entries = [{"userId": names.format(number), "status": word} for number, word in enumerate(words)]
    return http(200, {"_id": request_id, "response": entries})
