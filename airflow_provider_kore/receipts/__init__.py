"""Receipts: signed evidence of erasures, which is verified without Airflow."""
