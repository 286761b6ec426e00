"""Submit erasures to Kore.ai, once each, and wait for them if asked to."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, NoReturn, cast

from airflow.providers.common.compat.sdk import conf
from airflow.sdk import BaseOperator

from airflow_provider_kore.api.calls import submit_erasure
from airflow_provider_kore.api.erasure import (
    ErasureOutcome,
    ErasureRequest,
    ErasureScope,
    ErasureStatus,
    MatchedOutcome,
    UserId,
    check_scope,
    match_outcome,
    split_into_batches,
)
from airflow_provider_kore.api.pacing import PollSchedule
from airflow_provider_kore.api.watching import AcceptedErasure, ErasureWatch, RequestOutcome, assess_by_count
from airflow_provider_kore.compatibility import AirflowSkipException, TaskDeferralError, TaskDeferralTimeout
from airflow_provider_kore.exceptions import (
    Consequence,
    KoreAmbiguousSubmitError,
    KoreError,
    KoreInputError,
    KoreRequestError,
    KoreResumeError,
)
from airflow_provider_kore.ledger import BatchFields, BatchRecord, BatchState, ErasureLedger, TaskStateStore, make_plan
from airflow_provider_kore.user_ids import conceal, read_user_ids
from airflow_provider_kore.waiting import (
    FailureFields,
    defer,
    failure_from_json,
    failure_to_json,
    log_remarks,
    push_outcome,
    read_event,
    require_erased,
    waiting_broke_off,
)

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_kore.api.account import KoreAccount
    from airflow_provider_kore.api.client import KoreClient
    from airflow_provider_kore.hooks.kore import KoreHook


class KoreEraseUserDataOperator(BaseOperator):
    """
    Erase users from Kore.ai: from the listed bots, or from all bots of the organisation.

    What was accepted once is never sent again: on Airflow 3.3 and newer a retry, or a run of the cleared task, takes
    up what the tries before it recorded. It submits the batches that were not sent, waits for those that were, and
    submits again only those users who were not erased. Before Airflow 3.3 a retry submits everybody anew, and a
    warning says so.

    Returns a dict: ``requests`` (a list of ``{"request_id", "user_count"}``), ``user_count`` (exact duplicates
    folded), ``batch_count``, and after waiting also ``erased``, ``open`` and ``not_erased``, which add up to
    ``user_count``. Before the task fails, the same dict is pushed to the XCom ``return_value``.

    :param user_ids: a list of user ids (e-mail addresses, ``u-…`` ids, channel user ids, ``ChannelUserId`` or mappings
        with exactly its two keys), an XCom or a template that gives one, or the URI of a text file with one id a line.
        By URI no id enters Airflow's database; by value it stands wherever the DAG's author put it. Templated.
    :param bot_ids: the bots to erase from; templated.
    :param remove_data_from_all_bots: ``True`` to erase from all bots of the organisation instead; the connection must
        allow it with ``allow_all_bots``. A real bool; templated.
    :param batch_size: most users in one request; a guess, since Kore.ai publishes no limit.
    :param wait_for_completion: succeed only when Kore.ai has erased everybody; ``False`` returns after the submission,
        and a :class:`KoreErasureSensor` waits.
    :param deferrable: wait in the triggerer, without a worker slot.
    :param poll_interval: longest pause between two looks at one request, in seconds or as ``timedelta``.
    :param timeout: how long to wait, from the start of the try, in seconds or as ``timedelta``.
    :param dry_run: check everything, log the plan of batches, and send nothing. A real bool; templated.
    :param max_users: refuse more users than this; can only narrow the connection's limit. Templated.
    :param on_empty: ``"fail"`` or ``"skip"`` the task when there are no users; an empty list is never sent.
    :param on_ambiguous_submit: what to do about a batch that an earlier try sent without learning whether it was
        accepted: ``"resubmit"`` it, since erasing twice ends in the same state, or ``"fail"``.
    :param force: submit everybody anew, whatever earlier tries recorded. Retries within one run of the task still take
        up what this run submitted.
    :param kore_conn_id: id of the connection; templated.
    :raises KoreInputError: if users or scope are refused; nothing was sent.
    :raises KoreResumeError: if what was asked for is not what earlier tries submitted; nothing was sent.
    :raises KoreNotErasedError: if somebody is not proven erased.
    :raises AirflowSensorTimeout: if the deadline comes first.
    """

    template_fields: Sequence[str] = (
        "user_ids",
        "bot_ids",
        "remove_data_from_all_bots",
        "is_dry_run",
        "max_users",
        "kore_conn_id",
    )
    ui_color = "#e8f0e4"

    def __init__(
        self,
        *,
        user_ids: object,
        bot_ids: object = None,
        remove_data_from_all_bots: bool | str = False,
        batch_size: int = 100,
        wait_for_completion: bool = False,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float | timedelta = 60.0,
        timeout: float | timedelta = timedelta(days=2),
        dry_run: bool | str = False,
        max_users: int | str | None = None,
        on_empty: Literal["fail", "skip"] = "fail",
        on_ambiguous_submit: Literal["resubmit", "fail"] = "resubmit",
        force: bool = False,
        kore_conn_id: str = "kore_default",
        **kwargs: Any,  # noqa: ANN401 # Airflow's own arguments
    ) -> None:
        super().__init__(**kwargs)
        self.user_ids = user_ids
        self.bot_ids = bot_ids
        self.remove_data_from_all_bots = remove_data_from_all_bots
        self.batch_size = _whole_number("batch_size", batch_size)
        self.wait_for_completion = _flag("wait_for_completion", wait_for_completion)
        self.deferrable = _flag("deferrable", deferrable)
        self.poll_interval = _seconds("poll_interval", poll_interval)
        self.timeout = _seconds("timeout", timeout)
        self.is_dry_run = dry_run  # BaseOperator has a method of the argument's name
        self.max_users = max_users
        self.on_empty = _choice("on_empty", on_empty, ("fail", "skip"))
        self.on_ambiguous_submit = _choice("on_ambiguous_submit", on_ambiguous_submit, ("resubmit", "fail"))
        self.force = _flag("force", force)
        self.kore_conn_id = kore_conn_id

    @property
    def user_ids(self) -> object:
        """Where the users come from; of users given by value Airflow is shown the number."""
        return self._user_ids

    @user_ids.setter
    def user_ids(self, value: object) -> None:
        self._user_ids = conceal(value)

    def execute(self, context: Context) -> dict[str, object]:
        """Check everything, submit what is due, and wait if asked to."""
        started = time.time()
        hook = self._hook
        account = hook.account
        scope = self._check_scope(account)
        batches = self._read_batches(account)
        user_count = sum(map(len, batches))
        if not batches:
            return self._end_empty()
        with hook.get_conn() as client:
            if _flag("dry_run", self.is_dry_run):
                return self._show_plan(batches, scope)
            ledger = self._open_ledger(context, account, scope, batches)
            self.log.info("%d users in %d batches.", user_count, len(batches))
            failures = self._submit(client, ledger, batches, scope, account, started + self.timeout)
            if not self.wait_for_completion or not any(record.requests for record in ledger.records):
                return self._end_submission(context, ledger, failures)
            return self._wait(context, client, ledger, batches, account, failures, started)

    def execute_complete(
        self,
        context: Context,
        event: object = None,
        *,
        started: float,
        records: list[BatchFields],
        failures: list[FailureFields],
    ) -> dict[str, object]:
        """Come back from the triggerer."""
        store = _task_state_store(context)
        ledger = ErasureLedger([BatchRecord.from_json(fields) for fields in records], store)
        waited_for = [record.requests[-1] for record in _waiting(ledger)]
        outcomes, failure = read_event(event, [request.request_id for request in waited_for])
        errors = [failure_from_json(fields) for fields in failures]
        if failure is not None:
            errors.append(failure)
        hook = self._hook
        account = hook.account
        repeats: dict[str, MatchedOutcome] = {}
        unclear = [
            record
            for record, outcome in zip(_waiting(ledger), outcomes, strict=True)
            if outcome.understood
            and outcome.settled
            and (outcome.outcome.not_erased or outcome.fingerprint != record.sent_fingerprint)
        ]
        if unclear and (batches := self._batches_again(account, ledger)) is not None:
            # By count alone it cannot be told who is not erased, or whether the very users that were sent are.
            with hook.get_conn() as client:
                again = self._look(client, unclear, batches, account, started, repeats)
            by_id = {outcome.request_id: outcome for outcome in again}
            outcomes = [by_id.get(outcome.request_id, outcome) for outcome in outcomes]
            if not errors and not all(outcome.settled for outcome in outcomes) and time.time() < started + self.timeout:
                self._defer(ledger, started, errors)
        return self._finish(context, ledger, outcomes, repeats, errors)

    def resume_execution(
        self,
        next_method: str,
        next_kwargs: dict[str, Any] | None,
        context: Context,
    ) -> Any:  # noqa: ANN401 # Airflow's own signature
        """Come back from the triggerer, or from its failure."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except TaskDeferralTimeout:
            # The triggerer missed the deadline: what it did not see is looked at here, for the last time.
            ledger = ErasureLedger.load(_task_state_store(context))
            if ledger is None:
                raise waiting_broke_off() from None
            hook = self._hook
            with hook.get_conn() as client:
                outcomes = self._look(client, _waiting(ledger), None, hook.account, 0.0, {})
            return self._finish(context, ledger, outcomes, {}, [])
        except TaskDeferralError:
            raise waiting_broke_off() from None

    def on_kill(self) -> None:
        """Say what killing the task does not do."""
        self.log.warning("The task was killed. Kore.ai goes on with every erasure that it has accepted.")

    @property
    def _hook(self) -> KoreHook:
        from airflow_provider_kore.hooks.kore import KoreHook

        return KoreHook(self.kore_conn_id)

    def _check_scope(self, account: KoreAccount) -> ErasureScope:
        return check_scope(
            self.bot_ids,
            self.remove_data_from_all_bots,
            allow_all_bots=account.allow_all_bots,
            allowed_bot_ids=account.allowed_bot_ids,
        )

    def _read_batches(self, account: KoreAccount) -> list[tuple[UserId, ...]]:
        most = account.max_users
        if self.max_users is not None:
            most = min(most, _whole_number("max_users", self.max_users))
        user_ids, duplicates = read_user_ids(self.user_ids, most)
        if duplicates:
            self.log.info("%d exact duplicates among the user ids were folded.", duplicates)
        return split_into_batches(user_ids, self.batch_size)

    def _batches_again(self, account: KoreAccount, ledger: ErasureLedger) -> list[tuple[UserId, ...]] | None:
        """Read the users once more after waiting, unless the source has changed in between."""
        try:
            batches = self._read_batches(account)
        except KoreInputError as error:
            self.log.warning("The user ids cannot be read any more: %s", error.problem)
            batches = []
        if ledger.matches(batches, account.fingerprint_key()):
            return batches
        self.log.warning(
            "The source of the user ids has changed since they were submitted: counts decide, and who is not erased "
            "cannot be told."
        )
        return None

    def _end_empty(self) -> dict[str, object]:
        if self.on_empty == "skip":
            raise AirflowSkipException("There are no users to erase.")
        raise _refuse("There are no users to erase.", "Check the source, or set on_empty='skip' if that can happen.")

    def _show_plan(self, batches: Sequence[Sequence[UserId]], scope: ErasureScope) -> dict[str, object]:
        user_count = sum(map(len, batches))
        self.log.info(
            "Dry run: %d users would be erased from %s, in %d requests of %s users. Nothing was sent.",
            user_count,
            "all bots" if scope.all_bots else f"the bots {', '.join(scope.bot_ids)}",
            len(batches),
            ", ".join(str(len(batch)) for batch in batches[:20]) + (", …" if len(batches) > 20 else ""),
        )
        return {"requests": [], "user_count": user_count, "batch_count": len(batches), "dry_run": True}

    def _open_ledger(
        self, context: Context, account: KoreAccount, scope: ErasureScope, batches: Sequence[Sequence[UserId]]
    ) -> ErasureLedger:
        store = _task_state_store(context)
        if store is None:
            self.log.warning(
                "This Airflow has no task state store (it came with 3.3): a retry of this task will submit all users "
                "anew."
            )
        task_instance = context["ti"]
        # Airflow counts tries on over clearings, and grants as many more as the task has retries.
        first_try = (task_instance.max_tries or 0) - (self.retries or 0) + 1
        plan = make_plan(
            account,
            scope,
            user_count=sum(map(len, batches)),
            batch_size=self.batch_size,
            forced_by_try=task_instance.try_number if self.force else 0,
        )
        forced_before = ErasureLedger.forced_by_try(store)
        return ErasureLedger.open(
            store,
            plan,
            batches,
            account.fingerprint_key(),
            anew=self.force and forced_before < first_try,
        )

    def _submit(
        self,
        client: KoreClient,
        ledger: ErasureLedger,
        batches: Sequence[Sequence[UserId]],
        scope: ErasureScope,
        account: KoreAccount,
        deadline: float,
    ) -> list[KoreError]:
        """Submit every batch that is due; give up all others at the first error that concerns more than its batch."""
        failures: list[KoreError] = []
        key = account.fingerprint_key()
        for record in list(ledger.records):
            if not record.must_be_sent:
                continue
            name = f"batch {record.number} of {len(ledger.records)}"
            if record.state is BatchState.SENDING:
                if self.on_ambiguous_submit == "fail":
                    failures.append(_ambiguous_before(name))
                    continue
                self.log.warning(
                    "AMBIGUOUS: an earlier try sent %s, and whether Kore.ai accepted it is not known. Its %d users are "
                    "submitted again; erasing twice ends in the same state.",
                    name,
                    record.unerased,
                )
            elif record.state is BatchState.SETTLED:
                self.log.info("%d users of %s were not erased and are submitted again.", record.unerased, name)
            users = record.users_to_send(batches[record.number - 1])
            sending = ledger.sending(record, users, key)
            give_up_at = client.pacing.clock() + max(deadline - time.time(), 0.0)
            try:
                request_id = client.hold(submit_erasure(ErasureRequest(users, scope), client.pacing, give_up_at))
            except KoreAmbiguousSubmitError as error:
                failures.append(_of_batch(error, name))
                self.log.error("%s", failures[-1])
                break
            except KoreError as error:
                ledger.not_accepted(sending)
                failures.append(_of_batch(error, name))
                self.log.error("%s", failures[-1])
                if not isinstance(error, KoreRequestError):
                    break
            else:
                ledger.accepted(sending, request_id)
                self.log.info("Submitted %d users of %s as %s.", len(users), name, request_id)
        return failures

    def _end_submission(
        self, context: Context, ledger: ErasureLedger, failures: Sequence[KoreError]
    ) -> dict[str, object]:
        output = _output(ledger)
        if failures:
            if self.wait_for_completion:
                output |= ErasureOutcome(not_erased=sum(record.user_count for record in ledger.records)).counts()
            push_outcome(self, context, output)
            raise failures[0]
        return output

    def _wait(
        self,
        context: Context,
        client: KoreClient,
        ledger: ErasureLedger,
        batches: Sequence[Sequence[UserId]],
        account: KoreAccount,
        failures: list[KoreError],
        started: float,
    ) -> dict[str, object]:
        waiting = _waiting(ledger)
        repeats: dict[str, MatchedOutcome] = {}
        watch = self._watch(client, waiting, batches, account, started, repeats)
        deadline = started + self.timeout
        try:
            if self.deferrable:
                client.hold(watch.check())
            else:
                client.hold(watch.wait(PollSchedule(longest=self.poll_interval), deadline))
        except KoreError as error:
            failures = [*failures, error]
        else:
            if self.deferrable and not watch.settled:
                self._defer(ledger, started, failures)
        return self._finish(context, ledger, watch.outcomes, repeats, failures)

    def _defer(self, ledger: ErasureLedger, started: float, failures: Sequence[KoreError]) -> NoReturn:
        defer(
            self,
            [record.requests[-1] for record in _waiting(ledger)],
            kore_conn_id=self.kore_conn_id,
            started=started,
            deadline=started + self.timeout,
            poll_interval=self.poll_interval,
            kwargs={
                "started": started,
                "records": [record.to_json() for record in ledger.records],
                "failures": [failure_to_json(failure) for failure in failures],
            },
        )

    def _watch(
        self,
        client: KoreClient,
        records: Sequence[BatchRecord],
        batches: Sequence[Sequence[UserId]] | None,
        account: KoreAccount,
        started: float,
        matched: dict[str, MatchedOutcome],
    ) -> ErasureWatch:
        """Watch requests, and keep what was matched last of each whose users are at hand."""
        users = {
            record.requests[-1].request_id: record.users_to_send(batches[record.number - 1])
            for record in records
            if batches is not None
        }

        def assess(request: AcceptedErasure, status: ErasureStatus) -> ErasureOutcome:
            if request.request_id not in users:
                return assess_by_count(request, status)
            matched[request.request_id] = match_outcome(status, users[request.request_id])
            return matched[request.request_id].outcome

        return ErasureWatch(
            [record.requests[-1] for record in records],
            client.pacing,
            fingerprint_key=account.fingerprint_key(),
            started=started,
            assess=assess,
            report=lambda outcome: self.log.info(
                "%d erased, %d open, %d not erased.", outcome.erased, outcome.open, outcome.not_erased
            ),
        )

    def _look(
        self,
        client: KoreClient,
        records: Sequence[BatchRecord],
        batches: Sequence[Sequence[UserId]] | None,
        account: KoreAccount,
        started: float,
        matched: dict[str, MatchedOutcome],
    ) -> list[RequestOutcome]:
        """Look once at each request."""
        watch = self._watch(client, records, batches, account, started, matched)
        client.hold(watch.wait(PollSchedule(), deadline=0.0))
        return watch.outcomes

    def _finish(
        self,
        context: Context,
        ledger: ErasureLedger,
        outcomes: Sequence[RequestOutcome],
        matched: dict[str, MatchedOutcome],
        failures: Sequence[KoreError],
    ) -> dict[str, object]:
        """Settle what is settled, and let the task succeed only if everybody is erased."""
        result = ErasureOutcome()
        by_id = {outcome.request_id: outcome for outcome in outcomes}
        for record in list(ledger.records):
            result += ErasureOutcome(erased=record.user_count - record.unerased)
            if record.state is not BatchState.ACCEPTED:
                result += ErasureOutcome(not_erased=record.unerased)
                continue
            request_id = record.requests[-1].request_id
            outcome = by_id[request_id]
            result += outcome.outcome
            if not outcome.settled or not outcome.understood:
                continue
            if outcome.outcome.not_erased == 0:
                ledger.settled(record, ())
            elif repeat := self._name_not_erased(record, matched.get(request_id)):
                ledger.settled(record, repeat)
        log_remarks(result)
        output = {**_output(ledger), **result.counts()}
        try:
            require_erased(
                result,
                [outcome.request_id for outcome in outcomes if not outcome.settled],
                failures,
                remedy="Clear the task, or let it retry: it submits only those who are not erased. Owners and members "
                "of an account and developers of a bot must first lose that role in Kore.ai.",
            )
        except Exception:
            push_outcome(self, context, output)
            raise
        self.log.info("All %d users are erased.", result.user_count)
        return output

    def _name_not_erased(self, record: BatchRecord, matched: MatchedOutcome | None) -> tuple[int, ...]:
        """Tell the log who is not erased, by position, and return whom to submit again."""
        if matched is None or not matched.to_repeat:
            return ()
        within = record.positions
        shown = [(position if within is None else within[position]) + 1 for position in matched.to_repeat]
        self.log.error(
            "Not erased in batch %d (request %s): the users at position %s of the batch%s.",
            record.number,
            record.requests[-1].request_id,
            ", ".join(map(str, shown[:50])) + (", …" if len(shown) > 50 else ""),
            ""
            if not matched.suspect_positions
            else f", of whom {matched.outcome.not_erased} are not; since Kore.ai names them by other ids, it cannot be "
            "told which",
        )
        return matched.to_repeat


