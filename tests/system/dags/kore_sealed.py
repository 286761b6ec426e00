"""What the test of sealed user ids runs: each task gets the text by a way of its own."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import Param, dag, task

from airflow_provider_kore.operators.erasure import KoreEraseUserDataOperator
from airflow_provider_kore.operators.export import KoreExportUserDataOperator
from airflow_provider_kore.operators.verification import KoreVerifyErasureOperator

PUBLIC_KEY = {
    "kty": "EC",
    "crv": "P-256",
    "x": "Xdh-M0m63fODWPNL1a4XE5V-JLEOPDX2HRmCnCaKFjU",
    "y": "F5aPb-Flm4mXggCZIOt8nvML1A8-nSAUieUfQGo_DTY",
    "kid": "B7WcNs1sBMi_XzGwz4y9A8l5cif2QajRWHT47eD_7ZA",
}
"""Of a private key that the test derives from a number."""

TEXT, SINCE = "{{ params.user_ids }}", timedelta(days=31)
PARAMS = {
    "user_ids": Param("", type="string", pattern="^jwe:", **{"x-kore-seal": PUBLIC_KEY}),
    "bot_ids": Param([], type="array", items={"type": "string"}),
}
DEFAULT_ARGUMENTS = {"kore_conn_id": "sealed_kore", "bot_ids": "{{ params.bot_ids }}", "retries": 0}
WAITS = {"poll_interval": 1, "timeout": 120}


@dag(schedule=None, params=PARAMS, default_args=DEFAULT_ARGUMENTS, render_template_as_native_obj=True)
def kore_sealed():
    preview = KoreEraseUserDataOperator(task_id="preview", user_ids=TEXT, dry_run=True)
    erase = KoreEraseUserDataOperator(
        task_id="erase",
        user_ids=TEXT,
        approved_plan=preview.output,
        deferrable=True,
        verify={"people": "all", "since": SINCE},
        receipt={"folder": "{{ var.value.sealed_folder }}/receipts"},
        **WAITS,
    )
    KoreExportUserDataOperator(
        task_id="export",
        user_ids=TEXT,
        destination="{{ var.value.sealed_folder }}/{{ dag_run.conf.bot_ids | join }}",
        since=SINCE,
    )
    KoreVerifyErasureOperator(task_id="verify", user_ids=TEXT, since=SINCE).set_upstream(erase)

    @task
    def find_text(params):
        return [params["user_ids"]]

    KoreEraseUserDataOperator.partial(task_id="mapped", deferrable=True, **WAITS).expand(user_ids=find_text())

    @task.kore_erase(**WAITS)
    def decorated(params):
        return params["user_ids"]

    decorated()


kore_sealed()
