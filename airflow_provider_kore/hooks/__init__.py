"""Airflow connections to Kore.ai."""