def _waiting(ledger: ErasureLedger) -> list[BatchRecord]:
    return [record for record in ledger.records if record.state is BatchState.ACCEPTED]


def _output(ledger: ErasureLedger) -> dict[str, object]:
    return {
        "requests": [request.to_json() for record in ledger.records for request in record.requests],
        "user_count": sum(record.user_count for record in ledger.records),
        "batch_count": len(ledger.records),
    }


def _task_state_store(context: Context) -> TaskStateStore | None:
    return cast("TaskStateStore | None", context.get("task_state_store"))


def _of_batch(error: KoreError, name: str) -> KoreError:
    return type(error)(f"{name.capitalize()}: {error.problem}", consequence=error.consequence, remedy=error.remedy)


def _ambiguous_before(name: str) -> KoreResumeError:
    return KoreResumeError(
        f"An earlier try sent {name}, and whether Kore.ai accepted it is not known.",
        consequence=Consequence.UNKNOWN,
        remedy="Ask Kore.ai what became of it, then clear the task with on_ambiguous_submit='resubmit'.",
    )


def _refuse(problem: str, remedy: str) -> KoreInputError:
    return KoreInputError(problem, consequence=Consequence.NOT_SENT, remedy=remedy)


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise _refuse(
            f"{name} must be True or False, and is of type {type(value).__name__}.",
            "Pass a real bool; a template needs render_template_as_native_obj=True on the DAG to render one.",
        )
    return value


def _whole_number(name: str, value: object) -> int:
    if isinstance(value, str) and value.strip().isdecimal():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _refuse(f"{name} must be a whole number of at least 1.", f"Correct {name}.")
    return value


def _seconds(name: str, value: object) -> float:
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
        raise _refuse(f"{name} must be a positive number of seconds, or a timedelta.", f"Correct {name}.")
    return float(seconds)


def _choice(name: str, value: str, choices: Sequence[str]) -> str:
    if value not in choices:
        raise _refuse(f"{name} must be one of {', '.join(choices)}.", f"Correct {name}.")
    return value
