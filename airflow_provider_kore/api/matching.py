"""What an answer says of the submitted users, by count or by id. Pure functions, no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from airflow_provider_kore.api.outcome import ErasureOutcome, Outcome
from airflow_provider_kore.api.status import ErasureStatus
from airflow_provider_kore.api.users import UserId, folded, is_address, is_kore_id


def count_outcome(
    status: ErasureStatus, user_count: int | None, user_ids: Sequence[UserId] | None = None
) -> ErasureOutcome:
    """
    Count outcomes where only the number of submitted users is known.

    :param status: Kore.ai's answer.
    :param user_count: how many users the request has; ``None`` if unknown, and then the request is done only when
        the answer has entries and none is open.
    :param user_ids: the submitted users, if they are known: then remarks show words that are none of their names.
    """
    answered = ErasureOutcome.of(entry.outcome for entry in status.entries)
    if user_count is None:
        remark = f"How many users {status.request_id} had is not known: completeness could not be checked."
        return replace(answered, open=answered.open if status.entries else 1, remarks=(remark,))
    if answered.user_count > user_count:
        # Whose the surplus entries are cannot be known, so no entry proves anything about a submitted user.
        still_open = min(answered.open, user_count)
        alarm = (
            f"ALARM: the answer for {status.request_id} names {answered.user_count} users where {user_count} were "
            "submitted. Ask Kore.ai which users were touched; no user of this request is counted as erased on it."
        )
        return ErasureOutcome(0, still_open, user_count - still_open, (alarm,))
    missing = user_count - answered.user_count
    return replace(answered, open=answered.open + missing, remarks=_wording_remarks(status, user_ids))


def _wording_remarks(status: ErasureStatus, user_ids: Sequence[UserId] | None) -> tuple[str, ...]:
    if not (wordings := status.wordings(user_ids)):
        return ()
    shown = ", ".join(f"{wording} ({count})" for wording, count in sorted(wordings.items()))
    remark = f"{status.request_id} has users that are not proven erased. Kore.ai's words: {shown}."
    explanation = status.explain_unknown_words(user_ids)
    return (remark,) if explanation is None else (remark, explanation)


@dataclass(frozen=True, slots=True)
class MatchedOutcome:
    """
    What an answer says of the submitted users.

    :param outcome: the counts.
    :param resubmit: positions in the batch, from 0, of the users to submit again; ``None`` for the whole batch. None
        of them after an alarm, which an operator of the DAG must check first.
    :param not_erased: positions of the users whom the answer names as not erased by the id that was submitted.
    :param alarm: whether the answer names users who cannot be the submitted ones.
    """

    outcome: ErasureOutcome
    resubmit: tuple[int, ...] | None
    not_erased: tuple[int, ...]
    alarm: bool = False


def match_outcome(status: ErasureStatus, user_ids: Sequence[UserId]) -> MatchedOutcome:
    """
    Match the entries of an answer to the submitted users by their ids.

    Kore.ai may name users by ids that it resolved. Where an id of the answer was not submitted, the counts decide, and
    the whole batch is to be submitted again if a user is not erased. It is an alarm if such ids cannot be other names
    of the users who have no entry of their own. A user submitted by Kore.ai's own ``u-…`` id has no other name. An
    e-mail address can be another name of a user submitted by some other id, but not of another e-mail address.

    :param status: Kore.ai's answer.
    :param user_ids: the users of the request, without duplicates, in the order of submission.
    """
    strangers = {folded(entry.user_id): entry.outcome for entry in status.entries if entry.user_id is not None}
    own = [strangers.pop(folded(user_id), None) for user_id in user_ids]
    not_erased = tuple(position for position, outcome in enumerate(own) if outcome is Outcome.NOT_ERASED)
    stranger_count = len(status.entries) - sum(outcome is not None for outcome in own)
    if not stranger_count:
        return MatchedOutcome(count_outcome(status, len(user_ids), user_ids), not_erased, not_erased)

    renamed = [
        user_id for user_id, outcome in zip(user_ids, own, strict=True) if outcome is None and not is_kore_id(user_id)
    ]
    new_addresses = sum(map(is_address, strangers))
    not_by_address = sum(not is_address(user_id) for user_id in renamed)
    if stranger_count > len(renamed) or new_addresses > not_by_address:
        alarm = (
            f"ALARM: the answer for {status.request_id} names {stranger_count} users by ids that were not submitted, "
            "and not all of them can be other names of submitted users. Ask Kore.ai which users were touched."
        )
        outcome = ErasureOutcome.of(outcome or Outcome.NOT_ERASED for outcome in own)
        remarks = (*_wording_remarks(status, user_ids), alarm)
        return MatchedOutcome(replace(outcome, remarks=remarks), (), not_erased, alarm=True)
    outcome = count_outcome(status, len(user_ids), user_ids)
    remark = (
        f"The answer for {status.request_id} names {stranger_count} users by ids that were not submitted, probably "
        "Kore.ai's own ids of them: the counts decide."
    )
    resubmit = None if outcome.not_erased else ()
    return MatchedOutcome(replace(outcome, remarks=(*outcome.remarks, remark)), resubmit, not_erased)
