"""Sources that refer to other tasks in every way, for ``dag.test()``; each task erases who is in its own file."""

from __future__ import annotations

import os
from pathlib import Path

from airflow.sdk import dag, task

from airflow_provider_kore.operators.erasure import KoreEraseUserDataOperator
from airflow_provider_kore.user_ids import FileUserIds

FOLDER = Path(os.environ["KORE_FOLDER"])
WAITS = {"poll_interval": 0.1, "timeout": 60, "deferrable": False}
BOTS = {"bot_ids": ["123"]}  # a number to native rendering


def write_file(name: str) -> str:
    path = FOLDER / f"{name}.csv"
    path.write_text(f"email,2024\n{name}@example.com,491701{name}\n")
    return path.as_uri()


@dag(schedule=None, render_template_as_native_obj=True)
def kore_references() -> None:
    def write(name: str) -> object:
        return task(task_id=f"write_{name}")(write_file)(name)

    @task
    def write_several(names: list[str]) -> list[str]:
        return [write_file(name) for name in names]

    @task(multiple_outputs=True)
    def write_keyed() -> dict[str, str]:
        return {"uri": write_file("keyed"), "column": "2024"}

    KoreEraseUserDataOperator(task_id="one", user_ids=FileUserIds(write("one"), column="email"), **BOTS, **WAITS)

    keyed = write_keyed()
    source = FileUserIds(keyed["uri"], column=keyed["column"])
    KoreEraseUserDataOperator(task_id="keyed", user_ids=source, **BOTS, **WAITS)

    shared = FileUserIds(FOLDER.as_uri() + "/{{ task.task_id }}.csv", column="2024")
    for name in ("shared_1", "shared_2"):
        write(name) >> KoreEraseUserDataOperator(task_id=name, user_ids=shared, **BOTS, **WAITS)

    KoreEraseUserDataOperator.partial(task_id="expanded", **BOTS, **WAITS).expand(
        user_ids=[FileUserIds(write(name), "email") for name in ("expanded_1", "expanded_2")]
    )
    KoreEraseUserDataOperator.partial(
        task_id="partial", user_ids=FileUserIds(write("partial"), "email"), **WAITS
    ).expand(bot_ids=[["123"], ["456"]])
    KoreEraseUserDataOperator.partial(task_id="mapped", **BOTS, **WAITS).expand(
        user_ids=write_several(["mapped_1", "mapped_2"]).map(lambda uri: FileUserIds(uri, "email"))
    )
    KoreEraseUserDataOperator.partial(task_id="listed", **BOTS, **WAITS).expand(
        user_ids=task(task_id="find")(lambda: [["491701234567"], ["u-1"]])()
    )


kore_references()
