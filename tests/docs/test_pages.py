"""Commands, code and study files of README and pages are executed; links lead somewhere."""

import json
import re
import shlex
import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml

import outcome as package
from outcome import Study
from outcome.cli import app
from outcome.simulation.simulate import Simulation, simulate

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCS = ROOT / "notebooks"
# In the order of a reader: later commands use what earlier ones have written.
EXECUTED = [
    README,
    *(
        DOCS / f"{name}.md"
        for name in (
            "get_started/installation",
            "get_started/first_steps",
            "how_to/own_cohort",
            "how_to/compare_arms",
            "how_to/plan_a_study",
            "how_to/report_texts",
            "how_to/slide_embeddings",
            "how_to/published_folds",
            "how_to/evaluate_predictions",
            "how_to/external_validation",
            "how_to/attention_maps",
            "how_to/share_a_report",
            "how_to/several_machines",
            "faq",
            "file_formats",
        )
    ),
]
WITH_PYTHON = [
    README,
    *(DOCS / f"how_to/{n}.md" for n in ("python", "external_validation", "add_an_aggregator")),
]
WRITTEN_AT_BUILD = {"notebooks/reference/commands.md"}
PAGES = [
    *ROOT.glob("*.md"),
    *ROOT.glob("cohorts/**/*.md"),
    *(p for p in DOCS.glob("**/*.md") if not {"_build", "generated"} & set(p.parts)),
]

# What is shortened so that the commands take seconds; everything else runs as it is printed.
SHORTER = {
    "simulate OUT": "simulate OUT --patients 20 --patches 5 --dimension 16",
    " --permute-inputs report --permutations 199": "",
    # The same run again, with options that other tests cover.
    " --permutations 199": "",
    " --strict": "",
    " --jobs 16": "",
    "power study.yaml": "power study.yaml --simulations 10 --sizes 60",
    "--patches 40 --dimension 64": "--patches 6 --dimension 16",
    "split.repeats=5": "split.repeats=2",
    "training.epochs=5 --set split.folds=3": "training.epochs=1 --set split.folds=2",
    "--jobs 16": "--jobs 2",
    # A study file is there already, and is not overwritten.
    "init clinic.xlsx trident_job/": "init clinic.xlsx trident_job/ --out drafted.yaml",
}
# Not executed here: `demo` is by .ci/run on a clean machine; `embed-reports` needs MUSK itself, and
# is tested with a stand-in; a cluster has tests of its own.
ELSEWHERE = {"demo", "embed-reports", "--cluster"}
SLIDE = "TCGA-AB-1234-01Z"
QUICK = {
    "split": {"folds": 2, "inner_folds": 2},
    "training": {"epochs": 2, "components": 4},
    "report": {"attention": 0},
}


