"""The page "Erasures" in Airflow's UI: static files, which the browser fills from Airflow's public API."""

PAGE_ROUTE = "kore-erasures"
"""The page's path below Airflow's address, and below ``/plugin/`` where Airflow frames it."""
