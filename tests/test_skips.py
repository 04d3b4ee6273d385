"""What CI makes of a skip."""

import pytest
import skips


@pytest.mark.parametrize(
    "reason, outcome", [("no harp", "failed"), ("no Triton", "skipped"), ("no Tritons", "failed")]
)
def test_only_what_is_listed_may_skip(reason, outcome):
    report = pytest.TestReport(
        "a", ("a.py", 1, "a"), {}, "skipped", ("a.py", 1, f"Skipped: {reason}"), "call"
    )
    skips.refuse(report)
    assert report.outcome == outcome
    assert outcome == "skipped" or f"skipped: {reason}\n" in report.longrepr


def test_what_is_expected_to_fail_is_no_skip():
    report = pytest.TestReport("a", ("a.py", 1, "a"), {}, "skipped", None, "call")
    report.wasxfail = "later"
    skips.refuse(report)
    assert report.outcome == "skipped"
