"""How benchmarks judge: by ratios, and each of them whatever another says."""

import sys

import pytest

from benchmarks import __main__ as benchmarks
from benchmarks.report import Report


@pytest.mark.parametrize(
    ("ratio", "quick", "status"),
    [(0.05, False, 0), (0.051, False, 1), (0.1, True, 0), (0.101, True, 1), (float("nan"), True, 1)],
)
def test_a_ratio_holds_up_to_its_limit_and_in_a_quick_run_up_to_twice_that(capsys, ratio, quick, status):
    report = Report(quick=quick)
    report.at_most("time, of the peer's", ratio, 0.05)

    assert report.end() == status
    assert f"time, of the peer's: {ratio:.3f}, at most 0.05" in capsys.readouterr().out


@pytest.mark.parametrize("quick", [True, False])
def test_what_is_no_measurement_has_no_margin(quick):
    report = Report(quick=quick)
    report.require("all are known", False)
    report.at_most("time", 0.0, 1.0)

    assert report.end() == 1


@pytest.mark.parametrize(
    ("programs", "status", "said"),
    [
        ({"one": "print('Holds: a')", "two": "print('Holds: b')"}, 0, ["one: Holds: a", "two: Holds: b"]),
        (
            {"one": "print('Does not hold: a'); exit(1)", "two": "print('Holds: b')"},
            1,
            ["one: Does not hold: a", "two: Holds: b"],
        ),
        (
            {"one": "print('Holds: a'); raise SystemError", "two": "print('Holds: b')"},
            1,
            ["one: Holds: a", "one: Does not hold: it ended with status 1", "two: Holds: b"],
        ),
    ],
)
def test_all_run_whatever_one_says_and_the_end_tells_of_each(monkeypatch, capsys, tmp_path, programs, status, said):
    (tmp_path / "benchmarks").mkdir()
    for name, program in programs.items():
        (tmp_path / "benchmarks" / f"{name}.py").write_text(program)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(benchmarks, "ALL", tuple(programs))
    monkeypatch.setattr(sys, "argv", ["benchmarks"])

    assert benchmarks.main() == status
    assert capsys.readouterr().out.partition("## Summary")[2].split("\n")[2:-1] == said
