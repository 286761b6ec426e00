"""Erase people from Kore.ai from an Apache Airflow DAG."""
