"""The settings that a user may write stay what they are: names, defaults and ranges.

    python tests/train/test_settings_kept.py      where a change is meant

writes `settings.json` anew; what it changes there belongs in the changelog.
"""

import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs torch")

from scmrl.train.config import listed

KEPT = Path(__file__).with_name("settings.json")


def settings() -> dict[str, list]:
    """Name: default, range in words, and whether the ends of it are said."""
    return {
        name: [default, setting.range, setting.low, setting.high, setting.above]
        for name, default, setting in listed()
    }


def test_settings_stay_what_they_are():
    found = json.loads(json.dumps(settings()))
    assert found == json.loads(KEPT.read_text(encoding="utf-8"))


if __name__ == "__main__":
    rows = (f"{json.dumps(name)}: {json.dumps(row)}" for name, row in settings().items())
    KEPT.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")
