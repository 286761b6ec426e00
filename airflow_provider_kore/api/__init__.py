"""Kore.ai's HTTP contract, without Airflow."""
