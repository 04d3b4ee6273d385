"""Which tests may skip in CI: a pattern of the reason -> why it may.

.ci/run installs the Debian packages of .ci/packages and sets SCMRL_CI; there any other skip is a
failure that names the test and its reason. Elsewhere what is missing skips.
"""

from __future__ import annotations

import re

import pytest

ALLOWED = {
    "no Triton": "no Triton comes with the CPU's build of torch; on a GPU the test runs",
}


def refuse(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Make a failure of a skip whose reason is not allowed."""
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if not any(re.fullmatch(pattern, reason) for pattern in ALLOWED):
            report.outcome = "failed"
            report.longrepr = (
                f"skipped: {reason}\nIn CI that is a failure: install what it needs (a Debian "
                "package in .ci/packages, a library in pyproject.toml), or say in tests/skips.py "
                "why it may skip."
            )
