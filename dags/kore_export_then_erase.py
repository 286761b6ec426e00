"""
Export what a person may ask for, and only then erase the person from Kore.ai.

Once erased, nothing can be handed out any more. The erasure runs only when the export succeeded, and the last task only
when everybody is proven erased. Put your own export into `export_users`.
"""

from __future__ import annotations

from airflow.sdk import ObjectStoragePath, Param, dag, task

from airflow_provider_kore.operators.erasure import KoreEraseUserDataOperator


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
            description="URI of the folder for the exported data.",
            pattern="^[A-Za-z][A-Za-z0-9+.-]*://.+",
        ),
        "bot_ids": Param([], type="array", items={"type": "string"}, title="Bots", description="Ids of the bots."),
    },
)
def kore_export_then_erase() -> None:
    """Export, erase, tell."""

    @task
    def export_users(users_from: str, export_to: str) -> str:
        """Write a file for each user, and hand on the place of the list; no user id enters Airflow."""
        folder = ObjectStoragePath(export_to)
        folder.mkdir(parents=True, exist_ok=True)
        user_ids = ObjectStoragePath(users_from).read_text().splitlines()
        for number, user_id in enumerate(user_ids, start=1):
            # Your own export goes here: what you hold of this person, in a form to hand out.
            (folder / f"{number:05}.txt").write_text(f"{user_id}\n")
        if len(list(folder.iterdir())) < len(user_ids):
            raise RuntimeError("The export is not complete, so nobody is erased.")
        return users_from

    exported = export_users("{{ params.users_from }}", "{{ params.export_to }}")

    erase_users = KoreEraseUserDataOperator(
        task_id="erase_users",
        user_ids=exported,
        bot_ids="{{ params.bot_ids }}",
        wait_for_completion=True,
        deferrable=True,
        retries=1,
    )

    @task
    def tell(outcome: dict[str, object]) -> None:
        """Answer the people: this runs only when all are exported and erased."""
        print(f"{outcome['erased']} users are exported and erased.")

    tell(erase_users.output)


kore_export_then_erase()
