"""What a receipt says: the sums are right, and nothing is unknown or left out."""

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from making_receipts import CHECKS, HEAD, OUTCOMES, SMALL_HEAD, at, checked, receipt, receipts, request
from pydantic import ValidationError

from airflow_provider_kore.api.outcome import Outcome
from airflow_provider_kore.api.scope import ErasureScope
from airflow_provider_kore.exceptions import KoreReceiptError
from airflow_provider_kore.receipts import wording
from airflow_provider_kore.receipts.documents import ListedReceipt, Manifest, Receipt
from airflow_provider_kore.receipts.parts import BatchNumber, Counts, Head, Person, Request, Scope


def document(statement):
    return json.loads(statement.model_dump_json())


def accepts(model, changed):
    try:
        model.model_validate_json(json.dumps(changed))
    except ValidationError:
        return False
    return True


def manifest(*signed, head=HEAD):
    listed = [ListedReceipt.of(each, b"content") for each in signed]
    return Manifest.of(head, receipts=listed, does_not_cover=wording.DOES_NOT_COVER)


def objects(value):
    """Find each JSON object in a document."""
    if isinstance(value, dict):
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects(each)


SEVERAL = st.lists(receipts(), min_size=2, max_size=4, unique_by=lambda valid: valid.requests[-1].request_id)
STATEMENTS = receipts() | SEVERAL.map(lambda several: manifest(*several))


@given(STATEMENTS)
def test_a_statement_is_read_back_from_its_json(valid):
    assert type(valid).model_validate_json(valid.model_dump_json()) == valid


@given(STATEMENTS, st.data())
def test_a_statement_with_an_unknown_name_or_without_one_is_refused(valid, data):
    changed = document(valid)
    part = data.draw(st.sampled_from(list(objects(changed))))
    name = data.draw(st.sampled_from([*part, None]))
    if name is None:
        part["more"] = 1
    else:
        del part[name]
    assert not accepts(type(valid), changed)


@given(STATEMENTS, st.data())
def test_a_number_in_another_type_is_refused(valid, data):
    changed = document(valid)
    counters = [(part, name) for part in objects(changed) for name, value in part.items() if type(value) is int]
    counters.remove((changed, "schema"))  # a constant, and JSON's true equals 1
    part, name = data.draw(st.sampled_from(counters))
    part[name] = data.draw(st.sampled_from([str(part[name]), part[name] + 0.5, True, -2, None]))
    assert not accepts(type(valid), changed)


@given(receipts(), st.data())
def test_a_receipt_of_which_one_count_is_changed_does_not_add_up(valid, data):
    changed = document(valid)
    counters = [(changed, "user_count"), (changed["requests"][0], "user_count")]
    counters += [(changed[part], name) for part in ("outcome", "vendor_reported") for name in OUTCOMES]
    if changed["verification"]:
        counters += [(changed["verification"], name) for name in CHECKS]
    part, name = data.draw(st.sampled_from(counters))
    part[name] += data.draw(st.integers(-3, 3).filter(bool))
    assert not accepts(Receipt, changed)


@given(receipts().filter(lambda valid: valid.persons), st.data())
def test_a_receipt_of_which_one_person_is_changed_does_not_add_up(valid, data):
    changed = document(valid)
    position = data.draw(st.integers(0, len(changed["persons"]) - 1))
    person = changed["persons"][position]
    match data.draw(st.sampled_from(["outcome", "verification", "name", "missing", "twice"])):
        case "outcome":
            person["outcome"] = data.draw(st.sampled_from(OUTCOMES).filter(lambda name: name != person["outcome"]))
        case "verification":
            others = st.sampled_from(CHECKS).filter(lambda name: name != person["verification"])
            person["verification"] = data.draw(others)
        case "name":
            assume(len(changed["persons"]) > 1)
            person["digest"] = changed["persons"][position - 1]["digest"]
        case "missing":
            del changed["persons"][position]
        case "twice":
            changed["persons"].insert(position, person)
    assert not accepts(Receipt, changed)


@given(SEVERAL, st.data())
def test_a_manifest_of_which_one_count_is_changed_does_not_add_up(several, data):
    changed = document(manifest(*several))
    counters = [(changed, "user_count")]
    for part in (changed, *changed["receipts"]):
        counters += [(part[counts], name) for counts in ("outcome", "vendor_reported") for name in OUTCOMES]
    part, name = data.draw(st.sampled_from(counters))
    part[name] += data.draw(st.integers(-3, 3).filter(bool))
    assert not accepts(Manifest, changed)


