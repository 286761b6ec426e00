"""What a receipt holds: the sums are right, nothing is unknown, and nothing is a fraction."""

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from making_receipts import CHECKS, HEAD, OUTCOMES, SMALL_HEAD, at, checked, day, receipt, receipts, request
from pydantic import BaseModel, ValidationError

from airflow_provider_kore.api.scope import ErasureScope
from airflow_provider_kore.exceptions import KoreReceiptError
from airflow_provider_kore.receipts import wording
from airflow_provider_kore.receipts.canonical import canonical_json
from airflow_provider_kore.receipts.documents import ListedReceipt, Manifest, Receipt
from airflow_provider_kore.receipts.parts import (
    BatchNumber,
    Counts,
    Deadline,
    Person,
    Request,
    Run,
    Scope,
)


def document(statement):
    return json.loads(statement.canonical())


def accepts(model, changed):
    try:
        model.model_validate_json(canonical_json(changed))
    except ValidationError:
        return False
    return True


def due(regime, received_on, due_on):
    return Deadline(regime=regime, received_on=received_on, due_on=due_on, ends_at=at("2026-12-31T00:00:00Z"))


def manifest(*signed, **fields):
    listed = [ListedReceipt.of(each, each.canonical()) for each in signed]
    defaults = {
        "receipts": listed,
        "vendor_reported": sum((each.vendor_reported for each in signed), Counts()),
        "does_not_cover": wording.DOES_NOT_COVER,
        "issued_at": 1,
    }
    return Manifest.of(HEAD, **(defaults | fields))


@given(receipts(), st.data())
def test_a_receipt_of_which_one_count_is_changed_does_not_add_up(valid, data):
    changed = document(valid)
    assert accepts(Receipt, changed)
    counters = [(changed, "user_count"), (changed["requests"][0], "user_count")]
    counters += [(changed[part], name) for part in ("outcome", "vendor_reported") for name in OUTCOMES]
    if changed["verification"]:
        counters += [(changed["verification"], name) for name in CHECKS]
    holder, name = data.draw(st.sampled_from(counters))
    holder[name] += data.draw(st.integers(-3, 3).filter(bool))
    assert not accepts(Receipt, changed)


@given(receipts().filter(lambda valid: valid.persons), st.data())
def test_a_receipt_of_which_one_person_is_changed_does_not_add_up(valid, data):
    changed = document(valid)
    position = data.draw(st.integers(0, len(changed["persons"]) - 1))
    person = changed["persons"][position]
    match data.draw(st.sampled_from(["outcome", "verification", "order", "name", "missing", "twice"])):
        case "outcome":
            person["outcome"] = data.draw(st.sampled_from(OUTCOMES).filter(lambda name: name != person["outcome"]))
        case "verification":
            others = st.sampled_from(CHECKS).filter(lambda name: name != person["verification"])
            person["verification"] = data.draw(others)
        case "order":
            assume(len(changed["persons"]) > 1)
            changed["persons"].reverse()
        case "name":
            assume(len(changed["persons"]) > 1)
            person["digest"] = changed["persons"][position - 1]["digest"]
        case "missing":
            del changed["persons"][position]
        case "twice":
            changed["persons"].insert(position, person)
    assert not accepts(Receipt, changed)


@given(st.lists(receipts(), min_size=2, max_size=4, unique_by=lambda valid: valid.requests[-1].request_id), st.data())
def test_a_manifest_of_which_one_count_is_changed_does_not_add_up(valid, data):
    changed = document(manifest(*valid))
    assert accepts(Manifest, changed)
    counters = [(changed, "user_count")]
    counters += [(changed[part], name) for part in ("outcome", "vendor_reported") for name in OUTCOMES]
    for listed in changed["receipts"]:
        counters += [(listed, "user_count"), *((listed["outcome"], name) for name in OUTCOMES)]
    holder, name = data.draw(st.sampled_from(counters))
    holder[name] += data.draw(st.integers(-3, 3).filter(bool))
    assert not accepts(Manifest, changed)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"outcome": Counts(erased=1, open=2)}, "outcome does not count the outcomes of the persons"),
        ({"outcome": Counts(erased=2)}, "outcome does not add up"),
        ({"vendor_reported": Counts(erased=4)}, "vendor_reported does not add up"),
        ({"vendor_reported": Counts(not_erased=3)}, "more are erased in outcome than in vendor_reported"),
        ({"requests": [request("eud-1", 2)]}, "not that of the first request"),
        ({"requests": [request("eud-1", 3), request("eud-2", 4)]}, "more users than the batch"),
        ({"requests": [request("eud-1", 3), request("eud-1", 1)]}, "named twice"),
        ({"requests": []}, "requests"),
        ({"persons": []}, "not as many persons"),
        ({"verification": checked(gone=2)}, "verification does not add up"),
        ({"verification": checked(gone=3)}, "verification does not count"),
        ({"persons": None, "verification": checked(gone=4)}, "verification does not add up"),
        ({"issued_at": -1}, "iat"),
        ({"issued_at": 10**12}, "iat"),
    ],
)
def test_a_receipt_that_does_not_add_up_cannot_be_made(fields, words):
    with pytest.raises(KoreReceiptError, match=words):
        receipt(**fields)


