"""The description of this provider that Airflow registers; it imports nothing else."""

from __future__ import annotations


def get_provider_info() -> dict[str, object]:
    """Describe the provider to Airflow: its connection form, modules and names."""
    return {
        "package-name": "airflow-provider-kore",
        "name": "Kore.ai",
        "description": "Erase users from Kore.ai: deferrable, durable, fail-closed.",
        "integrations": [
            {
                "integration-name": "Kore.ai",
                "external-doc-url": "https://airflow-provider-kore.readthedocs.io/en/stable",
                "tags": ["service"],
            }
        ],
        "hooks": [{"integration-name": "Kore.ai", "python-modules": ["airflow_provider_kore.hooks.kore"]}],
        "operators": [
            {
                "integration-name": "Kore.ai",
                "python-modules": [
                    "airflow_provider_kore.operators.erasure",
                    "airflow_provider_kore.operators.export",
                    "airflow_provider_kore.operators.recordings",
                    "airflow_provider_kore.operators.verification",
                ],
            }
        ],
        "sensors": [{"integration-name": "Kore.ai", "python-modules": ["airflow_provider_kore.sensors.erasure"]}],
        "triggers": [{"integration-name": "Kore.ai", "python-modules": ["airflow_provider_kore.triggers.erasure"]}],
        "task-decorators": [
            {"class-name": "airflow_provider_kore.decorators.erasure.kore_erase_task", "name": "kore_erase"}
        ],
        "cli": ["airflow_provider_kore.cli.airflow_group.get_commands"],  # Airflow 3.1 ignores it
        "extra-links": [
            "airflow_provider_kore.reporting.links.KoreErasuresLink",
            "airflow_provider_kore.reporting.links.KoreAdminConsoleLink",
        ],
        "connection-types": [
            {
                "connection-type": "kore",
                "hook-class-name": "airflow_provider_kore.hooks.kore.KoreHook",
                "hook-name": "Kore.ai",
                "ui-field-behaviour": {
                    "hidden-fields": ["schema", "port"],
                    "relabeling": {"host": "Base URL", "login": "Client ID", "password": "Client Secret"},
                    "placeholders": {
                        "host": "https://platform.kore.ai",
                        "login": "cs-…, of an app made in the Admin Console",
                    },
                },
                "conn-fields": _CONNECTION_FIELDS,
            }
        ],
    }


def _field(label: str, description: str, **schema: object) -> dict[str, object]:
    return {"label": label, "description": description, "schema": schema}


_CONNECTION_FIELDS: dict[str, dict[str, object]] = {
    "subject": _field(
        "Subject",
        "The claim sub of each token: who calls, as Kore.ai's audit log shows it. Default: airflow.",
        type=["string", "null"],
    ),
    "algorithm": _field(
        "Signing algorithm",
        "As chosen for the app in Kore.ai. HS256 and HS512 sign with the Client Secret, RS256 and RS512 with the "
        "private key. Default: HS256.",
        type=["string", "null"],
        enum=["HS256", "HS512", "RS256", "RS512"],
        default="HS256",
    ),
    "private_key": _field(
        "Private key",
        "For RS256 and RS512: the whole PEM text of an unencrypted RSA private key.",
        type=["string", "null"],
        format="password",
    ),
    # Without a default: Airflow treats any field called token as a secret, and would save "***" as its default.
    "token_ttl": _field(
        "Life of a token",
        "Seconds, at most 3600. Each call is signed anew, so short is good. Default: 300.",
        type=["integer", "null"],
        minimum=1,
        maximum=3600,
    ),
    "timeout": _field(
        "Timeout of a call",
        "Seconds of silence after which a call fails. Default: 30.",
        type=["number", "null"],
        minimum=1,
        maximum=3600,
        default=30,
    ),
    "ca_bundle": _field(
        "CA bundle",
        "File or folder of certificates to trust instead of the usual ones and those of SSL_CERT_FILE, on each worker "
        "and triggerer. TLS is always verified.",
        type=["string", "null"],
    ),
    "requests_per_minute": _field(
        "Requests a minute",
        "The account's calls in any minute; without a budget connection, this process's share of them. Kore.ai allows "
        "60, erase and status calls together. Default: 60.",
        type=["integer", "null"],
        minimum=1,
        default=60,
    ),
    "requests_per_hour": _field(
        "Requests an hour",
        "The account's calls in any hour; without a budget connection, this process's share of them. Kore.ai allows "
        "1,800. Default: 1800.",
        type=["integer", "null"],
        minimum=1,
        default=1800,
    ),
    "budget_conn_id": _field(
        "Budget connection",
        "Id of an Airflow connection of type redis (Redis or Valkey). All workers and triggerers then share one budget "
        "of calls. Needs airflow-provider-kore[redis]. Default: each process counts for itself.",
        type=["string", "null"],
    ),
    "allow_all_bots": _field(
        "Allow all bots",
        "Guard: whether a task may erase users from, or export, all bots of the organisation at once. Default: no.",
        type=["boolean", "null"],
        default=False,
    ),
    "allowed_bot_ids": _field(
        "Allowed bots",
        "Guard: the only bots that tasks may erase users from, or export, with commas between, or as a JSON list. "
        "Empty: any.",
        type=["string", "null"],
    ),
    "max_users": _field(
        "Most users",
        "Guard: the most users that one task may erase or export. Default: 10000.",
        type=["integer", "null"],
        minimum=1,
        default=10000,
    ),
    "digest_key": _field(
        "Digest key",
        "A secret that names users by digests which only its owner can match: in logs, and in exports and receipts, "
        "which both need it. A space or line break at its ends is refused. By it a retry knows that its users are the "
        "same, so do not change it while a task has not ended. Default: no digests.",
        type=["string", "null"],
        format="password",
    ),
    "receipt_key": _field(
        "Receipt key",
        "Signs receipts: the whole PEM text of an unencrypted private key, Ed25519, RSA or EC P-256. Its public key "
        "verifies them. Default: no receipts.",
        type=["string", "null"],
        format="password",
    ),
    "receipt_key_variable": _field(
        "Variable of the receipt key",
        "Instead of the receipt key: the name of the Airflow Variable that stores it. A secrets backend may store the "
        "Variable.",
        type=["string", "null"],
    ),
    "api_profile": _field(
        "API profile",
        "Where your Kore.ai differs from what is guessed about it, as a JSON object, such as "
        '{"erased_words": ["deleted"]}. Keys that are not known are refused.',
        type=["object", "null"],
    ),
    "seal_key": _field(
        "Seal key",
        "Opens sealed user ids: one or more unencrypted EC private keys on P-256, in PEM form one after the other, or "
        "as a JWK set. Several, so that a key can be replaced. Default: no sealed user ids.",
        type=["string", "null"],
        format="password",
    ),
    "seal_key_variable": _field(
        "Variable of the seal key",
        "Instead of the seal key: the name of the Airflow Variable that stores it. A secrets backend may store the "
        "Variable.",
        type=["string", "null"],
    ),
}
