"""A demonstration of the provider on a real Airflow, started on this machine and gone afterwards."""
