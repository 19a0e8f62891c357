"""The rows of docs/compatibility.md, and whether the cases show exactly those."""

import re
from pathlib import Path
from typing import NamedTuple

DOCUMENT = Path(__file__).resolve().parent.parent.parent / "docs" / "compatibility.md"
ID_CELL = re.compile(r"^`([a-z0-9-]+)`( †)?$")


class Deviation(NamedTuple):
    name: str
    text: str
    unseen: bool  # no HTTP client can see it
    line: int


def cells_of(line):
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def documented(text):
    """(rows, problems) of the tables of the document."""
    rows, problems = {}, []
    in_table = False
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith("|"):
            in_table = False
            continue
        if not in_table:
            in_table = True  # the head of a table
            continue
        if set(line) <= set("|-: "):
            continue
        cells = cells_of(line)
        found = ID_CELL.match(cells[0])
        if not found:
            problems.append(
                f"docs/compatibility.md:{number}: the row {cells[0]!r} has no id: write one into its first cell, such as "
                "`hot-timeout`, with a dagger behind it (`hot-timeout` †) when no HTTP client can see the difference"
            )
        elif found.group(1) in rows:
            problems.append(f"docs/compatibility.md:{number}: the id {found.group(1)} is there a second time")
        else:
            rows[found.group(1)] = Deviation(found.group(1), cells[1], bool(found.group(2)), number)
    return rows, problems


def compare(cases):
    """Problems as text: what is documented and not shown by a case, and the other way round."""
    rows, problems = documented(DOCUMENT.read_text())
    shown = {}
    for case in cases:
        for name in case.deviations:
            shown.setdefault(name, case.name)
    for name, row in rows.items():
        if row.unseen and name in shown:
            problems.append(f"docs/compatibility.md:{row.line}: {name} is marked † and yet shown by {shown[name]}: remove the †")
        if not row.unseen and name not in shown:
            problems.append(
                f"docs/compatibility.md:{row.line}: no case shows {name} ({row.text}): add one to tests/conformance with "
                f'deviation="{name}" and both answers (tests/conformance/README.md), or put a † behind the id when no HTTP '
                "client can see the difference"
            )
    for name in sorted(set(shown) - set(rows)):
        problems.append(
            f"{shown[name]} shows the deviation {name}, and docs/compatibility.md has no row with that id: add the row, or, "
            "when ferrite does as the original does, remove the deviation from the case"
        )
    return problems


def listing(cases):
    """The lines that are printed at the end of a run."""
    rows, _ = documented(DOCUMENT.read_text())
    counts = {}
    for case in cases:
        for name in case.deviations:
            counts[name] = counts.get(name, 0) + 1
    for name, row in rows.items():
        cases_text = "integration tests" if row.unseen else f"{counts.get(name, 0)} cases"
        yield f"  {name:22} {cases_text:18} {row.text}"
