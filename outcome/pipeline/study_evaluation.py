"""The evaluation of a finished study, with data in files or in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from outcome.crossval.arm_fold import ArmFold
    from outcome.evaluation.crossfit_estimates import InnerModelTables
    from outcome.evaluation.evaluation import Evaluation
    from outcome.predictions import Predictions
    from outcome.study import Study
    from outcome.tables.treatment import TreatmentAssignment

__all__ = ["N_RESAMPLES", "evaluate_run", "inner_scores_table"]

N_RESAMPLES = 1000


def inner_scores_table(finished: Sequence[ArmFold]) -> pd.DataFrame:
    """Return the scores of test patients by every inner model: `inner_scores.csv`."""
    import pandas as pd

    return pd.concat([f.inner_scores for f in finished], ignore_index=True)


def evaluate_run(
    study: Study,
    predictions: Predictions,
    of_patients: Mapping[str, pd.DataFrame],
    inner: InnerModelTables,
    *,
    n_resamples: int = N_RESAMPLES,
) -> Evaluation:
    """Evaluate the predictions of a study with its settings.

    Parameters
    ----------
    study : Study
    predictions : Predictions
    of_patients : mapping of str to DataFrame
        See `outcome.dataset.patient_tables.patient_tables`.
    inner : InnerModelTables
        Scores of test patients by the inner models, for intervals with the variation from training.
    n_resamples : int
        Number of bootstrap resamples, and their seed.
    """
    from outcome.endpoint import describe
    from outcome.evaluation.evaluation import PatientTables, evaluate_study
    from outcome.evaluation.outcome_kinds import described_outcome

    return evaluate_study(
        predictions,
        described_outcome(describe(study.endpoint), predictions),
        study.secondary,
        patients=PatientTables(
            of_patients["covariates"],
            of_patients["acquisition"],
            study.covariates.numeric,
            [arm.name for arm in study.arms if arm.inputs == ("clinical",)],
            _assignment(study, of_patients.get("treatments")),
        ),
        baseline=study.baseline,
        contrasts=study.contrasts,
        inner=[inner],
        n_resamples=n_resamples,
        seed=study.split.seed,
    )


def _assignment(study: Study, table: pd.DataFrame | None) -> TreatmentAssignment | None:
    """Return the treatments of the patients, if the study declares them."""
    from outcome.tables.treatment import TreatmentAssignment

    declared = study.treatment
    if declared is None or table is None:
        return None
    return TreatmentAssignment(table, declared.column, declared.reference, declared.randomised)
