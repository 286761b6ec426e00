"""What an erasure does not reach, as far as the sandbox has it: logs of LLM usage and the audit log."""

import json

import pytest

LLM = "/api/1.1/public/bot/st-1/getLLMUsageLogs"
BODY = {"dateFrom": "2026-11-01", "dateTo": "2026-11-28", "limit": "1", "skip": "0"}
QUERY = "size=1&offset=0&fromDate=2026-11-01&toDate=2026-11-28"


def audit_log(caller, query=QUERY):
    return caller.call("GET", "/api/public/auditlogs", {"auth": caller.token()}, query=query)


@pytest.mark.parametrize(("logs", "status", "entries"), [("some", 200, 1), ("none", 200, 0), ("no-scope", 403, None)])
def test_logs_are_answered_as_the_settings_say(caller, logs, status, entries):
    caller = caller(llm_logs=logs, audit_log=logs)
    llm, audit = caller.send("POST", LLM, BODY), audit_log(caller)
    assert (llm.status, audit.status) == (status, status)
    if entries is not None:
        document = json.loads(audit.body)
        assert (len(json.loads(llm.body)), len(document["auditlogs"]), document["total"]) == (entries,) * 3


def test_a_kore_without_these_calls_says_404(caller):
    caller = caller(llm_logs="absent", audit_log="absent")
    assert (caller.send("POST", LLM, BODY).status, audit_log(caller).status) == (404, 404)


@pytest.mark.parametrize("changes", [{"dateFrom": "yesterday"}, {"limit": 1}, {"limit": "0"}, {"userId": "u-1"}])
def test_a_body_that_is_not_documented_is_refused(caller, changes):
    assert caller().send("POST", LLM, BODY | changes).status == 400


@pytest.mark.parametrize("query", ["", "size=1", f"{QUERY}&size=2", f"{QUERY}&surprise="])
def test_a_query_that_is_not_documented_is_refused(caller, query):
    assert audit_log(caller(), query).status == 400
