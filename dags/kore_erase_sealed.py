"""
Erase users whose ids were sealed in the browser, by the form "New erasure" of the page "Erasures".

The form starts a run that only previews, with an empty `approved_plan`. Then it starts a second run with the plan that
was previewed, which erases. The ids are sealed to `SEAL_KEY`: Airflow keeps a text that only a worker can open whose
connection has the private key. Put your own public key there, as `make-seal-key` prints it. The one below belongs to
nobody, so that what is sealed to it can never be read.

With `ASK = True` a second person approves each erasure under *Required Actions* before it begins.
"""

from __future__ import annotations

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param, chain, dag, task

from airflow_provider_kore.operators.erasure import KoreEraseUserDataOperator
from airflow_provider_kore.options import Deadline, Receipt

SEAL_KEY = {
    "kty": "EC",
    "crv": "P-256",
    "x": "hxXaBIOT9wDTKBAn2O_bHpQDipUU7nqYXJ6OxpVGmgI",
    "y": "q-WxiO5CE-qW0O33qk2OQoCWgrBty5AwQJhy2hlcEbM",
    "kid": "RY8d_5GSMlrwZVgqXgaDmu645lxsYjAjQ2nWbyEEh94",
}
RECEIPTS = "file:///data/erasure-receipts/{{ run_id }}"
ASK = False


@dag(
    schedule=None,
    catchup=False,
    render_template_as_native_obj=True,
    tags=["kore", "privacy"],
    doc_md=__doc__,
    params={
        "user_ids": Param(
            "",
            type="string",
            title="Sealed user ids",
            description="What the form or the command seal has made. Type no user id here: Airflow keeps it.",
            pattern="^(jwe:[A-Za-z0-9._-]+)?$",
            **{"x-kore-seal": SEAL_KEY},
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
        "approved_plan": Param(
            "",
            type="string",
            title="Approved plan",
            description="The fingerprint that a preview has shown. Empty: only preview.",
            pattern="^(kp:[0-9a-f]{32})?$",
        ),
    },
)
def kore_erase_sealed() -> None:
    """Preview, or erase what was previewed."""
    request = {
        "user_ids": "{{ params.user_ids }}",
        "bot_ids": "{{ params.bot_ids }}",
        "deadline": Deadline(received_at="{{ params.received_at }}", regime="{{ params.regime }}"),
    }

    @task.branch
    def preview_or_erase(params: dict[str, object]) -> str:
        """Erase only what was previewed."""
        if not params["approved_plan"]:
            return "preview"
        return "approve" if ASK else "erase"

    preview = KoreEraseUserDataOperator(task_id="preview", dry_run=True, **request)
    erase = KoreEraseUserDataOperator(
        task_id="erase",
        approved_plan="{{ params.approved_plan }}",
        receipt=Receipt(folder=RECEIPTS),
        deferrable=True,
        retries=2,
        **request,
    )
    choice = preview_or_erase()
    chain(choice, preview)
    if ASK:
        chain(choice, ApprovalOperator(task_id="approve", subject="Erase the users of this plan from Kore.ai?"), erase)
    else:
        chain(choice, erase)


kore_erase_sealed()
