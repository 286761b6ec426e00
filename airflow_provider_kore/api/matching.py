"""What an answer says of the submitted users, by number or by name. Pure functions, no I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from airflow_provider_kore.api.outcome import ErasureOutcome, Outcome
from airflow_provider_kore.api.status import ErasureStatus, ErasureStatusEntry
from airflow_provider_kore.api.users import UserId, folded, folded_address


def count_outcome(status: ErasureStatus, user_count: int | None) -> ErasureOutcome:
    """
    Say how many are erased, where only the number of submitted users is known.

    :param status: Kore.ai's answer.
    :param user_count: how many users the request had; ``None`` if unknown, and then the request is done only when
        the answer has entries and none is open.
    """
    verdicts = Counter(entry.outcome for entry in status.entries)
    erased, open_, not_erased = (verdicts[verdict] for verdict in Outcome)
    answered = len(status.entries)
    if user_count is None:
        remark = f"How many users {status.request_id} had is not known: completeness could not be checked."
        return ErasureOutcome(erased, open_ if answered else 1, not_erased, (remark,))
    if answered > user_count:
        # Whose the surplus entries are cannot be known, so no entry proves anything about a submitted user.
        still_open = min(open_, user_count)
        return ErasureOutcome(0, still_open, user_count - still_open, (_surplus(status, user_count),))
    return ErasureOutcome(erased, user_count - erased - not_erased, not_erased, _wording_remarks(status))


def _surplus(status: ErasureStatus, user_count: int) -> str:
    return (
        f"ALARM: the answer for {status.request_id} names {len(status.entries)} users where {user_count} were "
        "submitted. Ask Kore.ai which users were touched; nobody in this request is counted as erased on it."
    )


def _wording_remarks(status: ErasureStatus) -> tuple[str, ...]:
    if not (wordings := status.wordings()):
        return ()
    shown = ", ".join(f"{wording} ({count})" for wording, count in sorted(wordings.items()))
    return (f"{status.request_id} has users that are not proven erased. Kore.ai's words: {shown}.",)


@dataclass(frozen=True, slots=True)
class MatchedOutcome:
    """
    Say of each submitted user what the answer says, as far as the answer's ids can be matched.

    :param outcome: the counts.
    :param not_erased_positions: positions in the batch, from 0, of the users that the answer names as not erased.
    :param suspect_positions: positions among which are further users that are not erased, when the answer names
        them by ids that were never submitted, so that it cannot be told who they are.
    :param alarm: whether the answer names users who cannot be the submitted ones.
    """

    outcome: ErasureOutcome
    not_erased_positions: tuple[int, ...]
    suspect_positions: tuple[int, ...] = ()
    alarm: bool = False

    @property
    def to_repeat(self) -> tuple[int, ...]:
        """Positions of all users to submit again; none after an alarm, which a person must look into first."""
        return () if self.alarm else tuple(sorted({*self.not_erased_positions, *self.suspect_positions}))


def match_outcome(status: ErasureStatus, user_ids: Sequence[UserId]) -> MatchedOutcome:
    """
    Say how many are erased and who is not, where the submitted users are known.

    The answer may name users by the id that Kore.ai resolved them to. Entries that match no submitted user then
    count for those submitted users that no entry matches, if there are not more of them, and a remark says so. A
    user submitted by Kore.ai's own ``u-…`` id has nothing to be resolved to, and needs an entry of that name; a user
    submitted by an e-mail address is not resolved to another one.

    :param status: Kore.ai's answer.
    :param user_ids: the users of the request, without duplicates, in the order of submission.
    """
    matched, others = _match_entries(status, user_ids)
    strangers = Counter(entry.outcome for entry in others)
    unmatched = [position for position, verdict in enumerate(matched) if verdict is None]
    resolvable = [position for position in unmatched if not _is_kore_id(user_ids[position])]
    known = Counter(verdict for verdict in matched if verdict is not None)
    refused = tuple(position for position, verdict in enumerate(matched) if verdict is Outcome.NOT_ERASED)
    remarks = list(_wording_remarks(status))

    # An address can be another name of whoever was submitted by some other id, but not of another address.
    addresses = sum(folded_address(entry.user_id) is not None for entry in others)
    not_by_address = sum(folded_address(user_ids[position]) is None for position in resolvable)
    at_most = min(len(resolvable), strangers.total() - addresses + min(addresses, not_by_address))
    if strangers.total() > at_most:
        remarks.append(
            f"ALARM: the answer for {status.request_id} names {strangers.total()} users that were not submitted, where "
            f"at most {at_most} can be other names of submitted ones. Ask Kore.ai which users were touched."
        )
        still_open = min(len(unmatched), strangers[Outcome.OPEN])
        outcome = ErasureOutcome(
            known[Outcome.ERASED],
            known[Outcome.OPEN] + still_open,
            known[Outcome.NOT_ERASED] + len(unmatched) - still_open,
            tuple(remarks),
        )
        return MatchedOutcome(outcome, refused, alarm=True)
    if strangers.total():
        remarks.append(
            f"The answer for {status.request_id} names {strangers.total()} users by ids that were not submitted, "
            "probably Kore.ai's own ids of them: for these users the counts decide."
        )
    outcome = ErasureOutcome(
        known[Outcome.ERASED] + strangers[Outcome.ERASED],
        known[Outcome.OPEN] + len(unmatched) - strangers[Outcome.ERASED] - strangers[Outcome.NOT_ERASED],
        known[Outcome.NOT_ERASED] + strangers[Outcome.NOT_ERASED],
        tuple(remarks),
    )
    return MatchedOutcome(outcome, refused, tuple(resolvable) if strangers[Outcome.NOT_ERASED] else ())


def _is_kore_id(user_id: UserId) -> bool:
    return isinstance(user_id, str) and user_id.startswith("u-")


def _match_entries(
    status: ErasureStatus, user_ids: Sequence[UserId]
) -> tuple[list[Outcome | None], list[ErasureStatusEntry]]:
    """
    Find what is said of each user, and the entries that are about none of them.

    An e-mail address in another case is the same user. So one entry is about the first alone of two submitted addresses
    that differ by case only, which are folded before they are submitted.
    """
    about = {folded(entry.user_id): entry for entry in status.entries if entry.user_id is not None}
    nameless = [entry for entry in status.entries if entry.user_id is None]
    entries = [about.pop(folded(user_id), None) for user_id in user_ids]
    return [None if entry is None else entry.outcome for entry in entries], [*about.values(), *nameless]
