"""The command that tells which user of a source is "batch 3 position 17"."""

import io
import json
import logging
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kinds_of_ids import USUAL_IDS

from airflow_provider_kore.api.users import ChannelUserId
from airflow_provider_kore.exceptions import KoreInputError
from airflow_provider_kore.user_ids.__main__ import main
from airflow_provider_kore.user_ids.batches import UserBatches, find_user
from airflow_provider_kore.user_ids.user_refs import show_user_refs, user_ref

PAIR = '{"channel_id": "slack", "channel_user_id": "Ü1"}'


@pytest.fixture
def who(monkeypatch, capsys):
    """Run the command; gives its status and what it printed."""

    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "")  # which the command changes

    def who(*arguments, given=""):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given.encode())))
        try:
            status = main(["who", *arguments])
        except SystemExit as end:
            status = end.code
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return who


def at(batch, position, size=100):
    return "--batch", str(batch), "--position", str(position), "--batch-size", str(size)


@given(st.lists(USUAL_IDS, min_size=1, max_size=12), st.integers(1, 5))
def test_each_name_that_a_task_has_for_a_user_leads_to_the_user_whom_it_sent(user_ids, batch_size):
    repeated = user_ids + [each.upper() if isinstance(each, str) and "@" in each else each for each in user_ids]
    for planned, users in UserBatches(repeated, batch_size, 1000, b"key"):
        for index, user_id in enumerate(users):
            name = show_user_refs([user_ref(planned.number, index, user_id, "")], 1)
            _, batch, _, position = name.split()
            assert find_user(repeated, int(batch), int(position), batch_size) == user_id


FILES = {
    "users.txt": "a@x.org\nA@X.ORG\nb\nb\nc\n",
    "users.csv": "name,id\nA,a@x.org\nA,A@X.ORG\nB,b\nB,b\nC,c\n",
    "users.tsv": "name\tid\nA\ta@x.org\nA\tA@X.ORG\nB\tb\nB\tb\nC\tc\n",
    "users.jsonl": '{"id": "a@x.org"}\n{"id": "A@x.org"}\n{"id": "b"}\n{"id": "c"}\n',
    "users.json.gz": '[{"id": "a@x.org"}, {"id": "a@X.org"}, {"id": "b"}, {"id": "c"}]',
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(("size", "position"), [(2, (2, 1)), (1, (3, 1)), (100, (1, 3))])
def test_a_user_is_found_in_a_file_of_each_form_behind_duplicates(who, write, name, size, position):
    column = () if name == "users.txt" else ("--column", "id")
    assert who(write(name, FILES[name]), *column, *at(*position, size)) == (0, "c\n", "")


def test_a_file_may_be_a_path(who, tmp_path, monkeypatch):
    (tmp_path / "users.txt").write_text("a\nb\n")
    monkeypatch.chdir(tmp_path)
    assert who("users.txt", *at(1, 2)) == who(str(tmp_path / "users.txt"), *at(1, 2)) == (0, "b\n", "")


def test_a_channel_pair_is_printed_as_it_is_written_in_a_list(who, write):
    given = f"a\n{PAIR}\n{PAIR}\nz\n"
    status, printed, _ = who(*at(2, 1, 1), given=given)
    assert (status, json.loads(printed)) == (0, json.loads(PAIR))
    table = write("pairs.csv", "channel_id,channel_user_id\nslack,U0\nslack,U0\nslack,U1\nteams,U1\n")
    status, printed, _ = who(table, *at(1, 3))
    assert json.loads(printed) == {"channel_id": "teams", "channel_user_id": "U1"}
    assert find_user([ChannelUserId("a", "b"), ChannelUserId("b", "a")], 2, 1, 1) == ChannelUserId("b", "a")


def test_a_batch_has_100_users_unless_the_size_is_passed(who):
    given = "\n".join(f"u-{number}" for number in range(1, 251))
    assert who("--batch", "3", "--position", "17", given=given) == (0, "u-217\n", "")
    assert who("--batch", "3", "--position", "17", "--batch-size", "60", given=given) == (0, "u-137\n", "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (at(2, 2, 2), "Batch 2 has 1 users, and no position 2."),
        (at(3, 1, 2), "There is no batch 3: the users fill 2."),
        ((*at(1, 1), "--column", "id"), "Standard input has no columns."),
        (("no-such-file.txt", *at(1, 1)), "cannot be read"),
    ],
)
def test_there_is_no_answer_but_a_certain_one(who, arguments, words):
    status, printed, errors = who(*arguments, given="Xq7ZwK9\nXq7ZwK9\nb\nc\n")
    assert (status, printed) == (1, "")
    assert words in errors
    assert "Xq7ZwK9" not in errors


def test_a_list_that_the_task_would_refuse_is_refused_by_its_line(who):
    status, printed, errors = who(*at(1, 2), given="a\nXq7ZwK9,\nb\n")
    assert (status, printed) == (1, "")
    assert "line 2" in errors
    assert "Xq7ZwK9" not in errors
    with pytest.raises(KoreInputError, match="position 2"):
        find_user(["a", " "], 1, 1, 5)


@pytest.mark.parametrize("number", ["0", "-1", "1.5", "²", "x", ""])
def test_numbers_count_from_1(who, number):
    status, _, errors = who("--batch", number, "--position", "1", given="a\n")
    assert status == 2
    assert "--batch" in errors


def test_the_id_alone_is_on_standard_output_where_airflow_logs_to_it(who, monkeypatch, capsys):
    handler = logging.StreamHandler(sys.stdout)
    logger = logging.getLogger()
    monkeypatch.setattr(logger, "handlers", [*logger.handlers, handler])
    monkeypatch.setattr(logger, "level", logging.INFO)
    status, printed, errors = who(*at(2, 1, 1), given="a\nb\nb\n")
    assert (status, printed) == (0, "b\n")
    status, printed, errors = who(*at(3, 1, 1), given="a\nb\nb\n")
    assert (status, printed) == (1, "")
    assert "1 duplicates" in errors