def persons(*findings, outcome=Outcome.ERASED):
    return [
        Person(digest=f"kd:{number:016x}", outcome=outcome, verification=finding)
        for number, finding in enumerate(findings)
    ]


ALL = {"outcome": Counts(erased=3), "vendor_reported": Counts(erased=3)}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"outcome": Counts(erased=1, open=2)}, "outcome does not count the outcomes of the users"),
        ({"outcome": Counts(erased=2)}, "outcome does not add up"),
        ({"vendor_reported": Counts(erased=4)}, "vendor_reported does not add up"),
        ({"vendor_reported": Counts(not_erased=3)}, "more are erased in outcome than in vendor_reported"),
        ({"requests": [request("eud-1", 2)]}, "not that of the first request"),
        ({"requests": [request("eud-1", 3), request("eud-2", 4)]}, "more users than the batch"),
        ({"requests": [request("eud-1", 3), request("eud-1", 1)]}, "named twice"),
        ({"requests": []}, "requests"),
        ({"persons": []}, "outcome does not count"),
        ({"verification": checked(gone=2)}, "verification does not add up"),
        ({"verification": checked(gone=3)}, "verification does not count"),
        ({"persons": None, "verification": checked(gone=4)}, "verification does not add up"),
        (ALL | {"persons": persons("gone", "gone", "gone")}, "verification does not count"),
        (ALL | {"persons": persons("found", "gone", "gone"), "verification": checked(found=1, gone=2)}, "is erased"),
        (ALL | {"persons": persons("gone")[:1] * 3, "verification": checked(gone=3)}, "named twice"),
    ],
)
def test_a_receipt_that_does_not_add_up_cannot_be_made(fields, words):
    with pytest.raises(KoreReceiptError, match=words):
        receipt(**fields)


def test_who_was_found_is_reported_and_not_erased():
    found = persons("found", "found", "found", outcome=Outcome.NOT_ERASED)
    made = receipt(**ALL | {"outcome": Counts(not_erased=3), "persons": found, "verification": checked(found=3)})
    assert (made.outcome.erased, made.vendor_reported.erased) == (0, 3)


def test_a_batch_may_have_been_submitted_again_for_the_users_who_were_left():
    made = receipt(requests=[request("eud-1", 3), request("eud-2", 2), request("eud/3:ä", 1)])
    assert made.file_name == "eud%2F3%3A%C3%A4.jws"


def test_persons_are_sorted_by_digest_in_whatever_order_they_come():
    assert receipt(persons=reversed(receipt().persons)) == receipt()
    assert [person.digest for person in receipt().persons] == sorted(person.digest for person in receipt().persons)


def test_the_json_has_exactly_the_names_that_are_promised():
    written = document(receipt())
    assert written.keys() == {
        *("kind", "schema", "iss", "iat", "provider_version", "host", "client_id", "scope", "run", "requests", "batch"),
        *("received_at", "deadline", "approved_by", "plan_fingerprint", "user_count", "outcome", "vendor_reported"),
        *("persons", "verification", "export", "attests", "does_not_cover"),
    }
    assert (written["kind"], written["schema"], written["iss"]) == ("kore-erasure-receipt", 1, "airflow-provider-kore")
    assert written["run"].keys() == {"dag_id", "run_id", "task_id", "map_index", "try_number"}
    assert written["requests"][0].keys() == {
        *("request_id", "user_count", "submitted_at", "completed_at", "vendor_created_on", "vendor_updated_on"),
    }
    listing = document(manifest(receipt("eud-1"), receipt("eud-2")))
    assert listing.keys() == (written.keys() - {"requests", "batch", "persons", "verification"}) | {
        *("receipts", "never_submitted", "unclear"),
    }
    assert listing["receipts"][0].keys() == {
        *("name", "sha256", "request_id", "user_count", "outcome", "vendor_reported"),
    }


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "../eud-1.jws"}, "name is not that"),
        ({"name": "eud-9.jws"}, "name is not that"),
        ({"sha256": "AB" * 32}, "sha256"),
        ({"sha256": "ab" * 32 + "\n"}, "sha256"),
    ],
)
def test_a_listed_receipt_is_beside_its_manifest_and_hashed(change, words):
    with pytest.raises(ValidationError, match=words):
        ListedReceipt(**dict(ListedReceipt.of(receipt(), b"content")) | change)


