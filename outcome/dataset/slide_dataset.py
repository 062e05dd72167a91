"""Patients with their vectors, in memory or in files, for estimators and training loops."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outcome.cohort import read_cohort
from outcome.dataset.bag_sources import ArrayBags, BagSource, PackedBags
from outcome.dataset.study_data import GivenVectors, PatientSample, join_files
from outcome.embeddings.patches.packed_store import PackedStore, default_cache
from outcome.embeddings.reports.tfidf import TextReports
from outcome.embeddings.reports.vectors import Reports, pack_reports
from outcome.errors import CohortError, InputError, Problems
from outcome.study import Covariates, Study
from outcome.tables.outcome_frame import outcome_frame

if TYPE_CHECKING:
    from outcome.study import Layout

__all__ = ["SlideDataset"]

Rows = slice | Sequence[int] | Sequence[bool] | NDArray[Any]


class SlideDataset:
    """Patients with bags of patch vectors, report vectors, covariates and outcomes.

    Inputs that a dataset does not have are None in its samples. `len`, indexing, `take` and
    iteration work as for a list of patients; an integer gives a `PatientSample`, and a slice or an
    array of rows gives a `SlideDataset`. PyTorch's `DataLoader` takes it directly, with
    `collate_fn=outcome.models.collate`.

    Parameters
    ----------
    bags : mapping of patient to array, or sequence of arrays, optional
        Patch vectors of each patient, shape (patches, d), any number of patches. None for a patient
        without patches. Instead of an array, a mapping of slide to array is accepted. An array of
        shape (n, d) is one vector per patient.
    reports : mapping of patient to array, or sequence of arrays, optional
        Report vectors of each patient, shape (d,) or (chunks, d). None for a patient without a
        report.
    covariates : DataFrame, optional
        Clinical variables, one row per patient. Columns of numbers are numeric, all others are
        categorical, unless given by `numeric` and `categorical`. Patient ids are the index or a
        column `patient_id`; without them, rows are in the order of the patients.
    outcomes : Surv array, DataFrame or array of labels, optional
        Outcomes for estimators that get no `y`. A DataFrame has columns `time` and `event`, or
        `label`; an optional column `entry` is the start of observation (delayed entry). Rows are
        matched as for `covariates`.
    patients : sequence of str, optional
        Patient ids; by default the keys of a mapping, else the row numbers with leading zeros
        (`'007'` in a dataset of 200). With ids, results do not depend on the order of the patients.
    coords : mapping of patient to array, or sequence of arrays, optional
        Coordinates of the patches, shape (patches, 2), for maps; only if bags are arrays.
    numeric, categorical : sequence of str, optional
        Columns of `covariates` that are used as numbers and as categories. Other columns are kept,
        for strata and sites.
    cache : path, optional
        Folder for a packed copy of the bags, used in training. By default a temporary folder that
        is removed with the dataset.

    Attributes
    ----------
    patients : ndarray of str, shape (n,)
    inputs : tuple of str
        The inputs of the dataset: `image`, `report` and `clinical`, as far as present.
    covariates, outcomes : DataFrame or None
        Indexed by patient.
    shape : tuple
        (n,)

    Raises
    ------
    InputError
        Lengths or patients do not match, or patch vectors have different lengths or contain NaN or
        infinity; the message lists all problems.

    See Also
    --------
    outcome.SlideDataset.from_folders : feature files of TRIDENT, CLAM, STAMP, slideflow and others.
    outcome.SlideDataset.from_study : the data of a study file.

    Examples
    --------
    >>> import numpy as np
    >>> from outcome import SlideDataset
    >>> rng = np.random.default_rng(0)
    >>> bags = {f"p{i}": rng.normal(size=(5 + i, 16)) for i in range(4)}
    >>> data = SlideDataset(bags, reports={"p0": np.ones(8), "p2": np.ones((3, 8))})
    >>> data
    SlideDataset of 4 patients: image (16 numbers per patch), report (8 numbers, 2 patients)
    >>> data["p1"].patches.shape, data[1].report is None
    ((6, 16), True)
    >>> data[[0, 2]].patients
    array(['p0', 'p2'], dtype='<U2')
    """

    def __init__(
        self,
        bags: Any = None,
        reports: Any = None,
        covariates: pd.DataFrame | None = None,
        *,
        outcomes: Any = None,
        patients: Sequence[str] | None = None,
        coords: Any = None,
        numeric: Sequence[str] | None = None,
        categorical: Sequence[str] | None = None,
        cache: str | Path | None = None,
    ) -> None:
        problems = Problems("SlideDataset")
        ids = _ids(patients, bags, reports, covariates, outcomes, problems)
        problems.raise_if_any(InputError)
        found = {
            "bags": _by_patient("bags", bags, ids, problems),
            "reports": _by_patient("reports", reports, ids, problems),
            "coords": _by_patient("coords", coords, ids, problems),
        }
        table = _rows_of("covariates", covariates, ids, problems)
        known = None if outcomes is None else outcome_frame(outcomes, "outcomes")
        y = _rows_of("outcomes", known, ids, problems)
        problems.raise_if_any(InputError)
        source = None
        if found["bags"] is not None:
            source = ArrayBags.of(found["bags"], found["coords"] or {}, cache, problems)
        arrays = None
        if found["reports"] is not None:
            arrays = {p: np.asarray(r) for p, r in found["reports"].items() if r is not None}
        declared = _declared(table, numeric, categorical, problems)
        problems.raise_if_any(InputError)
        self._set(ids, source, arrays, table, y, declared)

    def _set(
        self,
        ids: Sequence[str],
        bags: BagSource | None,
        reports: Mapping[str, NDArray[Any]] | Reports | None,
        covariates: pd.DataFrame | None,
        outcomes: pd.DataFrame | None,
        declared: Covariates,
    ) -> None:
        self.patients: NDArray[np.str_] = np.asarray(ids, dtype=str)
        self.covariates = covariates
        self.outcomes = outcomes
        self.declared = declared
        self._bags = bags
        self._reports = reports

    @classmethod
    def from_folders(
        cls,
        patches: str | Path | Sequence[str | Path] | None = None,
        reports: str | Path | None = None,
        covariates: pd.DataFrame | None = None,
        *,
        slides: Mapping[str, str] | None = None,
        outcomes: Any = None,
        layout: Layout = "auto",
        numeric: Sequence[str] | None = None,
        categorical: Sequence[str] | None = None,
        cache: str | Path | None = None,
    ) -> SlideDataset:
        """Read feature files, in any layout that a study file supports.

        Vectors stay on disk: patches are packed once and then memory-mapped.

        Parameters
        ----------
        patches : path or sequence of path, optional
            Folder with one file per slide; the features of several folders are concatenated by
            slide.
        reports : path, optional
            HDF5 file with one dataset per patient, (d,) or (chunks, d).
        covariates, outcomes, numeric, categorical
            As for `SlideDataset`; matched by patient.
        slides : mapping of slide to patient, optional
            By default each file is named after its patient.
        layout : str
            `auto`, `trident`, `clam`, `panther`, `stamp`, `slideflow`, `tensor` or `numpy`.
        cache : path, optional
            Folder of the packed patches; by default $SLIDE_OUTCOME_CACHE or the user's cache.

        Raises
        ------
        InputError
            Files are missing, damaged or inconsistent; the message lists all problems.
        """
        from outcome.embeddings.patches.find import find_slide_files

        places = [patches] if isinstance(patches, (str, Path)) else list(patches or ())
        if not places and reports is None:
            raise InputError("SlideDataset.from_folders: give `patches=`, `reports=` or both")
        if slides is None and places:
            names = list(find_slide_files([Path(p) for p in places], layout).files)
            owner = {s: s for s in names}
        elif slides is not None:
            owner = {str(s): str(p) for s, p in slides.items()}
        else:
            owner = {p: p for p in _reported(Path(str(reports)))}
        frame = pd.DataFrame({"patient_id": list(owner.values()), "slide_id": list(owner)})
        embeddings: dict[str, Any] = {"layout": layout}
        embeddings |= {"patches": [str(p) for p in places]} if places else {}
        embeddings |= {"reports": str(reports)} if reports is not None else {}
        study = Study.parse(
            {
                "name": "folders",
                "cohort": ".",
                "endpoint": {"kind": "binary", "label": "label", "positive": "1"},
                "embeddings": embeddings,
                "arms": ["image" if places else "report"],
            },
            folder=Path(),
            where="SlideDataset.from_folders",
        )
        found = cls._of_study(study, frame, None if cache is None else Path(cache))
        ids = found.patients.tolist()
        problems = Problems("SlideDataset.from_folders")
        table = _rows_of("covariates", covariates, ids, problems)
        known = None if outcomes is None else outcome_frame(outcomes, "outcomes")
        y = _rows_of("outcomes", known, ids, problems)
        declared = _declared(table, numeric, categorical, problems)
        problems.raise_if_any(InputError)
        found._set(ids, found._bags, found._reports, table, y, declared)
        return found

    @classmethod
    def from_study(
        cls,
        study: Study | str | Path,
        cohort: pd.DataFrame | None = None,
        *,
        cache: str | Path | None = None,
    ) -> SlideDataset:
        """Read the data of a study: vectors, covariates and outcomes.

        Parameters
        ----------
        study : Study or path of a study file
        cohort : DataFrame, optional
            The cohort table, used instead of the file of the study.
        cache : path, optional
            Folder of the packed patches; by default $SLIDE_OUTCOME_CACHE or the user's cache.

        Raises
        ------
        InputError
            The study is invalid; the message lists all problems.
        """
        found = study if isinstance(study, Study) else Study.read(study)
        place = None if cache is None else Path(cache)
        return cls._of_study(found, cohort, place, with_outcomes=True)

    @classmethod
    def _of_study(
        cls,
        study: Study,
        frame: pd.DataFrame | None,
        cache: Path | None,
        *,
        with_outcomes: bool = False,
    ) -> SlideDataset:
        problems = Problems(f"study {study.name!r}")
        notes: list[str] = []
        store = PackedStore((cache or default_cache()).absolute())
        cohort = read_cohort(study, problems, frame, with_outcomes=with_outcomes)
        if cohort is None:
            problems.raise_if_any(CohortError)
            raise CohortError("no cohort")
        cohort, slides, reports = join_files(study, cohort, store, notes, problems)
        problems.raise_if_any(CohortError)
        patients = cohort.patients
        names = [*study.covariates.numeric, *study.covariates.categorical]
        table = pd.DataFrame({n: patients[f"column:{n}"] for n in names}, index=patients.index)
        if "site" in patients:
            table[str(study.split.site)] = patients["site"]
        if study.endpoint.strata is not None and "strata" in patients:
            table[study.endpoint.strata] = patients["strata"]
        outcomes = patients[list(study.endpoint.outcome_columns)] if with_outcomes else None
        source = None
        if study.embeddings.patches is not None:
            ids = cohort.slides.groupby("patient_id")["slide_id"].agg(list)
            named = {p: dict(zip(ids[p], own, strict=True)) for p, own in slides.items() if own}
            source = PackedBags(store, named)
        if reports is not None:
            reports = reports.only(patients.index)
        made = cls.__new__(cls)
        columns = table if len(table.columns) else None
        made._set(list(patients.index), source, reports, columns, outcomes, study.covariates)
        return made

    @classmethod
    def of(cls, data: Any) -> SlideDataset:
        """Return a SlideDataset unchanged, or make one from samples, arrays or a mapping of arrays.

        Parameters
        ----------
        data : SlideDataset, mapping of patient to array, or sequence of PatientSample or arrays
        """
        if isinstance(data, cls):
            return data
        if isinstance(data, Sequence) and data and isinstance(data[0], PatientSample):
            return cls._of_samples(data)
        if hasattr(data, "__array__") and not hasattr(data, "__len__"):
            data = np.asarray(data)
        return cls(data)

    @classmethod
    def _of_samples(cls, samples: Sequence[PatientSample]) -> SlideDataset:
        ids = [s.patient for s in samples]
        tables = {
            name: None
            if all(getattr(s, name) is None for s in samples)
            else pd.DataFrame([dict(getattr(s, name) or {}) for s in samples], index=ids)
            for name in ("covariates", "outcome")
        }
        given: dict[str, Any] = {
            name: None if all(v is None for v in values) else dict(zip(ids, values, strict=True))
            for name, values in {
                "bags": [s.patches for s in samples],
                "reports": [s.report for s in samples],
                "coords": [s.coords for s in samples],
            }.items()
        }
        return cls(
            **given, covariates=tables["covariates"], outcomes=tables["outcome"], patients=ids
        )

    @property
    def shape(self) -> tuple[int]:
        """Shape with the number of patients, as needed by scikit-learn."""
        return (len(self.patients),)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The inputs of the dataset: `image`, `report` and `clinical`, as far as present."""
        clinical = self.declared.numeric or self.declared.categorical
        there = {"image": self._bags, "report": self._reports, "clinical": clinical or None}
        return tuple(name for name, found in there.items() if found is not None)

    def __len__(self) -> int:
        return len(self.patients)

    def __iter__(self) -> Iterator[PatientSample]:
        return (self[row] for row in range(len(self)))

    @overload
    def __getitem__(self, key: int | str) -> PatientSample: ...

    @overload
    def __getitem__(self, key: Rows | tuple[Any, ...]) -> SlideDataset: ...

    def __getitem__(self, key: Any) -> PatientSample | SlideDataset:
        """Return one patient, by row or by id; or a dataset of some rows."""
        if isinstance(key, tuple):  # scikit-learn indexes arrays with [rows, ...]
            key = key[0]
        if isinstance(key, str):
            rows = np.flatnonzero(self.patients == key)
            if not len(rows):
                raise KeyError(f"no patient {key!r}; e.g. {str(self.patients[0])!r}")
            return self._sample(int(rows[0]))
        if isinstance(key, (bool, np.bool_)):
            raise InputError(
                f"a dataset has no row {key}. To do: give a row number, a patient id, a slice, or"
                " an array of rows"
            )
        if isinstance(key, (int, np.integer)):
            if not -len(self) <= key < len(self):
                raise IndexError(f"row {key} of {len(self)} patients")
            return self._sample(int(key) % len(self))
        return self.take(key)

    def _sample(self, row: int) -> PatientSample:
        patient = str(self.patients[row])
        features, coords = (None, None) if self._bags is None else self._bags.bag(patient)
        columns = self.covariates
        known = self.outcomes
        return PatientSample(
            features,
            self.report(patient),
            patient,
            coords,
            None if columns is None else {str(k): v for k, v in columns.iloc[row].items()},
            None if known is None else {str(k): v for k, v in known.iloc[row].items()},
        )

    def report(self, patient: str) -> NDArray[Any] | None:
        """Report vectors of a patient, shape (chunks, d) or (d,); None without a report.

        Also None if vectors are learned from texts separately in each fold.
        """
        if self._reports is None:
            return None
        if isinstance(self._reports, Mapping):
            return self._reports.get(patient)
        return None if isinstance(self._reports, TextReports) else self._reports.vectors(patient)

    def take(self, rows: Rows) -> SlideDataset:
        """Return a dataset of some patients. It shares its arrays with this dataset.

        Parameters
        ----------
        rows : slice, array of int or array of bool

        Raises
        ------
        InputError
            A patient would occur twice.
        """
        picked = np.arange(len(self))[rows if isinstance(rows, slice) else np.asarray(rows)]
        ids = self.patients[picked]
        if len(np.unique(ids)) < len(ids):
            raise InputError(
                "a patient can occur only once in a dataset. To do: select rows without replacement"
            )
        part = type(self).__new__(type(self))
        columns = None if self.covariates is None else self.covariates.iloc[picked]
        known = None if self.outcomes is None else self.outcomes.iloc[picked]
        part._set(ids.tolist(), self._bags, self._reports, columns, known, self.declared)
        return part

    def __repr__(self) -> str:
        parts = []
        first = next((p for p in self.patients if self._bags and self._bags.slides(p)), None)
        if self._bags is not None and first is not None:
            features, _ = self._bags.bag(first)
            width = "" if features is None else f" ({np.shape(features)[-1]} numbers per patch)"
            parts.append(f"image{width}")
        if self._reports is not None:
            mapped = isinstance(self._reports, Mapping)
            held: Any = self._reports if mapped else getattr(self._reports, "rows", {})
            n = sum(p in held for p in self.patients)
            parts.append(f"report ({self._report_width()} numbers, {n} patients)")
        if self.covariates is not None:
            parts.append(f"covariates {', '.join(map(str, self.covariates.columns))}")
        if self.outcomes is not None:
            parts.append(f"outcomes {', '.join(map(str, self.outcomes.columns))}")
        return f"SlideDataset of {len(self)} patients: {', '.join(parts)}"

    def _report_width(self) -> int:
        if isinstance(self._reports, Mapping):
            return int(np.shape(next(iter(self._reports.values())))[-1]) if self._reports else 0
        return 0 if self._reports is None else self._reports.dimension

    def outcomes_from(self, y: Any = None) -> pd.DataFrame:
        """Return the outcomes of the patients, in their order.

        Parameters
        ----------
        y : Surv array, DataFrame or array of labels, optional
            By default the outcomes of the dataset. A DataFrame is matched by patient id if its
            index or column `patient_id` has the ids. Otherwise outcomes are in the order of the
            patients.

        Returns
        -------
        DataFrame
            Columns `time` and `event` (and `entry`), or `label`, indexed by patient.

        Raises
        ------
        InputError
            There are no outcomes, or they belong to other patients.
        """
        if y is None:
            if self.outcomes is None:
                raise InputError(
                    "a model requires y to be passed, but the target y is None. To do: give "
                    "`y`, or a SlideDataset with `outcomes`"
                )
            return self.outcomes
        problems = Problems("outcomes")
        rows = _rows_of("y", outcome_frame(y), self.patients.tolist(), problems)
        problems.raise_if_any(InputError)
        assert rows is not None
        return rows

    def slides(self, patient: str) -> list[str]:
        """Slides of a patient; empty without patches."""
        return [] if self._bags is None else self._bags.slides(patient)

    def slide_bags(self, patient: str) -> list[NDArray[Any]]:
        """Patch vectors of each of a patient's slides, shape (patches, d)."""
        return [] if self._bags is None else self._bags.parts(patient)

    def vectors(self) -> GivenVectors:
        """Return the packed vectors for training; they are packed once for all subsets."""
        problems = Problems("")
        slides = None
        if self._bags is None:
            store = PackedStore(default_cache()) if self._reports is None else self._store()
        else:
            store, slides = self._bags.packed(self.patients.tolist(), problems)
        reports = self._reports
        if isinstance(reports, Mapping):
            mine = {p: reports[p] for p in self.patients if p in reports}
            reports = pack_reports(mine, store, problems)
        return GivenVectors(store, slides, reports, tuple(problems.found))

    def _store(self) -> PackedStore:
        """Return the store of the reports if there are no patches."""
        if not hasattr(self, "_report_store"):
            self._report_store = ArrayBags({}, None)
        return self._report_store.store


