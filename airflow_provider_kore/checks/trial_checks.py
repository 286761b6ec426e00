"""Guesses about what an erasure leaves, and about erasures of other users. Pure functions of what was seen."""

from __future__ import annotations

from airflow_provider_kore.api.profile import ApiProfile
from airflow_provider_kore.api.profile_words import letters_of
from airflow_provider_kore.checks.erasure_checks import (
    ANSWER_CHECKS,
    END_NOT_SEEN,
    NOT_ERASED,
    WAIT_LONGER,
    ErasureCheck,
    was_not_erased,
)
from airflow_provider_kore.checks.findings import Finding, confirmed, different, not_tested
from airflow_provider_kore.checks.probes import Kind, Subject
from airflow_provider_kore.checks.trial_seen import ErasureSeen, TrialSeen

_A_MEMBER = "A throw-away user who is a member of the account, or owns a bot."


_DECIDED = (Kind.OK, Kind.REFUSED, Kind.RIGHT, Kind.MAYBE_RIGHT)
"""Kinds of answers by which Kore.ai accepts or refuses an erasure."""


def _again(seen: TrialSeen, subject: Subject) -> Finding:
    if seen.again is None:
        return not_tested(END_NOT_SEEN)
    if was_not_erased(seen, subject):
        return not_tested(NOT_ERASED)
    if seen.again.accepted.kind not in _DECIDED:
        return not_tested(f"erase call: {seen.again.accepted.why}")
    if seen.again.request_id is not None and not seen.again.has_ended:
        return not_tested(END_NOT_SEEN, WAIT_LONGER)
    end = _end_of(seen.again, subject.profile)
    if end == _end_of(seen.first, subject.profile):
        return confirmed("as the first time")
    return different(end, "Set on_ambiguous_submit='fail', and ask Kore.ai before anything is submitted again.")


def _end_of(seen: ErasureSeen, profile: ApiProfile) -> str:
    if seen.request_id is None:
        return f"no acceptance ({seen.accepted.why})"
    outcome = profile.outcome_of(seen.last_word) if seen.last_word else None
    return f"accepted; {outcome.value if outcome else seen.last_word}"


def _left(seen: TrialSeen, subject: Subject) -> Finding:
    if seen.after is None:
        return not_tested(END_NOT_SEEN)
    if was_not_erased(seen, subject):
        return not_tested(NOT_ERASED)
    if not seen.before.are_there:
        return not_tested("The user had no sessions and messages before.", "A throw-away user with data.")
    if seen.after.are_gone:
        return confirmed("no session and no message")
    if seen.after.are_there:
        return different(
            "sessions or messages are still there",
            "Check again later. If it stays so, ask Kore.ai what it erases, and verify each erasure.",
        )
    return not_tested("Kore.ai does not answer about the user any more.")


def _erased_user_answer(seen: TrialSeen, subject: Subject) -> Finding:
    if seen.after is None:
        return not_tested(END_NOT_SEEN)
    if was_not_erased(seen, subject):
        return not_tested(NOT_ERASED)
    reply = seen.after.sessions
    if reply.kind is Kind.OK:
        return confirmed("a listing")
    if reply.kind is Kind.REFUSED and seen.before.sessions.kind is Kind.OK:
        return different(
            reply.why,
            "Nothing to set: a verification calls erased users not checkable.",
            settings={"erased_user_answer": "error"},
        )
    return not_tested(f"sessions call: {reply.why}")


def _unknown_word(seen: TrialSeen, subject: Subject) -> Finding:
    if seen.unknown is None:
        return not_tested(END_NOT_SEEN)
    if seen.unknown.request_id is None and seen.unknown.accepted.kind not in _DECIDED:
        return not_tested(f"erase call: {seen.unknown.accepted.why}")
    if seen.unknown.request_id is None and not seen.first.has_ended:
        return not_tested("No erase call of this bot was accepted.")
    if seen.unknown.request_id is None:
        return different(seen.unknown.accepted.why, "Nothing to set: the batch fails, and no user of it is erased.")
    word = seen.unknown.last_word
    if word is None:
        return not_tested("Its end was not seen.", WAIT_LONGER)
    if subject.profile.outcome_of(word) is not None or word == seen.first.last_word:
        return confirmed(word)
    if letters_of(word) in {letters_of(poll.word) for poll in seen.first.polls if poll.word}:
        return not_tested(f"{word}, which an erasure has that still runs.", WAIT_LONGER)
    profile = {"not_erased_words": [*subject.profile.not_erased_words, word]}
    return different(word, "Set the extra below.", profile=profile, settings={"unknown_word": word})


