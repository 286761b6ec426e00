"""
Preview, approve, export and erase the users in a file.

A dry run shows how many users would be erased, from which bots and by when. After the approval their data are exported,
and then erased, if the plan is still the one that was approved. A rejection skips the rest, and the run then counts as
a success.

Three weeks after its **logical date**, a week before the shortest month is over, a run that has not succeeded is
announced in the triggerer's log. The form proposes the present as logical date: choose the day of the request if you
start the run later. Put a notifier of your own in the place of `announce_deadline`; it must be a coroutine in a module
that the triggerer can import, which a DAG file is not.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param, dag

# Airflow 3.2 and newer have these three in airflow.sdk too.
from airflow.sdk.definitions.deadline import AsyncCallback, DeadlineAlert, DeadlineReference

from airflow_provider_kore.deadlines import announce_deadline
from airflow_provider_kore.operators.erasure import KoreEraseUserDataOperator
from airflow_provider_kore.operators.export import KoreExportUserDataOperator
from airflow_provider_kore.options import Deadline, Receipt, Verify

RETENTION = timedelta(days=7 * 366)  # how long your Kore.ai keeps conversations: 7 years by default
NOTICE = timedelta(days=7)
A_MONTH_AT_LEAST = timedelta(days=28)

# What people typed is shown as code, in which neither backticks nor blanks can be: the patterns below see to that.
PLAN = """
{%- set plan = ti.xcom_pull(task_ids='preview') -%}
- **{{ plan.user_count }} people** in {{ plan.batch_count }} requests, from `{{ params.users_from }}`
- Bots: `{{ plan.bot_ids | join('`, `') }}`
- Due on {{ plan.deadline.due_on }} ({{ plan.deadline.regime | upper }}): {{ plan.deadline.days_left }} days are left
- Plan: `{{ plan.plan_fingerprint }}`
"""


@dag(
    schedule=None,
    catchup=False,
    render_template_as_native_obj=True,
    tags=["kore", "privacy"],
    doc_md=__doc__,
    deadline=DeadlineAlert(
        # With DAGRUN_QUEUED_AT each clear would begin the time anew, and Airflow 3.3.2 cannot clear the run at all.
        reference=DeadlineReference.DAGRUN_LOGICAL_DATE,
        interval=A_MONTH_AT_LEAST - NOTICE,
        callback=AsyncCallback(announce_deadline),
    ),
    params={
        "users_from": Param(
            type="string",
            title="Users from",
            description="URI of a text file with one user id a line. Airflow keeps what you type here: name the file "
            "by a ticket number, not by the person.",
            pattern="^[A-Za-z][A-Za-z0-9+.-]*://[^\\s`]+$",
        ),
        "bot_ids": Param(
            type="array",
            items={"type": "string", "pattern": "^[^\\s`]+$"},
            minItems=1,
            title="Bots",
            description="Ids of the bots to erase from (st-…), one a line.",
        ),
        "received_at": Param(type="string", format="date", title="Received", description="When the request came in."),
        "regime": Param(
            "gdpr",
            type="string",
            enum=["gdpr", "ccpa"],
            title="Law",
            description="By which the request must be answered: gdpr within a month, ccpa within 45 days.",
        ),
        "folder": Param(
            type="string",
            title="Folder",
            description="URI of a folder of this request's own, for the exported data and the receipts.",
            pattern="^[A-Za-z][A-Za-z0-9+.-]*://[^\\s`]+$",
        ),
    },
)
def kore_erase_with_approval() -> None:
    """Preview, ask, export, erase."""
    asked_for = {"user_ids": "{{ params.users_from }}", "bot_ids": "{{ params.bot_ids }}"}
    deadline = Deadline(received_at="{{ params.received_at }}", regime="{{ params.regime }}")

    preview = KoreEraseUserDataOperator(task_id="preview", dry_run=True, deadline=deadline, **asked_for)
    approve = ApprovalOperator(
        task_id="approve",
        subject="Erase {{ ti.xcom_pull(task_ids='preview')['user_count'] }} people from Kore.ai?",
        body=PLAN,
    )
    export = KoreExportUserDataOperator(
        task_id="export",
        destination="{{ params.folder }}/export",
        since=RETENTION,
        deferrable=True,
        retries=2,
        **asked_for,
    )
    erase = KoreEraseUserDataOperator(
        task_id="erase",
        approved_plan=preview.output,
        exported=export.output,
        deadline=deadline,
        verify=Verify(people="all", since=RETENTION),
        receipt=Receipt(folder="{{ params.folder }}/receipts", approved_by=approve.output),
        deferrable=True,
        retries=2,
        **asked_for,
    )
    preview >> approve >> export >> erase


kore_erase_with_approval()
