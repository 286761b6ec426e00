"""What an erasure reports to the log, the page in Airflow's UI, assets and OpenLineage."""
