"""Write down what the estimator makes of the rows of predictions.toml that have no hash yet.

    python scripts/predict.py

A row gets its `intervals` and its `sha256`; commit it before the measurement is looked up. Rows
that have a hash are left alone.
"""

from __future__ import annotations

import json
from pathlib import Path

from scmrl import __version__
from scmrl.deploy.validation import predictions as blind
from scmrl.system.reading import parse_toml

FILE = blind.FOLDER / "predictions.toml"
HEAD = "[[prediction]]\n"


def frozen(block: str) -> str:
    """The text of one row with what the estimator makes of it, and its hash."""
    row = parse_toml(HEAD + block, FILE)["prediction"][0]
    if "sha256" in row:
        return block
    row["estimator"] = f"scmrl {__version__}"
    fields = {key: tuple(v) if isinstance(v, list) else v for key, v in row.items()}
    row["intervals"] = {
        name: list(ends)
        for name, ends in blind.estimated(
            blind.Prediction(**fields, intervals={}, sha256="")
        ).items()
    }
    lines = [f"{json.dumps(name)} = {ends}" for name, ends in row["intervals"].items()]
    return (
        f'{block.rstrip()}\nestimator = "{row["estimator"]}"\nsha256 = "{blind.digest(row)}"\n'
        f"[prediction.intervals] # low, value, high\n" + "\n".join(lines) + "\n\n"
    )


def main() -> None:
    head, *blocks = FILE.read_text(encoding="utf-8").split(HEAD)
    text = head + "".join(HEAD + frozen(block) for block in blocks)
    Path(FILE).write_text(text.rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