def test_a_person_who_was_checked_needs_a_verification():
    persons = [Person(digest=f"kd:{number:016x}", outcome="erased", verification="gone") for number in range(3)]
    counts = Counts(erased=3)
    with pytest.raises(KoreReceiptError, match="there is no verification"):
        receipt(persons=persons, outcome=counts, vendor_reported=counts)
    receipt(persons=persons, outcome=counts, vendor_reported=counts, verification=checked(gone=3))


def test_nobody_is_erased_whose_data_were_found():
    persons = [
        Person(digest=f"kd:{number:016x}", outcome=outcome, verification="found")
        for number, outcome in enumerate(["not_erased", "erased"])
    ]
    reported, verification = Counts(erased=2), checked(found=2)
    with pytest.raises(KoreReceiptError, match="erased whose data were found"):
        receipt(
            requests=[request("eud-1", 2)],
            user_count=2,
            persons=persons,
            outcome=Counts(erased=1, not_erased=1),
            vendor_reported=reported,
            verification=verification,
        )
    persons[1] = persons[1].model_copy(update={"outcome": "not_erased"})
    made = receipt(
        requests=[request("eud-1", 2)],
        user_count=2,
        persons=persons,
        outcome=Counts(not_erased=2),
        vendor_reported=reported,
        verification=verification,
    )
    assert (made.outcome.erased, made.vendor_reported.erased) == (0, 2)


def test_a_batch_may_have_been_submitted_again_for_those_who_were_left():
    made = receipt(requests=[request("eud-1", 3), request("eud-2", 2), request("eud/3:ä", 1)])
    assert made.file_name == "eud%2F3%3A%C3%A4.jws"


def test_persons_are_sorted_by_digest_in_whatever_order_they_come():
    persons = receipt().persons
    assert receipt(persons=reversed(persons)) == receipt()
    assert [person.digest for person in persons] == sorted(person.digest for person in persons)


@given(receipts())
def test_the_json_has_exactly_the_names_that_are_promised(valid):
    written = document(valid)
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


def models(model=BaseModel):
    for derived in model.__subclasses__():
        if derived.__module__.startswith("airflow_provider_kore.receipts"):
            yield derived
        yield from models(derived)


def test_no_model_has_room_for_a_fraction_or_for_what_it_does_not_know():
    found = {model.__name__: model for model in models()}
    assert {"Receipt", "Manifest", "Request", "Verification"} <= found.keys()
    for model in found.values():
        schema = json.dumps(model.model_json_schema())
        assert '"type": "number"' not in schema
        assert model.model_config["extra"] == "forbid"
        assert model.model_config["strict"]
        assert model.model_config["frozen"]


def test_manifests_hold_no_more_than_they_must():
    written = document(manifest(receipt("eud-1"), receipt("eud-2")))
    assert written["kind"] == "kore-erasure-manifest"
    assert written.keys() >= {"host", "scope", "run", "deadline", "receipts", "user_count", "outcome", "export"}
    assert written["receipts"][0].keys() == {"name", "sha256", "request_id", "user_count", "outcome"}
    assert "persons" not in written


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda listed: listed | {"name": "../eud-1.jws"}, "name is not that"),
        (lambda listed: listed | {"name": "eud-9.jws"}, "name is not that"),
        (lambda listed: listed | {"sha256": "AB" * 32}, "sha256"),
        (lambda listed: listed | {"sha256": "ab" * 32 + "\n"}, "sha256"),
    ],
)
def test_a_listed_receipt_is_beside_its_manifest_and_hashed(change, words):
    listed = ListedReceipt.of(receipt(), b"content").model_dump()
    ListedReceipt.model_validate_json(json.dumps(listed))
    with pytest.raises(ValidationError, match=words):
        ListedReceipt.model_validate_json(json.dumps(change(listed)))


def test_a_manifest_lists_each_request_once():
    with pytest.raises(KoreReceiptError, match="listed twice"):
        manifest(receipt(), receipt())


