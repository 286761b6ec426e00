"""Files in any storage that Airflow reaches."""
