"""The findings add up at any moment, and no user is gone who was not verified."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from airflow_provider_kore.user_ids.user_refs import NAMED_IN_OUTPUT
from airflow_provider_kore.verification.findings import Finding
from tests.unit.verification.verifying import FINDINGS, findings_of, place, record, reread, start


class VerificationMachine(RuleBasedStateMachine):
    """Verify users in their order, in one process after the other."""

    @initialize(people=st.just("all") | st.integers(1, 15).map("sample:{}".format), user_count=st.integers(1, 12))
    def start(self, people, user_count):
        self.verification = start(people, user_count)
        wanted = user_count if people == "all" else min(int(people.partition(":")[2]), user_count)
        self.left = [number for number in range(user_count) if self.verification.includes(number)]
        assert len(self.left) == wanted
        self.expected = [Finding.NOT_CHECKED] * user_count
        for number in self.left:
            self.expected[number] = Finding.NOT_CHECKABLE

    @precondition(lambda self: self.left)
    @rule(finding=st.sampled_from(FINDINGS))
    def verify_next(self, finding):
        number = self.left.pop(0)
        record(self.verification, number, finding)
        self.expected[number] = finding

    @precondition(lambda self: self.left)
    @rule(answered=st.integers(1, 5), refused=st.sets(st.sampled_from(["lite", "span"])))
    def ask_about_next(self, answered, refused):
        self.verification.answered, self.verification.refused = answered, sorted(refused)

    @rule()
    def continue_in_another_process(self):
        self.verification = reread(self.verification)

    @invariant()
    def each_user_has_the_finding_that_was_recorded(self):
        assert findings_of(self.verification, len(self.expected)) == self.expected

    @invariant()
    def the_counts_are_those_of_the_users(self):
        counts = self.verification.counts(len(self.expected))
        assert counts == {finding.value: self.expected.count(finding) for finding in Finding}

    @invariant()
    def the_output_names_the_users_who_are_not_gone(self):
        output = self.verification.output(len(self.expected))
        positions = {Finding.FOUND: [], Finding.NOT_CHECKABLE: []}
        for number, finding in enumerate(self.expected):
            if finding in positions and number not in self.left:
                batch, position = place(number)
                positions[finding].append({"batch": batch, "position": position + 1})
        for finding, users in positions.items():
            assert output.get(f"{finding.value}_users", []) == users


TestVerification = VerificationMachine.TestCase
TestVerification.settings = settings(max_examples=50, stateful_step_count=30)


def test_the_output_names_a_limited_number_of_each_finding():
    verification = start("all", 2 * NAMED_IN_OUTPUT + 2)
    for number in range(2 * NAMED_IN_OUTPUT + 2):
        record(verification, number, Finding.FOUND if number > NAMED_IN_OUTPUT else Finding.NOT_CHECKABLE)
    output = verification.output(2 * NAMED_IN_OUTPUT + 2)
    assert output["found"] == output["not_checkable"] == NAMED_IN_OUTPUT + 1
    assert len(output["found_users"]) == len(output["not_checkable_users"]) == NAMED_IN_OUTPUT
    assert output["since"] == "2026-11-01T00:00:00Z"
