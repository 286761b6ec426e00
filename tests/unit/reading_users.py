"""Read all users of what an operator was given, for tests of where they come from."""

from airflow_provider_kore.user_ids.batches import UserBatches


def read_user_ids(value, most):
    """Give the user ids, and how many duplicates were folded."""
    batches = UserBatches(value, 7, most)
    return [user_id for batch in batches for user_id in batch], batches.duplicates
