"""The output of a task, and what may be read of it elsewhere."""

from airflow_provider_kore.api.scope import ErasureScope

HOST = "https://kore.example.com"
BOTS = ErasureScope(("st-1", "st-2"), all_bots=False)
ALL_BOTS = ErasureScope((), all_bots=True)
USER = "Xq7ZwK9@example.com"
OUTPUT = {
    "requests": [{"request_id": "r-1", "user_count": 2}, {"request_id": "r-2", "user_count": 1}],
    "user_count": 3,
    "batch_count": 2,
    "erased": 2,
    "open": 0,
    "not_erased": 1,
    "not_erased_users": [{"batch": 2, "position": 1, "digest": "kd:1234"}],
}
COUNTS = {"request_count": 2, "user_count": 3, "batch_count": 2, "erased": 2, "open": 0, "not_erased": 1}
TARGET = {"host": HOST, "all_bots": False, "bot_ids": ["st-1", "st-2"]}
