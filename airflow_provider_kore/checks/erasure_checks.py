"""Guesses about the answers to the erasure of a throw-away user. Pure functions of what was seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from airflow_provider_kore.api.outcome import Outcome
from airflow_provider_kore.api.profile_words import letters_of, may_mean_erased
from airflow_provider_kore.api.shown_words import may_be_shown
from airflow_provider_kore.checks.findings import Finding, confirmed, different, not_tested
from airflow_provider_kore.checks.probes import Kind, Subject
from airflow_provider_kore.checks.trial_seen import TrialSeen, names_as_sent

NOT_ACCEPTED = "The erasure was not accepted."
END_NOT_SEEN = "The end was not seen."
NOT_ERASED = "The user was not erased."
WAIT_LONGER = "--wait, for longer than the erasure takes"


@dataclass(frozen=True, slots=True)
class ErasureCheck:
    """
    Ask about one guess what a trial saw.

    :param name: of the guess; that of the sandbox's setting if there is one.
    :param guess: in a sentence.
    :param read: finds it in what was seen.
    :param takes: what the test takes.
    """

    name: str
    guess: str
    read: Callable[[TrialSeen, Subject], Finding]
    takes: str = "--erase-test-user"

    def find(self, seen: TrialSeen | None, subject: Subject) -> Finding:
        """Say what became known of the guess."""
        return not_tested("", self.takes) if seen is None else self.read(seen, subject)


def was_not_erased(seen: TrialSeen, subject: Subject) -> bool:
    """Tell whether Kore.ai said at the end that the user is not erased."""
    word = seen.first.last_word
    return word is not None and subject.profile.outcome_of(word) is Outcome.NOT_ERASED


def _acceptance(seen: TrialSeen, _: Subject) -> Finding:
    reply = seen.first.accepted
    if seen.first.request_id is None:
        if reply.kind is Kind.OK:
            return different(
                f"HTTP {reply.status}, without a requestId that can be read",
                "Report it. Whether the user is being erased is not known: ask Kore.ai.",
            )
        if seen.first.is_unclear:
            return different(
                f"Whether it is accepted is not known (erase call: {reply.why}).",
                "Ask Kore.ai whether the user is being erased, before anything is submitted again.",
            )
        return not_tested(f"{NOT_ACCEPTED} erase call: {reply.why}", "A user and a bot that Kore.ai accepts.")
    if reply.status == 200:
        return confirmed("HTTP 200")
    return different(f"HTTP {reply.status}", settings={"accept_status": reply.status})


def _accept_word(seen: TrialSeen, subject: Subject) -> Finding:
    document = seen.first.accepted.document
    if seen.first.request_id is None or not isinstance(document, dict):
        return not_tested(NOT_ACCEPTED)
    word = document.get("status")
    if word == "in-progress":
        return confirmed("in-progress")
    if isinstance(word, str) and subject.user_id is not None and may_be_shown(word, [subject.user_id]):
        return different(word, "Nothing to set: only requestId is read.", settings={"accept_word": word})
    return different("another form", "Nothing to set: only requestId is read.")


def _id_of_answer(seen: TrialSeen, _: Subject) -> Finding:
    for poll in seen.first.polls:
        if poll.reply.kind is Kind.OK and isinstance(poll.reply.document, dict):
            if "_id" not in poll.reply.document:
                return different("there is none")
            if poll.reply.document["_id"] == seen.first.request_id:
                return confirmed("they are equal")
            return different("it is another one", "Report it: this provider refuses such an answer.")
    return not_tested(NOT_ACCEPTED)


def _while_running(seen: TrialSeen, subject: Subject) -> Finding:
    running = seen.first.running_polls()
    if not running:
        return not_tested("It was over at the first poll.", "An erasure that takes longer.")
    forms = [str(poll.form) for poll in running]
    if set(forms) == {"entries"}:
        return confirmed("entries")
    form = next(form for form in forms if form != "entries")
    if form not in ("missing", "empty", "unknown"):
        return different(form, "Report it: this provider does not understand it.")
    settings = {"while_running": form}
    if form != "unknown":
        return different(form, settings=settings)
    seconds = max(poll.seconds for poll in running if poll.form == "unknown")
    shown = f"The request id is not known for {seconds:.0f} s after the acceptance."
    if seconds < subject.profile.unknown_request_grace:
        return different(shown, settings=settings)
    grace = {"unknown_request_grace": min(round(seconds * 2) + 60.0, 86_400.0)}
    return different(shown, "Set the extra below.", profile=grace, settings=settings)


def _running_word(seen: TrialSeen, subject: Subject) -> Finding:
    words = [poll.word for poll in seen.first.running_polls() if poll.form == "entries"]
    if not words:
        return not_tested("No word was seen while it ran.", "An erasure that takes longer.")
    word = words[0]
    if word is None:
        return different("a word that is not shown", "Report it: this provider takes it for not erased.")
    if word == "in-progress" or _is_listed(word, subject.profile.open_words):
        return confirmed(word)
    settings = {"running_word": word}
    if subject.profile.outcome_of(word) is Outcome.OPEN:
        return different(word, settings=settings)
    if not seen.first.has_ended:
        return different(f"{word}, and the end was not seen", f"Ask Kore.ai what {word} means, or wait longer: --wait.")
    profile = {"open_words": [*subject.profile.open_words, word]}
    return different(word, "Set the extra below.", profile=profile, settings=settings)


def _erased_word(seen: TrialSeen, subject: Subject) -> Finding:
    word = seen.first.last_word
    if word is None:
        return not_tested(END_NOT_SEEN, "--wait, for longer than the erasure takes")
    if word == "SUCCESS" or _is_listed(word, subject.profile.erased_words):
        return confirmed(word)
    outcome, settings = subject.profile.outcome_of(word), {"erased_word": word}
    if outcome is Outcome.ERASED:
        return different(word, settings=settings)
    if outcome is Outcome.NOT_ERASED:
        return not_tested(f"{word}: the user was not erased.", "A user whom Kore.ai erases.")
    was_erased = seen.before.are_there and seen.after is not None and seen.after.are_gone
    if was_erased and may_mean_erased(word):
        return different(
            f"{word}, and no session or message of the user is left",
            f"Ask Kore.ai whether {word} always means that the user is erased; then set the extra below.",
            profile={"erased_words": [*subject.profile.erased_words, word]},
            settings=settings,
        )
    return different(word, f"Ask Kore.ai what {word} means. Nothing shows that the user is erased.")


def _is_listed(word: str, words: Sequence[str]) -> bool:
    return letters_of(word) in map(letters_of, words)


def _user_id_form(seen: TrialSeen, subject: Subject) -> Finding:
    named = [poll for poll in seen.first.polls if poll.user_id is not None]
    if not named or subject.user_id is None:
        return not_tested("No answer names the user.")
    if names_as_sent(named[-1], subject.user_id):
        return confirmed("as sent")
    if isinstance(named[-1].user_id, str) and named[-1].user_id.startswith("u-"):
        return different("by a u-… id", settings={"user_id_form": "resolved"})
    return different("by another id", "Report it: users who are not erased cannot be named.")


def _timestamps(seen: TrialSeen, _: Subject) -> Finding:
    for poll in seen.first.polls:
        if poll.reply.kind is Kind.OK and poll.reply.answer and isinstance(poll.reply.document, dict):
            created = poll.reply.document.get("createdOn")
            if b"ISODate(" in poll.reply.answer.content:
                return different("ISODate(…)", settings={"timestamps": "isodate"})
            if isinstance(created, dict) and created.keys() == {"$date"}:
                return different("$date", settings={"timestamps": "date-object"})
            return confirmed("text") if isinstance(created, str) else different("another form")
    return not_tested(NOT_ACCEPTED)


def _duration(seen: TrialSeen, subject: Subject) -> Finding:
    if not seen.first.has_ended:
        return not_tested(END_NOT_SEEN, WAIT_LONGER)
    if was_not_erased(seen, subject):
        return not_tested(NOT_ERASED)
    return confirmed(f"about {seen.first.polls[-1].seconds:.0f} s")


ANSWER_CHECKS = (
    ErasureCheck("accept_status", "An accepted erasure is answered with HTTP 200", _acceptance),
    ErasureCheck("accept_word", "Its status is in-progress", _accept_word),
    ErasureCheck("answer_id", "_id of a status answer is the request id", _id_of_answer),
    ErasureCheck("while_running", "While it runs, response lists the users", _while_running),
    ErasureCheck("running_word", "While it runs, a user's status is in-progress", _running_word),
    ErasureCheck("erased_word", "The status of an erased user is SUCCESS", _erased_word),
    ErasureCheck("user_id_form", "An answer names a user as it was sent", _user_id_form),
    ErasureCheck("timestamps", "Times are ISO 8601 text", _timestamps),
    ErasureCheck("duration", "An erasure ends within two days", _duration),
)
