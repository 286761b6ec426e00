"""Read all users of what an operator has as ``user_ids``, for tests of where they come from."""

from airflow_provider_kore.user_ids.argument import wrap_inline_ids
from airflow_provider_kore.user_ids.batches import UserBatches


def read_user_ids(value, most):
    batches = UserBatches(wrap_inline_ids(value), 7, most, b"key")
    return [user_id for _, batch in batches for user_id in batch]
