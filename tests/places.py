"""Where things lie: the checkout, its tests, and recordings that are not part of it."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests"
BENCHMARKS = ROOT / "benchmarks"
SHARED = Path(os.environ.get("SCMRL_DATA", ROOT.parent / "shared" / "data"))
