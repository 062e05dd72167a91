"""Figures for papers: each function draws on the given Axes and returns it; nothing is saved.

In: numbers that `evaluation` and `statistics` have computed. Out: matplotlib Axes. Needs no torch.
"""

from outcome.plotting.calibration_plot import plot_calibration
from outcome.plotting.decision_curve_plot import plot_decision_curve
from outcome.plotting.forest import plot_forest
from outcome.plotting.kaplan_meier_plot import plot_incidence, plot_kaplan_meier
from outcome.plotting.learning_curves import plot_loss
from outcome.plotting.over_time import plot_auc_over_time, plot_folds
from outcome.plotting.roc_plot import plot_roc, plot_scores

__all__ = [
    "plot_auc_over_time",
    "plot_calibration",
    "plot_decision_curve",
    "plot_folds",
    "plot_forest",
    "plot_incidence",
    "plot_kaplan_meier",
    "plot_loss",
    "plot_roc",
    "plot_scores",
]
