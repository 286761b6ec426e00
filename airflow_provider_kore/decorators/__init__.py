"""The TaskFlow decorator, as the author of a DAG sees it."""
