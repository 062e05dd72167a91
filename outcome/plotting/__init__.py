"""Figures for papers. Each function draws on the given Axes and returns them; nothing is saved.

In: data (`kaplan_meier`, `forest`, `calibration`, `auc_over_time`, `decision_curve`,
`attention_map`), or tables that `evaluation` has computed (`plot_*`). Out: matplotlib Axes. Needs
no torch.

Examples
--------
>>> import numpy as np
>>> from matplotlib.figure import Figure
>>> from outcome import plotting
>>> from sksurv.util import Surv
>>> y = Surv.from_arrays([True] * 20, np.arange(1.0, 21.0))
>>> plotting.kaplan_meier(y, ["high"] * 10 + ["low"] * 10, Figure().subplots(), unit="months")
<Axes: xlabel='Time (months)', ylabel='Probability of no event'>
"""

from outcome.plotting.calibration_plot import plot_calibration
from outcome.plotting.charts import (
    attention_map,
    auc_over_time,
    calibration,
    decision_curve,
    forest,
    kaplan_meier,
)
from outcome.plotting.decision_curve_plot import plot_decision_curve
from outcome.plotting.forest_plot import plot_forest
from outcome.plotting.kaplan_meier_plot import plot_incidence, plot_kaplan_meier
from outcome.plotting.learning_curves import plot_loss
from outcome.plotting.over_time import plot_auc_over_time, plot_folds
from outcome.plotting.roc_plot import plot_roc, plot_scores
from outcome.plotting.set_aside_plot import plot_set_aside
from outcome.plotting.treatment_plots import plot_effect_by_score, plot_treatment_curves

__all__ = [
    "attention_map",
    "auc_over_time",
    "calibration",
    "decision_curve",
    "forest",
    "kaplan_meier",
    "plot_auc_over_time",
    "plot_calibration",
    "plot_decision_curve",
    "plot_effect_by_score",
    "plot_folds",
    "plot_forest",
    "plot_incidence",
    "plot_kaplan_meier",
    "plot_loss",
    "plot_roc",
    "plot_scores",
    "plot_set_aside",
    "plot_treatment_curves",
]


def __dir__() -> list[str]:
    return list(__all__)
