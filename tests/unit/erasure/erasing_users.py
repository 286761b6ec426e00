"""A ledger, its users, and a Kore.ai that is played, for tests of the parts of a run."""

from contextlib import contextmanager
from dataclasses import dataclass, field

from playing_kore import Clock, pacing, play

from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.api.scope import ErasureScope
from airflow_provider_kore.erasure.ledger import ErasureLedger
from airflow_provider_kore.erasure.opening import open_ledger
from airflow_provider_kore.erasure.plan_identity import identify_plan
from airflow_provider_kore.erasure.record import BatchRecord
from airflow_provider_kore.erasure.store import RecordStore
from airflow_provider_kore.user_ids.batches import UserBatches

ACCOUNT = KoreAccount("https://platform.kore.ai", "cs-1", client_secret="secret")
KEY = ACCOUNT.fingerprint_key()
SCOPE = ErasureScope(("st-1",), all_bots=False)
USERS = ["a@x.org", "b@x.org", "crm-3", "u-4", "e@x.org"]


@dataclass
class Client:
    """A client whose exchanges are played."""

    reply: object
    clock: Clock = field(default_factory=Clock)
    per_minute: int = 1_000_000
    requests: list = field(default_factory=list)

    def __post_init__(self):
        self.pacing = pacing(self.clock, self.per_minute)

    def run(self, conversation, record=lambda _: None):
        def reply(request):
            self.requests.append(request)
            return self.reply(request)

        result = play(conversation, reply, self.clock).result
        record(result)
        return result


@dataclass
class Hook:
    """A hook that lends one client."""

    client: Client
    account: KoreAccount = ACCOUNT

    @contextmanager
    def get_conn(self):
        yield self.client


def ledger_of(users=USERS, batch_size=2, store=None):
    """A ledger of these users, of which nothing was sent, and the users."""
    batches = UserBatches(users, batch_size, 1000, KEY)
    records = [BatchRecord.of(batch) for batch in batches.plan()]
    identity = identify_plan(ACCOUNT, SCOPE, user_count=len(users), batch_size=batch_size)
    kept = RecordStore(store)
    ledger = open_ledger(kept, identity, records, ErasureLedger.load(kept))
    ledger.note()
    return ledger, batches


def accept(ledger, number, users, request_id):
    """Record that Kore.ai accepted a batch."""
    record = ledger.records[number - 1]
    return ledger.write_accepted(ledger.write_intent(record, record.users_to_send(users), KEY), request_id)