def test_the_manifest_of_a_task_has_the_same_name_in_each_try():
    def name(**run):
        head = HEAD.model_copy(update={"run": HEAD.run.model_copy(update=run)})
        return Manifest.of(
            head,
            receipts=[ListedReceipt.of(receipt(), b"")],
            vendor_reported=receipt().vendor_reported,
            does_not_cover=["x"],
        ).file_name

    assert name() == name(try_number=7)
    assert name().endswith(".manifest.jws")
    assert len({name(), name(dag_id="x"), name(run_id="x"), name(task_id="x"), name(map_index=0)}) == 5


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: Scope(bot_ids=("b", "a")), id="bots not sorted"),
        pytest.param(lambda: Scope(bot_ids=("a", "a")), id="a bot twice"),
        pytest.param(lambda: Scope(bot_ids=("",)), id="a blank bot"),
        pytest.param(lambda: Scope(bot_ids=("a",), all_bots=True), id="bots and all bots"),
        pytest.param(lambda: Scope(bot_ids=["a"]), id="a list, which could change"),
        pytest.param(lambda: Scope(all_bots=1), id="a number for a bool"),
        pytest.param(lambda: BatchNumber(number=0, of=1), id="batch 0"),
        pytest.param(lambda: BatchNumber(number=2, of=1), id="batch 2 of 1"),
        pytest.param(lambda: Counts(erased=-1), id="a negative count"),
        pytest.param(lambda: Counts(erased=1.0), id="a fraction"),
        pytest.param(lambda: Counts(erased=True), id="a bool for a count"),
        pytest.param(lambda: Counts(erased="1"), id="text for a count"),
        pytest.param(lambda: Counts(gone=1), id="an unknown name"),
        pytest.param(lambda: due("lgpd", day("2026-01-01"), day("2026-01-01")), id="regime"),
        pytest.param(lambda: due("gdpr", day("2026-01-02"), day("2026-01-01")), id="backwards"),
        pytest.param(lambda: due("gdpr", "2026-01-01", "2026-01-31"), id="text for a date"),
        pytest.param(lambda: Person(digest="someone@example.com", outcome="erased"), id="an id for a digest"),
        pytest.param(lambda: Person(digest="kd:0123456789abcdef\n", outcome="erased"), id="a line break"),
        pytest.param(lambda: Person(digest="kd:0123456789ABCDEF", outcome="erased"), id="capitals"),
        pytest.param(lambda: Person(digest="kd:0123456789abcdef", outcome="gone"), id="an unknown outcome"),
        pytest.param(lambda: Request(request_id="", user_count=1), id="no request id"),
        pytest.param(lambda: Request(request_id="a", user_count=0), id="a request of nobody"),
        pytest.param(lambda: Request(request_id="a\ud800", user_count=1), id="half a character"),
        pytest.param(lambda: Run(dag_id="", run_id="r", task_id="t", map_index=-1, try_number=1), id="no DAG"),
        pytest.param(lambda: Run(dag_id="d", run_id="r", task_id="t", map_index=-2, try_number=1), id="map index"),
    ],
)
def test_what_cannot_be_true_is_refused(make):
    with pytest.raises(ValidationError):
        make()


@pytest.mark.parametrize("text", ["2026-11-24T13:00:00", "2026-11-24", "2026-11-31T13:00:00Z", "soon", ""])
def test_a_time_without_a_zone_and_what_is_no_time_is_refused(text):
    with pytest.raises(ValidationError, match="submitted_at"):
        Request.model_validate_json(json.dumps({"request_id": "a", "user_count": 1, "submitted_at": text}))


def test_times_are_held_in_utc_and_to_the_second():
    made = Request(request_id="a", user_count=1, submitted_at=at("2026-11-24T01:02:03.999+02:00"))
    assert json.loads(made.model_dump_json())["submitted_at"] == "2026-11-23T23:02:03Z"


def test_a_scope_is_written_sorted():
    assert Scope.of(ErasureScope(("b", "a", "b"), all_bots=False)) == Scope(bot_ids=("a", "b"))
    assert Scope.of(ErasureScope((), all_bots=True)) == Scope(all_bots=True)


def test_no_error_of_making_shows_a_value():
    with pytest.raises(ValidationError) as caught:
        Person(digest="Xq7ZwK9@example.com", outcome="erased")
    assert "Xq7ZwK9" not in str(caught.value)


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


def test_by_when_an_outcome_was_known_is_told_by_the_latest_request_or_by_the_issue():
    assert receipt().settled_at == at("2026-09-20T10:00:00Z")
    assert receipt(requests=[request("eud-1", 3)]).settled_at == receipt().issued_at == at("2026-09-21T14:13:20Z")


@pytest.mark.parametrize(
    "place",
    [
        "recordings",
        "LLM usage",
        "feedback",
        "contacts",
        "human agents",
        "data tables",
        "backups",
        "other ids",
        "other systems",
    ],
)
def test_places_at_kore_that_no_call_verifies_are_named(place):
    assert any(place.lower() in sentence.lower() for sentence in wording.DOES_NOT_COVER)