def _reported(path: Path) -> list[str]:
    import h5py

    if not path.is_file():
        raise InputError(f"`reports`: there is no file {path}")
    try:
        with h5py.File(path, "r") as file:
            return sorted(file)
    except OSError as error:
        raise InputError(f"`reports`: {path} is damaged or not HDF5 ({error})") from None


def _ids(
    patients: Sequence[str] | None,
    bags: Any,
    reports: Any,
    covariates: Any,
    outcomes: Any,
    problems: Problems,
) -> list[str]:
    """Return the ids of the patients, in order."""
    given = {"bags": bags, "reports": reports, "covariates": covariates, "outcomes": outcomes}
    there = {name: value for name, value in given.items() if value is not None}
    if not there:
        problems.add(
            "the dataset has no inputs", remedy="give `bags=`, `reports=` or `covariates=`"
        )
        return []
    ids: list[str] | None = None if patients is None else [str(p) for p in patients]
    if ids is None:
        named = (_named_rows(value) for value in there.values())
        ids = next((found for found in named if found is not None), None)
    if ids is None:
        name, value = next(iter(there.items()))
        if not hasattr(value, "__len__"):
            problems.add(f"`{name}` is {type(value).__name__}", remedy="give one entry per patient")
            return []
        n = len(value)
        ids = [f"{i:0{len(str(n - 1))}d}" for i in range(n)]
    if not ids:
        problems.add("the dataset has no patients")
    if twice := sorted(p for p, n in Counter(ids).items() if n > 1):
        problems.add("a patient occurs more than once", twice, "give each patient once")
    return ids


