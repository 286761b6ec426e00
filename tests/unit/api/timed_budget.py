"""A budget that is told the time with each step."""

from playing_kore import Clock

from airflow_provider_kore.api.budget import Turn
from airflow_provider_kore.api.errors import Call
from airflow_provider_kore.api.local_budget import LocalBudget


class TimedBudget:
    """
    Set the clock of a budget before each of its steps.

    :param make: makes the budget with a clock.
    """

    def __init__(self, make):
        self.clock = Clock(0.0)
        self.budget = make(self.clock.monotonic)

    def at(self, now):
        self.clock.now = now
        return self.budget

    def turn(self, call, since):
        return TimedTurn(self, Turn(call, since))

    def seconds_until_turn(self, now, call=Call.ERASE):
        return self.at(now).seconds_until_turn(call)

    def close(self, now, seconds):
        return self.at(now).close(seconds)

    def slow_polls(self, now):
        self.at(now).slow_polls()

    def export_usage(self, now):
        return self.at(now).export_usage()

    def import_usage(self, calls, listed_at):
        self.budget.import_usage(calls, self.clock.now - listed_at)

    @property
    def seconds_per_call(self):
        return self.budget.seconds_per_call

    @property
    def is_idle(self):
        """Whether nobody waits, and no call is under way."""
        return not (self.budget._submits or self.budget._polls or self.budget._under_way)


class TimedTurn:
    """A turn of a :class:`TimedBudget`."""

    def __init__(self, timed, turn):
        self.timed = timed
        self.turn = turn

    def ask(self, now):
        return self.timed.at(now).ask(self.turn).seconds

    def leave(self):
        self.timed.budget.leave(self.turn)

    def end(self, now):
        self.timed.at(now).end(self.turn)


def budget_of(per_minute, per_hour):
    return TimedBudget(lambda clock: LocalBudget(per_minute, per_hour, clock))
