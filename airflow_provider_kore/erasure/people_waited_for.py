"""The people behind the requests that a sensor waits for, where it has to show more than their number."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypedDict

from airflow_provider_kore.api.client import KoreClient
from airflow_provider_kore.api.scope import ErasureScope, check_scope
from airflow_provider_kore.api.users import fingerprint
from airflow_provider_kore.api.watching import Assess, ErasureWatch, RequestOutcome
from airflow_provider_kore.erasure.evidence import Proof
from airflow_provider_kore.erasure.ledger import (
    BatchFields,
    BatchRecord,
    BatchState,
    ErasureLedger,
    RecordStore,
    SubmittedErasure,
)
from airflow_provider_kore.erasure.options import Demands, require_exported
from airflow_provider_kore.erasure.reconcile import Settling, Watching
from airflow_provider_kore.erasure.requests import WaitedFor
from airflow_provider_kore.exceptions import KoreError, KoreInputError
from airflow_provider_kore.user_ids.batches import UserBatches
from airflow_provider_kore.user_ids.user_refs import UserRef

if TYPE_CHECKING:
    from airflow_provider_kore.hooks.kore import KoreHook
    from airflow_provider_kore.sensors.erasure import KoreErasureSensor

log = logging.getLogger(__name__)

NO_SCOPE = ErasureScope((), all_bots=False)
"""Stands where a sensor does not know the bots."""


class PeopleFields(TypedDict):
    """The JSON form of what is known of the people; it names nobody."""

    batches: list[BatchFields]
    not_erased_users: list[UserRef]


class PeopleWaitedFor:
    """
    Know who the requests are about, as far as the sensor was told.

    Each request is a batch here, numbered from 1, in the words in which the operator records what it submits.

    :param sensor: what the author of the DAG asked for, rendered.
    :param hook: the connection.
    :param demands: what is asked for beside the wait.
    :param waited_for: the requests.
    :param watch: makes a watch of some requests, by number from 0.
    :ivar needed: whether more than numbers is needed of them.
    :ivar scope: the bots; neither bots nor all of them where that is not known.
    :ivar not_erased_users: who is known not to be erased.
    :raises KoreInputError: if it was told too little for what is asked for.
    """

    def __init__(
        self, sensor: KoreErasureSensor, hook: KoreHook, demands: Demands, waited_for: WaitedFor, watch: Watching
    ) -> None:
        self._hook = hook
        self._requests = waited_for.requests
        self._watch = watch
        self._batches = None
        if sensor.user_ids is not None:
            key = hook.account.fingerprint_key()
            self._batches = UserBatches(sensor.user_ids, self._sizes, sys.maxsize, key)
        self.needed = demands.any_proof or self._batches is not None
        self._looked_at = _read_scope(sensor, waited_for)
        if demands.extent.is_asked_for and (self._batches is None or self._looked_at is None):
            raise KoreInputError(
                "Whom to look for, or at which bots, is not known.",
                remedy="Give user_ids, and the operator's output as request_id; with other request ids also bot_ids or "
                'all_bots. Or set verify="none".',
            )
        if (self.needed or demands.exported is not None) and len(self._sizes) < len(self._requests):
            raise KoreInputError(
                "How many users a request has is not known.",
                remedy="Give the operator's output as request_id, or user_count with one request id.",
            )
        self._demands = demands
        self._missing_users = waited_for.missing_users
        # Where to look is the author's word, and from where people were erased is that of the task that submitted them.
        self.scope = waited_for.scope or NO_SCOPE
        self.not_erased_users: list[UserRef] = []
        self._unconfirmed: set[int] = set()
        self._keep([])

    def _keep(self, records: Sequence[BatchRecord]) -> None:
        self._ledger = ErasureLedger(records, self.scope, RecordStore(None))

    @property
    def _sizes(self) -> list[int]:
        return [request.user_count for request in self._requests if request.user_count is not None]

    def read(self) -> None:
        """
        Read the people, if the sensor was told of them.

        :raises KoreInputError: if they cannot be those of the requests, or an export is not of as many.
        """
        if not self.needed and self._demands.exported is None:
            return
        key = self._hook.account.fingerprint_key()
        records = [
            BatchRecord(
                number,
                BatchState.ACCEPTED,
                size,
                fingerprint="",
                sent_fingerprint="unknown",
                requests=(SubmittedErasure(request.request_id, size),),
            )
            for number, (request, size) in enumerate(zip(self._requests, self._sizes, strict=True), start=1)
        ]
        if self._batches is not None:
            batches = list(self._fingerprints(self._batches, key))
            if [size for size, _, _ in batches] != self._sizes:
                raise KoreInputError(
                    f"There are {sum(self._sizes)} users in the requests, and another number in user_ids.",
                    remedy="Give the very users that were submitted, in their order.",
                )
            records = [
                replace(record, fingerprint=in_order, sent_fingerprint=in_any_order)
                for record, (_, in_order, in_any_order) in zip(records, batches, strict=True)
            ]
        people = None if self._batches is None else self._batches.fingerprint
        scope = None if self.scope is NO_SCOPE else self.scope
        require_exported(self._demands, self._hook.account, scope, sum(self._sizes), people)
        self._keep(records)

    @staticmethod
    def _fingerprints(batches: UserBatches, key: bytes) -> Iterator[tuple[int, str, str]]:
        for planned, batch in batches:
            yield len(batch), planned.fingerprint, fingerprint(batch, key)

    @property
    def asked_for(self) -> tuple[object, ...]:
        """What must be the same when the task comes back."""
        return self.scope, self._looked_at, self._requests, self._missing_users

    def to_json(self) -> PeopleFields | None:
        """Write the form that a deferral carries, so that the people cannot become others meanwhile."""
        if not self.needed:
            return None
        return {
            "batches": [record.to_json() for record in self._ledger.records],
            "not_erased_users": self.not_erased_users,
        }

    def take_up(self, fields: PeopleFields | None) -> None:
        """Read what :meth:`to_json` wrote."""
        if fields is not None:
            self._keep([BatchRecord.from_json(record) for record in fields["batches"]])
            self.not_erased_users = list(fields["not_erased_users"])

    def settle(self, outcomes: dict[int, RequestOutcome], *, by_name: bool) -> list[KoreError]:
        """
        Take what came of the requests.

        :param outcomes: by number from 0; replaced where looking by name shows more.
        :param by_name: whether to look by name where numbers do not tell enough.
        :return: what is wrong with the answers.
        """
        numbered = {number + 1: outcome for number, outcome in outcomes.items()}
        self._unconfirmed = self._not_named_as_given(numbered)
        if self._batches is None:
            self._ledger.seen(numbered)
            self._ledger.erased(
                [
                    self._ledger.records[number - 1]
                    for number, outcome in numbered.items()
                    if outcome.settled and outcome.understood and not outcome.outcome.not_erased
                ]
            )
            return []
        settling = Settling(self._hook, self._ledger, self._batches, self._watch_batches, self.not_erased_users)
        failures: list[KoreError] = []
        try:
            settling.settle(numbered, by_name=by_name)
        except KoreError as error:
            failures.append(error)
        outcomes.update({number - 1: outcome for number, outcome in numbered.items()})
        self._unconfirmed = self._not_named_as_given(numbered)
        if self._unconfirmed and by_name:
            log.warning(
                "In %d of %d requests Kore.ai's answers do not name the users as user_ids does: receipts tell these by "
                "number only.",
                len(self._unconfirmed),
                len(self._requests),
            )
        self.not_erased_users = settling.not_erased_users
        return settling.alarms + failures

    def _not_named_as_given(self, outcomes: Mapping[int, RequestOutcome]) -> set[int]:
        """List the batches of which Kore.ai's answer does not name the very users."""
        return {
            record.number
            for record in self._ledger.records
            if self._batches is not None and outcomes[record.number].fingerprint != record.sent_fingerprint
        }

    def _watch_batches(self, client: KoreClient, numbers: Sequence[int], assess: Assess) -> ErasureWatch:
        return self._watch(client, [number - 1 for number in numbers], assess)

    @property
    def proof(self) -> Proof:
        """What can be shown of them."""
        return Proof(
            self._demands,
            self._hook.account,
            None if self.scope is NO_SCOPE else self.scope,
            self._ledger.records,
            self._batches,
            looked_at=self._looked_at,
            unconfirmed=self._unconfirmed,
            missing_users=self._missing_users,
        )


def _read_scope(sensor: KoreErasureSensor, waited_for: WaitedFor) -> ErasureScope | None:
    if sensor.bot_ids is None and sensor.all_bots is False:
        return waited_for.scope
    scope = check_scope(sensor.bot_ids, sensor.all_bots, allow_all_bots=True, allowed_bot_ids=None, flag="all_bots")
    if waited_for.scope not in (None, scope):
        raise KoreInputError("The requests are about other bots than those that were given.", remedy="Leave them out.")
    return scope
