"""
Export what Kore.ai has of users, delete the recordings of their calls, and only then erase them.

Kore.ai deletes recordings by session, and the erasure takes away the sessions that lead to them. So the erasure runs
only if the recordings of every session are deleted, or there are none. Let the users no longer call before you start:
calls after the start of the run are not in it.

Two connections are needed. `kore_default` exports and erases, with an app made in the Admin Console; it needs a
`digest_key`. `kore_recordings` deletes recordings, with an app that was made in the bot's own settings and has the
scope *Delete Recordings*. Where each bot has such an app, make a task and a connection for each bot.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import Param, dag

from airflow_provider_kore.operators.erasure import KoreEraseUserDataOperator
from airflow_provider_kore.operators.export import KoreExportUserDataOperator
from airflow_provider_kore.operators.recordings import KoreDeleteRecordingsOperator

RETENTION = timedelta(days=7 * 366)  # how long your Kore.ai keeps conversations: 7 years by default
RECORDINGS_RETENTION = timedelta(days=7 * 366)  # how long it keeps recordings: newer accounts 3 months


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
            description="Ids of the bots to export, delete and erase from (st-…), one a line.",
        ),
    },
)
def kore_erase_with_recordings() -> None:
    """Export, delete the recordings, erase."""
    arguments = {
        "user_ids": "{{ params.users_from }}",
        "bot_ids": "{{ params.bot_ids }}",
        "deferrable": True,
        "retries": 1,
    }

    export_users = KoreExportUserDataOperator(
        task_id="export_users", destination="{{ params.export_to }}", since=RETENTION, **arguments
    )
    delete_recordings = KoreDeleteRecordingsOperator(
        task_id="delete_recordings",
        since=RECORDINGS_RETENTION,
        recordings_conn_id="kore_recordings",
        **arguments,
    )
    erase_users = KoreEraseUserDataOperator(task_id="erase_users", exported=export_users.output, **arguments)

    export_users >> delete_recordings >> erase_users


kore_erase_with_recordings()
