"""Logs finished runs with the clients of the trackers.

The destination is set in the way of these clients: MLFLOW_TRACKING_URI, WANDB_PROJECT,
WANDB_MODE=offline, ... MLflow and TensorBoard need no server.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from os import environ
from pathlib import Path
from time import time
from typing import Any

from outcome.errors import InputError
from outcome.tracking.record import RunRecord, read_record

__all__ = ["TRACKERS", "check_trackers", "log_run"]

AT_ONCE = 100
"""Maximum number of parameters or metrics per request of MLflow."""


def check_trackers(trackers: Sequence[str]) -> None:
    """Check that the clients are installed, before anything is computed.

    Raises
    ------
    InputError
        A name is unknown, or a client is missing.
    """
    if unknown := [name for name in trackers if name not in TRACKERS]:
        raise InputError(f"{', '.join(unknown)}: unknown tracker. To do: give {_or(TRACKERS)}")
    missing = [name for name in trackers if importlib.util.find_spec(name) is None]
    if missing:
        extras = ",".join(missing)
        raise InputError(
            f"{' and '.join(missing)}: not installed. To do: pip install 'slide-outcome[{extras}]'"
        )


def log_run(folder: str | Path, tracker: str) -> str:
    """Log a finished run: settings, learning curves, metrics with intervals, figures and the page.

    Predictions, ids and other data of single patients stay in the run folder. Every call makes a
    new run in the tracker.

    Parameters
    ----------
    folder : path
        The run folder.
    tracker : {"mlflow", "wandb", "tensorboard"}

    Returns
    -------
    str
        Location of the logged run.

    Raises
    ------
    RunFolderError
        The folder holds no finished run.
    InputError
        The client is not installed, or the tracker does not accept the run.
    """
    check_trackers([tracker])
    record = read_record(Path(folder))
    return TRACKERS[tracker](record)


def _to_mlflow(record: RunRecord) -> str:
    mlflow: Any = importlib.import_module("mlflow")
    try:
        return _through_mlflow(mlflow, record)
    except mlflow.exceptions.MlflowException as error:
        raise _refused("MLflow", record, error) from None


def _through_mlflow(mlflow: Any, record: RunRecord) -> str:
    # The client is used instead of `mlflow.start_run`, so that an active run of the user is not
    # changed.
    entities, client = mlflow.entities, mlflow.MlflowClient()
    name = environ.get("MLFLOW_EXPERIMENT_NAME", record.study)
    experiment = client.get_experiment_by_name(name)
    number = experiment.experiment_id if experiment else client.create_experiment(name)
    run = client.create_run(number, run_name=record.name, tags=_facts(record)).info.run_id
    now = int(time() * 1000)
    points = [(f"learning/{p.name}", p.value, p.epoch) for p in record.curves]
    points += [(key, value, 0) for key, value in record.metrics.items()]
    metrics = [entities.Metric(_mlflow_key(k), value, now, step) for k, value, step in points]
    params = [entities.Param(_mlflow_key(k), str(v)) for k, v in record.settings.items()]
    for part in _parts(params):
        client.log_batch(run, params=part)
    for part in _parts(metrics):
        client.log_batch(run, metrics=part)
    for figure in record.figures:
        client.log_artifact(run, str(figure), "figures")
    for path in (record.page, *record.files):
        client.log_artifact(run, str(path))
    client.set_terminated(run)
    return f"MLflow run {run} of experiment {name!r} in {mlflow.get_tracking_uri()}"


def _mlflow_key(name: str) -> str:
    """MLflow allows letters, digits and a few other characters."""
    return re.sub(r"[^\w .:/-]", "_", name.replace("+", " and "))


def _parts(rows: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(rows), AT_ONCE):
        yield rows[start : start + AT_ONCE]


def _to_wandb(record: RunRecord) -> str:
    wandb: Any = importlib.import_module("wandb")
    try:
        return _through_wandb(wandb, record)
    except wandb.Error as error:
        raise _refused("Weights & Biases", record, error) from None


def _through_wandb(wandb: Any, record: RunRecord) -> str:
    project = environ.get("WANDB_PROJECT", re.sub(r"[^\w.-]", "-", record.study))
    run = wandb.init(
        project=project,
        name=record.name,
        config=dict(record.settings),
        tags=["simulated"] if record.simulated else None,
    )
    run.define_metric("learning/*", step_metric="epoch")
    by_epoch: dict[int, dict[str, float]] = {}
    for point in record.curves:
        by_epoch.setdefault(point.epoch, {})[f"learning/{point.name}"] = point.value
    for epoch, values in sorted(by_epoch.items()):
        run.log({"epoch": epoch, **values})
    run.summary.update(record.metrics)
    shown = {f"figures/{path.stem}": wandb.Image(str(path)) for path in record.figures}
    run.log({**shown, "report": wandb.Html(record.page.read_text(encoding="utf-8"), inject=False)})
    # Read now, because they are not available after the end of the run.
    where = run.url or f"{run.dir}, offline"
    run.finish()
    return f"Weights & Biases run {run.id} of project {project!r} ({where})"


def _to_tensorboard(record: RunRecord) -> str:
    tensorboard: Any = importlib.import_module("torch.utils.tensorboard")
    stamp = f"{datetime.now():%Y%m%d-%H%M%S}"
    folder = record.page.parent / "tensorboard" / stamp
    with tensorboard.SummaryWriter(folder) as writer:
        rows = [f"| {key} | {value} |" for key, value in record.settings.items()]
        writer.add_text("settings", "\n".join(["| setting | value |", "|---|---|", *rows]))
        for point in record.curves:
            writer.add_scalar(f"learning/{point.name}", point.value, point.epoch)
        for key, value in record.metrics.items():
            writer.add_scalar(key, value, 0)
        for path in record.figures:
            writer.add_image(f"figures/{path.stem}", _pixels(path), dataformats="HWC")
        # TensorBoard does not show HTML.
        writer.add_text("report", f"The page of results is {record.page.name} in the run folder.")
    return f"TensorBoard files in {folder}"


def _pixels(path: Path) -> Any:
    import numpy as np
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _or(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}"


def _facts(record: RunRecord) -> dict[str, str]:
    return {"program": "slide-outcome", "simulated": str(record.simulated).lower()}


def _refused(name: str, record: RunRecord, error: Exception) -> InputError:
    return InputError(
        f"{name} did not accept the run: {error}. The results are in {record.page.parent}. To "
        "do: correct the settings of the client and run the study again; nothing is trained "
        "again"
    )


TRACKERS: dict[str, Callable[[RunRecord], str]] = {
    "mlflow": _to_mlflow,
    "wandb": _to_wandb,
    "tensorboard": _to_tensorboard,
}