def test_a_manifest_lists_each_request_once():
    with pytest.raises(KoreReceiptError, match="listed twice"):
        manifest(receipt(), receipt())


def test_the_manifest_of_a_task_has_the_same_name_in_each_attempt():
    def name(**run):
        return manifest(receipt(), head=HEAD.model_copy(update={"run": HEAD.run.model_copy(update=run)})).file_name

    assert name() == name(try_number=7)
    assert name().endswith(".manifest.jws")
    assert len({name(), name(dag_id="x"), name(run_id="x"), name(task_id="x"), name(map_index=0)}) == 5


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (Scope, {"bot_ids": ["a"], "all_bots": True}),
        (Scope, {"bot_ids": [""], "all_bots": False}),
        (Scope, {"bot_ids": [], "all_bots": 1}),
        (BatchNumber, {"number": 0, "of": 1}),
        (BatchNumber, {"number": 2, "of": 1}),
        (Person, {"digest": "someone@example.com", "outcome": "erased", "verification": "gone"}),
        (Person, {"digest": "kd:0123456789abcdef\n", "outcome": "erased", "verification": "gone"}),
        (Person, {"digest": "kd:0123456789ABCDEF", "outcome": "erased", "verification": "gone"}),
        (Person, {"digest": "kd:0123456789abcdef", "outcome": "gone", "verification": "gone"}),
    ],
)
def test_what_cannot_be_true_is_refused(model, fields):
    assert not accepts(model, fields)


@pytest.mark.parametrize("text", ["2026-11-24T13:00:00", "2026-11-24", "2026-11-31T13:00:00Z", "soon", "", 7])
def test_a_time_without_a_zone_and_what_is_no_time_is_refused(text):
    written = document(request("eud-1", 1))
    assert accepts(Request, written | {"submitted_at": "2026-11-24T13:00:00Z"})
    assert not accepts(Request, written | {"submitted_at": text})


def test_times_are_written_in_utc_and_to_the_second():
    made = request("eud-1", 1, submitted_at=at("2026-11-24T01:02:03.999+02:00"))
    assert document(made)["submitted_at"] == "2026-11-23T23:02:03Z"


def test_a_scope_is_written_sorted():
    assert Scope.of(ErasureScope(("b", "a", "b"), all_bots=False)) == Scope(bot_ids=("a", "b"))
    assert Scope.of(ErasureScope((), all_bots=True)) == Scope(all_bots=True)


def test_no_error_shows_a_value():
    with pytest.raises(ValidationError) as caught:
        Person(digest="Xq7ZwK9@example.com", outcome=Outcome.ERASED)
    assert "Xq7ZwK9" not in str(caught.value)
    with pytest.raises(KoreReceiptError) as refused:
        receipt(requests=[Request.model_construct(request_id="Xq7ZwK9", user_count="Xq7ZwK9")], user_count="Xq7ZwK9")
    assert "Xq7ZwK9" not in str(refused.value)


@pytest.mark.parametrize(
    ("fields", "gaps"),
    [
        ({"verification": checked(not_checked=3)}, []),
        ({}, [wording.NOT_VERIFIED]),
        ({"persons": None}, [wording.NOT_VERIFIED, wording.NOT_NAMED]),
        (
            {"head": SMALL_HEAD.model_copy(update={"scope": Scope()}), "persons": None},
            [wording.NOT_VERIFIED, wording.NOT_NAMED, wording.NO_SCOPE],
        ),
    ],
)
def test_a_receipt_says_what_it_does_not_cover(fields, gaps):
    made = receipt(**fields)
    assert made.does_not_cover == (*wording.DOES_NOT_COVER, *gaps)
    assert made.attests == wording.ATTESTS
    assert isinstance(made.head, Head)


def test_an_outcome_is_known_by_the_end_of_the_latest_request_or_by_the_issue():
    assert receipt().settled_at == at("2026-09-20T10:00:00Z")
    assert receipt(requests=[request("eud-1", 3)]).settled_at == receipt().issued_at == at("2026-09-21T14:13:20Z")


@pytest.mark.parametrize(
    "data",
    [
        *("recordings", "LLM usage", "feedback", "contacts", "human agents", "data tables", "backups", "other ids"),
        "other systems",
    ],
)
def test_data_at_kore_that_no_call_verifies_are_named(data):
    assert any(data.lower() in sentence.lower() for sentence in wording.DOES_NOT_COVER)
