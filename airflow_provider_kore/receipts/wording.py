"""What a receipt attests and what it does not, in the words that are signed with it."""

from __future__ import annotations

ATTESTS = (
    "This attests what Kore.ai reported of these erasure requests and, where a verification is named, what Kore.ai's "
    "interfaces for reading showed of these people at that time. It attests nothing beyond that."
)

DOES_NOT_COVER = (
    "Kore.ai's backups and logs.",
    "Other systems, and exports or copies of the conversations.",
    "Recordings of calls at Kore.ai, and voicemail.",
    "Kore.ai's logs of LLM usage, and debug logs.",
    "Feedback and answers to surveys at Kore.ai.",
    "Contacts, cases and campaigns at Kore.ai.",
    "Transcripts and summaries of conversations with human agents at Kore.ai.",
    "Data tables at Kore.ai.",
    "Data that are kept under other ids of the same person.",
    "Bots outside the scope.",
    "What came in after the erasure.",
)

NOT_VERIFIED = "Whether data are left: nothing was checked after the erasure, and Kore.ai's report stands alone."
NOT_NAMED = "Who the people are: the task did not know, and counts alone are attested."
NO_SCOPE = "From which bots the people were erased: the task did not know."


def does_not_cover(*, verified: bool, named: bool, scope_known: bool) -> tuple[str, ...]:
    """
    List what a receipt does not cover.

    :param verified: whether Kore.ai was asked for data that are left.
    :param named: whether the receipt names the users by their digests.
    :param scope_known: whether the task knew from which bots they were erased.
    """
    gaps = ((verified, NOT_VERIFIED), (named, NOT_NAMED), (scope_known, NO_SCOPE))
    return DOES_NOT_COVER + tuple(sentence for closed, sentence in gaps if not closed)