@pytest.fixture
def sandbox(tmp_path, monkeypatch, blocks_of):
    """The files that the pages assume, and the study file of the README with fewer folds."""
    write_cohort(tmp_path, "cohort.csv")
    write_cohort(tmp_path / "there", "external.csv", seed=1)
    external = pd.read_csv(tmp_path / "there" / "external.csv", dtype=str)
    external.to_csv(tmp_path / "external.csv", index=False)
    shutil.copy(tmp_path / "cohort.csv", tmp_path / "new.csv")
    data = yaml.safe_load(blocks_of(README, "yaml")[0])
    for section, settings in QUICK.items():
        data[section] = {**data.get(section, {}), **settings}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(data))
    data |= {
        "name": "external",
        "cohort": "external.csv",
        "embeddings": {"patches": "there/features_musk", "reports": "there/reports.h5"},
    }
    (tmp_path / "external.yaml").write_text(yaml.safe_dump(data))
    write_predictions(tmp_path)
    write_others(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_cohort(folder, name, seed=0):
    """A simulated cohort with the names of the README."""
    settings = Simulation(patients=40, patches=8, dimension=16, informative=0.4, seed=seed)
    simulate(folder / "made", settings)
    table = pd.read_csv(folder / "made" / "cohort.csv", dtype=str)
    table["os_months"] = (table["os_days"].astype(float) / 30.44).round(2)
    # Patients of another hospital are other patients.
    table["case_id"] = table["patient_id"].str.replace("SIM", f"CASE{seed}")
    table["slide_id"] = table["slide_id"].str.replace("SIM", f"CASE{seed}")
    if seed == 0:
        table.loc[0, "slide_id"] = SLIDE
    table.drop(columns=["os_days", "patient_id"]).to_csv(folder / name, index=False)
    (folder / "features_musk").mkdir()
    sources = pd.read_csv(folder / "made" / "cohort.csv", dtype=str)["slide_id"]
    found = {p.stem: p for p in (folder / "made").rglob("SIM-*.h5")}
    for old, new in zip(sources, table["slide_id"], strict=True):
        found[old].rename(folder / "features_musk" / f"{new}.h5")
    there = folder / "reports.h5"
    with h5py.File(folder / "made" / "reports.h5") as old, h5py.File(there, "w") as new:
        new.attrs.update(old.attrs)
        for patient in old:
            new[patient.replace("SIM", f"CASE{seed}")] = old[patient][()]


def write_others(folder):
    """A clinical table with a folder of features, and a cohort in another tool's files."""
    table = pd.read_csv(folder / "cohort.csv")
    clinic = table[["case_id", "slide_id", "age", "os_months", "os_event"]]
    clinic.to_excel(folder / "clinic.xlsx", index=False)
    for name in ("trident_job", "features"):
        shutil.copytree(folder / "features_musk", folder / name)
    theirs = folder / "MCAT" / "dataset_csv"
    theirs.mkdir(parents=True)
    table = table.rename(columns={"os_months": "survival_months"})
    table["censorship"] = 1 - table["os_event"]
    columns = ["case_id", "slide_id", "age", "site", "survival_months", "censorship"]
    table[columns].to_csv(theirs / "tcga_brca_all_clean.csv")
    nnmil = folder / "Dataset002_tcga_brca"
    nnmil.mkdir()
    names = {"case_id": "patient_id", "survival_months": "time", "os_event": "event"}
    table.rename(columns=names).to_csv(nnmil / "dataset.csv", index=False)
    about = {"task_type": "survival", "labels": {"time_unit": "months"}}
    (nnmil / "dataset.json").write_text(json.dumps(about))
    cdr = table[["case_id"]].drop_duplicates().assign(type="LUAD", PFI=1)
    cdr = cdr.rename(columns={"case_id": "bcr_patient_barcode"})
    cdr["PFI.time"] = range(30, 30 + len(cdr))
    cdr.to_excel(folder / "TCGA-CDR-SupplementalTableS1.xlsx", index=False)


def write_predictions(folder):
    rng = np.random.default_rng(0)
    n = 80
    table = pd.DataFrame(
        {
            "patient_id": [f"p{i}" for i in range(n)],
            "time_months": rng.exponential(40, n).round(1) + 0.1,
            "event": rng.integers(0, 2, n),
            "age": rng.integers(40, 80, n),
            "stage": rng.choice(["I", "II"], n),
        }
    )
    for name in ("ours", "theirs"):
        table.assign(risk=rng.normal(size=n)).to_csv(folder / f"{name}.csv", index=False)
    foreign = table.assign(risk=rng.normal(size=n), OS_STATUS=table["event"])
    foreign = foreign.rename(columns={"patient_id": "ID", "time_months": "OS_MONTHS"})
    foreign["OS_STATUS"] = foreign["OS_STATUS"].map({0: "LIVING", 1: "DECEASED"})
    foreign.drop(columns="event").to_csv(folder / "foreign.csv", index=False)


def test_every_command(sandbox, outcome, commands_of):
    ran = []
    for number, printed in enumerate(c for page in EXECUTED for c in commands_of(page, SHORTER)):
        words = [f"new-{number}" if word == "OUT" else word for word in printed]
        if ELSEWHERE & set(words) or any(w == "..." or "/shared/" in w for w in words):
            continue
        if words in ran:
            continue
        if "reports/stad-os" in words:
            shutil.copytree("reports/brca-os", "reports/stad-os")
        done = outcome(*words)
        assert done.code == 0, f"outcome {shlex.join(words)}: {done.err}"
        ran.append(words)
    wanted = {"check", "run", "evaluate", "compare", "power", "simulate", "init", "import", "pack"}
    wanted |= {"fit", "predict", "validate", "attention", "report", "export"}
    assert wanted <= {words[0] for words in ran}
    assert Path("reports/brca-os/report.html").is_file()


def test_every_python_block(sandbox, blocks_of):
    for page in WITH_PYTHON:
        blocks = blocks_of(page, "python")
        assert blocks
        for block in blocks:
            exec(compile(block, page.name, "exec"), {"__name__": page.stem})


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_study_files_in_the_text_are_valid(page, blocks_of, tmp_path):
    first = yaml.safe_load(blocks_of(README, "yaml")[0])
    for block in blocks_of(page, "yaml"):
        part = yaml.safe_load(block)
        # A part is shown alone, and stands in a study file like the first.
        merged = {**first, **part}
        given = set(merged["embeddings"])
        if not {"patches", "reports"} <= given and "arms" not in part:
            merged["arms"] = ["image" if "patches" in given else "report"]
        if "baseline" not in part:
            merged["baseline"] = merged["arms"][0]
        (tmp_path / "study.yaml").write_text(yaml.safe_dump(merged))
        assert Study.read(tmp_path / "study.yaml").name == merged["name"]


def test_the_readme_is_short():
    assert len(README.read_text("utf-8").splitlines()) <= 200


def test_the_version_is_everywhere_the_same():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert cited["version"] == package.__version__
    assert f"\n## {package.__version__}" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_the_commands_that_are_named_exist():
    known = {c.name or c.callback.__name__ for c in app.registered_commands}
    text = "\n".join(page.read_text("utf-8") for page in PAGES)
    named = set(re.findall(r"`outcome ([a-z][a-z-]*)", text))
    assert named <= {name.replace("_", "-") for name in known}


def test_options_that_are_named_exist():
    """Every `--option` of a page is an option of some command."""
    from typer.main import get_command

    parameters = [p for c in get_command(app).commands.values() for p in c.params]
    known = {o for p in parameters for o in (*p.opts, *p.secondary_opts)}
    known |= {"--version", "--install-completion", "--show-completion"}
    others = {"several_machines.md", "containers.md"}  # of dask, apptainer
    for page in PAGES:
        if page.name not in others:
            named = set(re.findall(r"`(--[a-z-]+)", page.read_text("utf-8")))
            assert named <= known, page


def headings(page):
    """The anchors of a page, as GitHub and the site make them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h).strip().lower().replace(" ", "-") for h in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    text = page.read_text("utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        there = page.parent / path if path else page
        if str(there.resolve().relative_to(ROOT)) in WRITTEN_AT_BUILD:
            continue
        assert there.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in headings(there), f"{page.name}: {target}"


def test_keys_of_the_study_file_that_are_named_exist():
    """`split: {column: fold}` and `split.column` name keys of the reference."""
    known = set(re.findall(r"^\| `(\w+)`", (DOCS / "study_file.md").read_text(), re.MULTILINE))
    sections = "columns|endpoint|embeddings|covariates|split|on_missing|training|report"
    found = 0
    for page in [README, *(p for p in PAGES if DOCS in p.parents)]:
        text = page.read_text("utf-8")
        named = re.findall(rf"`(?:{sections})(?:\.|: \{{)(?!html|csv)(\w+)", text)
        assert set(named) <= known, page
        found += len(named)
    assert found > 30


def test_codes_without_a_column_ask_for_the_column(outcome, tmp_path, monkeypatch):
    """The codes are named, and the columns were not recognised."""
    monkeypatch.chdir(tmp_path)
    Path("clinic.csv").write_text("case,observed,fate\na,12,Dead\nb,20,Alive\n")
    done = outcome("init", "clinic.csv", "--event-codes", "Alive=0,Dead=1")
    assert done.code == 2
    assert "--time and --event" in done.err
