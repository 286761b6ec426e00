"""
Erase the users in a file from Kore.ai, on request: start it in Airflow's UI and fill in the form.

The form takes the URI of the file and not the users, since Airflow keeps for good what is typed into a trigger form: in
its database, its audit log and the run's page.
"""

from __future__ import annotations

from airflow.sdk import Param, dag, task

from airflow_provider_kore.operators.erasure import KoreEraseUserDataOperator


@dag(
    schedule=None,
    catchup=False,
    render_template_as_native_obj=True,  # so that lists and ticks of the form arrive as such
    tags=["kore", "privacy"],
    doc_md=__doc__,
    params={
        "users_from": Param(
            type="string",
            title="Users from",
            description="URI of a text file with one user id a line: an e-mail address, Kore's own id (u-…) or a "
            "channel user id. For example s3://privacy/requests/1234.txt or file:///data/requests/1234.txt. Name the "
            "file by a ticket number, not by the person: Airflow keeps what you type here.",
            pattern="^[A-Za-z][A-Za-z0-9+.-]*://.+",
        ),
        "bot_ids": Param(
            [],
            type=["array", "null"],
            items={"type": "string"},
            title="Bots",
            description="Ids of the bots to erase from (st-…), one a line.",
        ),
        "all_bots": Param(
            False,
            type="boolean",
            title="All bots",
            description="Erase from all bots of the organisation instead. The connection must allow it.",
        ),
        "received_at": Param(
            None,
            type=["string", "null"],
            format="date",
            title="Received",
            description="When the request came in. Gives the date by which the law wants it answered.",
        ),
        "regime": Param(
            "gdpr",
            type="string",
            enum=["gdpr", "ccpa"],
            title="Law",
            description="By which the request must be answered: gdpr within a month, ccpa within 45 days. It counts "
            "only if the day of receipt is given.",
        ),
        "dry_run": Param(
            False,
            type="boolean",
            title="Dry run",
            description="Check everything and log the plan, but send nothing. A green dry run has erased no user.",
        ),
    },
)
def kore_erase_on_request() -> None:
    """Erase, wait for the proof, and say what came of it."""
    erase_users = KoreEraseUserDataOperator(
        task_id="erase_users",
        user_ids="{{ params.users_from }}",
        bot_ids="{{ params.bot_ids }}",
        all_bots="{{ params.all_bots }}",
        deferrable=True,
        dry_run="{{ params.dry_run }}",
        # Without a day of receipt it renders to None, so that there is no deadline.
        deadline="{{ {'received_at': params.received_at, 'regime': params.regime} if params.received_at else none }}",
        retries=1,
    )

    @task
    def report(outcome: dict[str, object]) -> None:
        """Run only when every user is erased, or after a dry run."""
        if outcome.get("dry_run"):
            print(f"Dry run: no user was erased. {outcome['user_count']} users would be.")
        else:
            print(f"All {outcome['erased']} users are erased, in {outcome['batch_count']} batches.")

    report(erase_users.output)


kore_erase_on_request()