def _channel_pair(seen: TrialSeen, subject: Subject) -> Finding:
    takes = "A JSON object with channel_id and channel_user_id as second line of standard input."
    erasure, keys = seen.pair, seen.pair_keys
    if erasure is None or keys is None:
        return not_tested("No such user is named, or it was not reached.", takes)
    if erasure.request_id is not None and keys == subject.profile.channel_keys:
        return confirmed("accepted")
    if erasure.request_id is not None:
        profile = {"channel_id_key": keys[0], "channel_user_id_key": keys[1]}
        seen_keys = f"the keys are {keys[0]} and {keys[1]}"
        return different(seen_keys, "Set the extra below.", profile=profile, settings=profile)
    if erasure.accepted.kind is not Kind.REFUSED:
        return not_tested(f"erase call: {erasure.accepted.why}")
    return different(
        f"refused in each form that was tried ({erasure.accepted.why})",
        "Name users by another id, or ask Kore.ai for the keys: channel_id_key, channel_user_id_key.",
        settings={"channel_users": False},
    )


def _largest_batch(seen: TrialSeen, _: Subject) -> Finding:
    if not seen.batches:
        return not_tested(
            "No made-up user was accepted, or max_users is 1.", "A Kore.ai that accepts users it does not know."
        )
    accepted = [size for size, reply in seen.batches if ErasureSeen(reply).request_id is not None]
    refused = [size for size, reply in seen.batches if reply.kind is Kind.REFUSED]
    most, (largest, first_reply) = max(accepted, default=1), seen.batches[0]
    if most == largest:
        return confirmed(f"{largest} made-up users are accepted")
    if min(refused, default=largest + 1) - most > 1:
        return not_tested(
            f"{most} made-up users are accepted, and of more it is not known.", "An answer to each request."
        )
    return different(
        f"at most {most} ({first_reply.why})",
        "Set the extra below.",
        profile={"largest_batch": most},
        settings={"max_user_ids": most},
    )


def _refusal(seen: TrialSeen, subject: Subject) -> Finding:
    word = seen.first.last_word
    if word is not None and was_not_erased(seen, subject):
        if letters_of(word) == "failed":
            return confirmed(f"{word}, of this user")
        return different(word, settings={"refused_word": word})
    is_accepted_otherwise = seen.unknown is not None and seen.unknown.request_id is not None
    if seen.first.accepted.kind is Kind.REFUSED and is_accepted_otherwise:
        return different(
            f"the whole request is refused ({seen.first.accepted.why})",
            "Nothing to set: the batch fails, and no user of it is erased.",
            settings={"refusal": "whole-request"},
        )
    return not_tested("This user was not refused.", _A_MEMBER)


_DELETES_RECORDINGS = "KoreDeleteRecordingsOperator, on a throw-away user: its error says what to set."


def _recordings_path(_seen: TrialSeen, _subject: Subject) -> Finding:
    """Delete no recordings: an answer does not prove whose session it names."""
    return not_tested("No check deletes recordings.", _DELETES_RECORDINGS)


ERASURE_CHECKS = (
    *ANSWER_CHECKS,
    ErasureCheck("erase_again", "Erasing a user again is harmless", _again),
    ErasureCheck("left_behind", "No session and no message of an erased user is left", _left),
    ErasureCheck("erased_user_answer", "A query about an erased user is answered", _erased_user_answer),
    ErasureCheck("unknown_word", "The status of an unknown user is understood", _unknown_word),
    ErasureCheck("channel_users", "Users may be named by channel_id and channel_user_id", _channel_pair),
    ErasureCheck("max_user_ids", "A request may name all users of a batch, up to 100", _largest_batch),
    ErasureCheck(
        "refusal",
        "Who cannot be erased fails alone, with FAILED",
        _refusal,
        "--erase-test-user, with a throw-away user who is a member of the account, or owns a bot",
    ),
    ErasureCheck(
        "recordings_path", "Recordings are deleted below /api/public/bot/…/v2", _recordings_path, _DELETES_RECORDINGS
    ),
)
