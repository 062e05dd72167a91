"""Reporting checklists: their items, and the items that a run can answer."""

from outcome.reporting.checklists.items import Checklist, Item
from outcome.reporting.checklists.probast import PROBAST
from outcome.reporting.checklists.remark import REMARK
from outcome.reporting.checklists.tripod import TRIPOD

__all__ = ["CHECKLISTS", "Checklist", "Item"]

CHECKLISTS = (TRIPOD, REMARK, PROBAST)
