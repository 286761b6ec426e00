"""Reports of an erasure: the log's table, the page in Airflow's UI, assets, OpenLineage and links."""