def _named_rows(value: Any) -> list[str] | None:
    """Return the patient ids of a mapping or table; None if the data are only in order."""
    if isinstance(value, pd.DataFrame):
        if "patient_id" in value:
            return [str(p) for p in value["patient_id"]]
        plain = isinstance(value.index, pd.RangeIndex) or value.index.dtype.kind in "iu"
        return None if plain else [str(p) for p in value.index]
    return [str(p) for p in value] if isinstance(value, Mapping) else None


def _by_patient(
    name: str, values: Any, ids: Sequence[str], problems: Problems
) -> dict[str, Any] | None:
    """Return the entry of each patient who has one."""
    if values is None:
        return None
    if isinstance(values, Mapping):
        called = {str(p): v for p, v in values.items()}
        if not set(called) & set(ids):
            problems.add(f"`{name}` contains none of the {len(ids)} patients", list(called))
        return {p: called[p] for p in ids if p in called}
    if isinstance(values, (str, bytes)) or not hasattr(values, "__len__"):
        problems.add(f"`{name}` is {type(values).__name__}", remedy="give one array per patient")
        return None
    if hasattr(values, "toarray"):
        problems.add(f"`{name}` is a sparse matrix, but dense vectors are needed")
        return None
    if isinstance(values, pd.DataFrame):
        values = values.to_numpy()
    if isinstance(values, np.ndarray) and values.ndim == 1 and values.dtype.kind in "biufc":
        problems.add(
            f"`{name}` has shape {values.shape}, one number per patient. Reshape your data",
            remedy="give shape (patients, d), or a list of arrays of shape (n, d)",
        )
        return None
    if len(values) != len(ids):
        problems.add(f"`{name}` has {len(values)} entries for {len(ids)} patients")
        return None
    return dict(zip(ids, values, strict=True))


