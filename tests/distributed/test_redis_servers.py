"""A budget in real servers of several kinds: with least rights, with TLS, as a cluster, full, or read-only."""

import datetime
import ipaddress
import shutil
import threading
import time

import pytest
import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from airflow_provider_kore.api.account import KoreAccount
from airflow_provider_kore.api.budget import Reason, Turn
from airflow_provider_kore.api.errors import Call
from airflow_provider_kore.api.redis_budget import RedisBudget
from airflow_provider_kore.api.redis_connection import RedisConnection
from airflow_provider_kore.exceptions import KoreConfigurationError
from demo.local_airflow import free_port
from demo.local_redis import LocalRedis
from tests.distributed.conftest import open_account

ACCOUNT = KoreAccount("https://a.example", "cs-secret-of-nobody", requests_per_minute=6, requests_per_hour=1800)
RIGHTS = (
    "resetchannels -@all +evalsha +script|load +info +time +hgetall +hset +zadd +zrem +zcard +zcount +zrank +zscore "
    "+zrange +zrangebyscore +zremrangebyscore +expire"
)
"""What the README names."""


@pytest.fixture
def server():
    with LocalRedis() as server:
        yield server


def budget_in(server, **fields):
    return RedisBudget(RedisConnection(server.host, server.port, **fields), ACCOUNT)


def make_call(budget):
    """Make a call, or return why not."""
    turn = Turn(Call.ERASE, time.monotonic())
    wait = budget.ask(turn)
    budget.leave(turn) if wait.seconds else budget.end(turn)
    return wait.reason


def test_the_rights_that_the_readme_names_are_enough_and_each_is_needed_but_info(server):
    keys = "~{kore-budget:*"
    server.client.execute_command("ACL", "SETUSER", "kore", "on", ">pw", keys, *RIGHTS.split())
    budget = budget_in(server, username="kore", password="pw")
    budget.check()
    open_account(server.client)
    assert make_call(budget) is None
    budget.close(0.1)
    budget.slow_polls()
    budget.seconds_until_turn(Call.STATUS)
    assert budget.show().used == (1, 1)
    assert budget._share is None
    for right in RIGHTS.split():
        if right.startswith("+") and right not in ("+script|load", "+zrange", "+zscore", "+zrank"):
            fewer = [other for other in RIGHTS.split() if other != right]
            server.client.execute_command("ACL", "SETUSER", "few", "reset", "on", ">pw", keys, *fewer)
            few = budget_in(server, username="few", password="pw")
            if right == "+info":
                few.check()
            else:
                with pytest.raises(KoreConfigurationError, match=r"NOPERM|cannot be used"):
                    few.check()


def test_a_cluster_keeps_the_budget_in_one_slot():
    with LocalRedis(**{"cluster-enabled": "yes", "cluster-port": str(free_port())}) as server:
        server.client.execute_command("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        deadline = time.monotonic() + 30
        while "cluster_state:ok" not in server.client.eval("return redis.call('CLUSTER', 'INFO')", 0):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        budget = budget_in(server, cluster=True)
        budget.check()
        open_account(server.client)
        assert [make_call(budget) for _ in range(7)] == [None] * 6 + [Reason.MINUTE]
        server.client.script_flush()
        assert make_call(budget) is Reason.MINUTE


def make_certificate(folder):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, *private))


def test_tls_is_used_and_verified(tmp_path):
    make_certificate(tmp_path)
    files = {"tls-cert-file": str(tmp_path / "certificate.pem"), "tls-key-file": str(tmp_path / "key.pem")}
    with LocalRedis(**files, **{"tls-auth-clients": "no", "tls-port": "0"}) as server:
        port = free_port()
        server.client.config_set("tls-port", str(port))
        trusted = RedisConnection("127.0.0.1", port, ssl=True, ssl_ca_certs=str(tmp_path / "certificate.pem"))
        RedisBudget(trusted, ACCOUNT).check()
        with pytest.raises(KoreConfigurationError, match="cannot be used"):
            RedisBudget(RedisConnection("127.0.0.1", port, ssl=True), ACCOUNT).check()
        RedisBudget(
            RedisConnection("127.0.0.1", port, ssl=True, ssl_cert_reqs="none", ssl_check_hostname=False), ACCOUNT
        ).check()


def follow(client):
    client.replicaof("127.0.0.1", "1")


def lead(client):
    client.replicaof("NO", "ONE")


def lock(client):
    client.config_set("requirepass", "changed")
    client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def unlock(client):
    client.config_set("requirepass", "")


@pytest.mark.parametrize(("spoil", "repair"), [(follow, lead), (lock, unlock)])
def test_nothing_fails_while_redis_is_read_only_or_locked(server, spoil, repair, caplog):
    budget = budget_in(server)
    budget.check()
    client = server.client
    open_account(client)
    assert make_call(budget) is None
    spoil(client)
    assert make_call(budget) is Reason.REDIS_AWAY
    assert "Nothing fails for that" in caplog.text
    repair(client)
    budget._retry_at = 0.0
    assert make_call(budget) is None


def test_a_lost_connection_and_lost_scripts_are_made_again_without_anybody_noticing(server, caplog):
    budget = budget_in(server)
    budget.check()
    open_account(server.client)
    server.client.script_flush()
    assert make_call(budget) is None
    assert not caplog.records


def test_redis_that_is_full_still_keeps_the_budget(server):
    budget = budget_in(server)
    budget.check()
    open_account(server.client)
    server.client.config_set("maxmemory", "1")
    assert [make_call(budget) for _ in range(7)] == [None] * 6 + [Reason.MINUTE]


def test_five_hundred_threads_at_once_share_one_connection(server):
    budget = budget_in(server)
    budget.check()
    open_account(server.client)
    made, errors = [], []

    def call():
        try:
            made.append(make_call(budget))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=call) for _ in range(500)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert made.count(None) == 6
    assert len(made) == 500
    clients = [client for client in server.client.client_list() if "evalsha" in client["cmd"]]
    assert len(clients) <= 1


def test_no_account_is_named_in_what_redis_stores(server):
    budget = budget_in(server)
    budget.ask(Turn(Call.ERASE, time.monotonic()))
    raw = redis.Redis(port=server.port)
    stored = b"".join(key + raw.dump(key) for key in raw.scan_iter())
    assert stored
    assert all(text not in stored for text in (b"cs-secret", b"a.example", b"https"))


@pytest.mark.skipif(not shutil.which("valkey-server"), reason="Debian 12 has no valkey-server")
def test_valkey_keeps_the_budget():
    with LocalRedis("valkey-server") as server:
        budget = budget_in(server)
        budget.check()
        open_account(server.client)
        assert [make_call(budget) for _ in range(7)] == [None] * 6 + [Reason.MINUTE]
