"""The commands of this provider: ``airflow kore`` and ``python -m airflow_provider_kore``."""
