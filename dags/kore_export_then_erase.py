"""
Export what Kore.ai has of users, and only then erase them.

Once erased, nothing can be handed out any more. The erasure runs only if the export is whole, and refuses other users
than those of the export. The last task runs only if every user is proven erased. Export what you store elsewhere by
tasks of your own, beside the export of Kore.ai.

The connection needs a `digest_key`, by which the files are named, and the app the scopes to read sessions and messages.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import Param, dag, task

from airflow_provider_kore.operators.erasure import KoreEraseUserDataOperator
from airflow_provider_kore.operators.export import KoreExportUserDataOperator

RETENTION = timedelta(days=7 * 366)  # how long your Kore.ai keeps conversations: 7 years by default


@dag(
    schedule=None,
    catchup=False,
    render_template_as_native_obj=True,
    tags=["kore", "privacy"],
    doc_md=__doc__,
    params={
        "users_from": Param(
            type="string",
            title="Users from",
            description="URI of a text file with one user id a line. Airflow keeps what you type here: name the file "
            "by a ticket number, not by the person.",
            pattern="^[A-Za-z][A-Za-z0-9+.-]*://.+",
        ),
        "export_to": Param(
            type="string",
            title="Export to",
            description="URI of a folder of this request's own for the exported data. Whoever can read it sees what "
            "the people wrote: guard it, and delete it when it is handed out.",
            pattern="^[A-Za-z][A-Za-z0-9+.-]*://.+",
        ),
        "bot_ids": Param(
            type="array",
            items={"type": "string"},
            minItems=1,
            title="Bots",
            description="Ids of the bots to export and erase from (st-…), one a line.",
        ),
    },
)
def kore_export_then_erase() -> None:
    """Export, erase, answer."""
    users = {"user_ids": "{{ params.users_from }}", "bot_ids": "{{ params.bot_ids }}"}

    export_users = KoreExportUserDataOperator(
        task_id="export_users",
        destination="{{ params.export_to }}",
        since=RETENTION,
        deferrable=True,
        retries=1,
        **users,
    )
    erase_users = KoreEraseUserDataOperator(
        task_id="erase_users",
        exported=export_users.output,
        deferrable=True,
        retries=1,
        **users,
    )

    @task
    def answer(outcome: dict[str, object]) -> None:
        """Answer the people: this runs only when all are exported and erased."""
        print(f"{outcome['erased']} users are exported and erased.")

    answer(erase_users.output)


kore_export_then_erase()
