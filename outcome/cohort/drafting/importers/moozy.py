"""MOOZY: `task.csv` (`case_id, filename`, an outcome) and the `config.yaml` next to it.

`task_type: survival` has `event_col` and `time_col`, or `task_col` from which they are derived
(`<task>_event`, `<task>_days`); a classification has the column `label`. Times are days. Written
from MOOZY's source (commit ed80468).
"""

from __future__ import annotations

from typing import Any

from outcome.cohort.drafting.endpoint_section import binary_section
from outcome.cohort.drafting.importers.settings_files import read_settings
from outcome.cohort.drafting.importers.source import Imported, Source, file_stem, require_columns
from outcome.errors import CohortError
from outcome.tables.read_table import read_table

__all__ = ["import_moozy"]


def import_moozy(source: Source) -> Imported:
    """Read the files; see the module."""
    path = source.path / "task.csv" if source.path.is_dir() else source.path
    if not path.is_file():
        found = sorted(source.path.rglob("task.csv"))
        some = ", ".join(str(p.parent.relative_to(source.path)) for p in found[:5]) or "none"
        raise CohortError(
            f"{source.path} has no task.csv. To do: give the folder of one task: {some}"
        )
    table = read_table(path).with_plain_numbers().frame
    settings = read_settings(path.with_name("config.yaml"))
    require_columns(table, ["case_id", "filename"], path.name)
    kind = str(settings.get("task_type", "")).strip().lower()
    if kind == "survival":
        task = settings.get("task_col")
        event = str(settings.get("event_col") or f"{task}_event").strip()
        time = str(settings.get("time_col") or f"{task}_days").strip()
        require_columns(table, [event, time], path.name)
        unit = (source.columns or {}).get("unit", "days")
        endpoint: dict[str, Any] = {"kind": "survival", "time": time, "event": event, "unit": unit}
    elif kind == "classification":
        require_columns(table, ["label"], path.name)
        endpoint = binary_section(table, "label", source.positive)
    else:
        raise CohortError(
            f"config.yaml: task_type is {kind!r}, but survival or classification is needed"
        )
    table = table.assign(filename=table["filename"].map(file_stem))
    blank = table["case_id"].str.lower().isin(["", "nan"])
    table["case_id"] = table["case_id"].where(~blank, table["filename"])
    notes = [f"{int(blank.sum())} rows have no case id; the slide id is used instead"] * bool(
        blank.any()
    )
    return Imported(table, "case_id", "filename", endpoint, notes=notes)