def _rows_of(
    name: str, table: pd.DataFrame | None, ids: Sequence[str], problems: Problems
) -> pd.DataFrame | None:
    """Return the row of each patient, indexed by patient."""
    if table is None:
        return None
    if not isinstance(table, pd.DataFrame):
        problems.add(f"`{name}` is {type(table).__name__}", remedy="give a pandas DataFrame")
        return None
    named = _named_rows(table)
    rows = table.drop(columns="patient_id") if "patient_id" in table else table
    if named is None:
        if len(rows) != len(ids):
            problems.add(f"`{name}` has {len(rows)} rows for {len(ids)} patients")
            return None
        return rows.set_axis(pd.Index(ids, name="patient_id"))
    rows = rows.set_axis(pd.Index(named, name="patient_id"))
    if rows.index.has_duplicates:
        twice = rows.index[rows.index.duplicated()].tolist()
        problems.add(f"`{name}` has several rows of one patient", twice, "give one row each")
        return None
    if absent := [p for p in ids if p not in rows.index]:
        problems.add(
            f"`{name}` has no row for patients", absent, "add the rows, or exclude these patients"
        )
        return None
    return rows.loc[list(ids)]


def _declared(
    table: pd.DataFrame | None,
    numeric: Sequence[str] | None,
    categorical: Sequence[str] | None,
    problems: Problems,
) -> Covariates:
    """Return which columns are numbers and which are codes."""
    asked = [*(numeric or ()), *(categorical or ())]
    names = [] if table is None else [str(c) for c in table.columns]
    if absent := [c for c in asked if c not in names]:
        problems.add("`covariates` has no column", absent, f"its columns are {names}")
    if absent or table is None:
        return Covariates()
    if numeric is None and categorical is None:
        numbers = [c for c in names if _are_numbers(table[c])]
        return Covariates(
            numeric=tuple(numbers), categorical=tuple(c for c in names if c not in numbers)
        )
    return Covariates(numeric=tuple(numeric or ()), categorical=tuple(categorical or ()))


def _are_numbers(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
