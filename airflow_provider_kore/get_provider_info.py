"""What Airflow registers about this provider, read without importing anything else of it."""


def get_provider_info() -> dict[str, object]:
    """Describe the provider to Airflow."""
    return {"package-name": "airflow-provider-kore", "name": "Kore.ai", "description": "Erase people from Kore.ai."}
