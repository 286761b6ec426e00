"""Erase users from Kore.ai from an Apache Airflow DAG."""
