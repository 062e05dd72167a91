"""Runs logged to MLflow, Weights & Biases and TensorBoard, without a server, and read back."""

import json
import struct
import time

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from outcome.errors import InputError, RunFolderError
from outcome.tracking.record import CurvePoint, read_record
from outcome.tracking.trackers import log_run

# Clients warn of their own libraries.
pytestmark = pytest.mark.filterwarnings("ignore")
PATIENT = "TCGA-XX-0001"
METRICS = {
    "image/harrell_c": 0.61, "image/harrell_c_lower": 0.52, "image/harrell_c_upper": 0.7,
    "image+report/harrell_c": 0.66, "image+report/harrell_c_lower": 0.58,
    "image+report/harrell_c_upper": 0.74,
    "relapse/image/harrell_c": 0.55, "relapse/image/harrell_c_lower": 0.45,
    "relapse/image/harrell_c_upper": 0.65,
    "image+report minus image/harrell_c": 0.05,
    "image+report minus image/harrell_c_lower": -0.01,
    "image+report minus image/harrell_c_upper": 0.11,
    "image+report minus image/harrell_c_p": 0.1,
}  # fmt: skip


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A small run folder, with numbers that are easily recognised."""
    folder = tmp_path / "brca run"
    (folder / "figures").mkdir(parents=True)
    name = {"format": 1, "name": "BRCA, survival", "simulated": True}
    (folder / "manifest.json").write_text(json.dumps(name))
    study = {
        "name": name["name"], "split": {"folds": 5, "site": None},
        "arms": [{"name": "image"}, {"name": "image+report"}], "training": {"learning_rate": 0.005},
    }  # fmt: skip
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    rows = [
        ("", "image", 0.61, 0.52, 0.7), ("", "image+report", 0.66, 0.58, 0.74),
        ("relapse", "image", 0.55, 0.45, 0.65),
    ]  # fmt: skip
    metrics = pd.DataFrame(rows, columns=["endpoint", "arm", "estimate", "lower", "upper"])
    nothing = metrics.head(1).assign(metric="ibs", estimate=np.nan, lower=np.nan, upper=np.nan)
    metrics = pd.concat([metrics.assign(metric="harrell_c"), nothing])
    metrics.to_csv(folder / "metrics.csv", index=False)
    compared = {
        "endpoint": "", "arm": "image+report", "baseline": "image", "metric": "harrell_c",
        "difference": 0.05, "lower": -0.01, "upper": 0.11, "p_value": 0.1,
    }  # fmt: skip
    pd.DataFrame([compared]).to_csv(folder / "comparisons.csv", index=False)
    history = pd.DataFrame({"arm": "image", "model": "image attention", "fold": [0, 0, 1]})
    history = history.assign(epoch=[1, 2, 1], train_loss=[2.0, 1.5, 4.0], tune_concordance=0.5)
    history.to_csv(folder / "history.csv", index=False)
    pd.DataFrame({"patient_id": [PATIENT]}).to_csv(folder / "predictions.csv", index=False)
    (folder / "report.html").write_text("<html><body>SIMULATED</body></html>")
    Image.new("RGB", (6, 4), "red").save(folder / "figures" / "arms.png")
    monkeypatch.chdir(tmp_path)
    return folder


def test_what_is_logged(run):
    record = read_record(run)
    assert record.metrics == METRICS
    assert record.curves == [
        CurvePoint("image/train_loss", 1, 3.0), CurvePoint("image/tune_concordance", 1, 0.5),
        CurvePoint("image/train_loss", 2, 1.5), CurvePoint("image/tune_concordance", 2, 0.5),
    ]  # fmt: skip
    assert record.settings == {
        "name": "BRCA, survival", "split.folds": 5, "training.learning_rate": 0.005,
        "arms": '[{"name": "image"}, {"name": "image+report"}]',
    }  # fmt: skip
    assert "predictions.csv" not in [path.name for path in (record.page, *record.files)]


def test_mlflow(run, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert "MLflow run " in log_run(run, "mlflow")
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("BRCA, survival")
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.info.run_name == "brca run"
    assert found.info.status == "FINISHED"
    assert found.data.tags["simulated"] == "true"
    assert found.data.params["training.learning_rate"] == "0.005"
    learning = {k: v for k, v in found.data.metrics.items() if k.startswith("learning/")}
    assert set(learning) == {"learning/image/train_loss", "learning/image/tune_concordance"}
    rest = {k: v for k, v in found.data.metrics.items() if k not in learning}
    assert rest == {k.replace("+", " and "): v for k, v in METRICS.items()}
    curve = client.get_metric_history(found.info.run_id, "learning/image/train_loss")
    assert [(point.step, point.value) for point in curve] == [(1, 3.0), (2, 1.5)]
    files = {file.path for file in client.list_artifacts(found.info.run_id)}
    assert files == {"figures", "report.html", "study.yaml", "metrics.csv", "comparisons.csv"}
    figures = client.list_artifacts(found.info.run_id, "figures")
    assert [file.path for file in figures] == ["figures/arms.png"]


def test_tensorboard(run):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert "TensorBoard files in" in log_run(run, "tensorboard")
    (folder,) = (run / "tensorboard").iterdir()
    found = EventAccumulator(str(folder)).Reload()
    scalars = {tag: found.Scalars(tag) for tag in found.Tags()["scalars"]}
    curve = scalars.pop("learning/image/train_loss")
    assert [(point.step, point.value) for point in curve] == [(1, 3.0), (2, 1.5)]
    del scalars["learning/image/tune_concordance"]
    assert {k: p.value for k, (p,) in scalars.items()} == pytest.approx(METRICS, abs=1e-6)
    (figure,) = found.Images("figures/arms")
    assert (figure.width, figure.height) == (6, 4)
    (settings,) = found.Tensors("settings/text_summary")
    assert "| training.learning_rate | 0.005 |" in settings.tensor_proto.string_val[0].decode()


def log_records(data):
    """Records of a log in LevelDB's format, as Weights & Biases keeps offline runs.

    A header of 7 bytes; blocks of 32 KiB of fragments: checksum, length, and type (whole, first,
    middle, last).
    """
    at, whole = 7, b""
    while at + 7 <= len(data):
        if (left := -at % 32768) and left < 7:  # no fragment begins so late in a block
            at += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield whole
            whole = b""


def test_wandb_offline(run, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    from wandb.proto import wandb_internal_pb2

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    assert "of project 'BRCA--survival'" in log_run(run, "wandb")
    (file,) = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    for _ in range(100):  # written by a process of its own
        records = [wandb_internal_pb2.Record.FromString(r) for r in log_records(file.read_bytes())]
        if records and records[-1].HasField("exit"):
            break
        time.sleep(0.1)
    (begun,) = [r.run for r in records if r.run.run_id]
    config = {item.key: json.loads(item.value_json) for item in begun.config.update}
    assert config["training.learning_rate"] == 0.005
    assert begun.display_name == "brca run"
    rows = [
        {".".join(i.nested_key) or i.key: json.loads(i.value_json) for i in r.history.item}
        for r in records if r.history.item
    ]  # fmt: skip
    curve = [(r["epoch"], r["learning/image/train_loss"]) for r in rows if "epoch" in r]
    assert curve == [(1, 3.0), (2, 1.5)]
    summary = {
        ".".join(i.nested_key) or i.key: json.loads(i.value_json)
        for r in records for i in r.summary.update
    }  # fmt: skip
    assert {k: summary.get(k) for k in METRICS} == METRICS
    assert PATIENT.encode() not in file.read_bytes()


def test_a_client_that_is_missing_is_named_before_anything_is_done(small, outcome, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    done = outcome("run", small, "--log-to", "mlflow", "--log-to", "wandb")
    assert done.code == 2
    assert "pip install 'slide-outcome[mlflow,wandb]'" in done.err
    assert done.out == ""
    unknown = outcome("run", small, "--log-to", "mlfow")
    assert unknown.code == 2
    assert "mlfow: unknown tracker. To do: give mlflow, wandb or tensorboard" in unknown.err


def test_a_tracker_that_does_not_take_the_run(run, monkeypatch):
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://nowhere")
    with pytest.raises(InputError, match=r"MLflow did not accept the run.*The results are in"):
        log_run(run, "mlflow")


def test_a_folder_without_a_run(tmp_path):
    with pytest.raises(RunFolderError, match="manifest"):
        read_record(tmp_path)
