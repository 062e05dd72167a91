"""Text encoders: MUSK, any sentence-transformers model, or your own encoder.

Torch and the packages of encoders are imported only when an encoder is made.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from outcome.devices import choose_device
from outcome.errors import EmbeddingError

__all__ = [
    "MUSK_TOKENS",
    "MuskEncoder",
    "SentenceEncoder",
    "TextEncoder",
    "make_encoder",
]

MUSK_TOKENS = 98
"""Maximum tokens of a chunk; with the begin and end tokens they fill MUSK's 100 positions."""
MUSK_MODEL = "musk_large_patch16_384"
MUSK_HUB = "hf_hub:xiangjx/musk"
BEGIN, PAD, END, UNKNOWN = 0, 1, 2, 3
"""XLM-R's ids; a sentencepiece id is one less than its token's, and 0 is the unknown piece.

The tokenizer file is read with sentencepiece itself: recent versions of transformers accept it and
return the unknown token for every word.
"""

MUSK_ABSENT = (
    "encoder musk: the package {package!r} is not installed. MUSK is not on PyPI: clone "
    "lilab-stanford/MUSK from GitHub, install its requirements and then the clone (pip "
    "install -e MUSK), and request the weights on its hub page (xiangjx/musk), or give a "
    "file with `weights=`. The tokenizer needs slide-outcome[text]. MUSK's licence "
    "(CC-BY-NC-ND 4.0) allows non-commercial academic research with attribution. It does "
    "not allow commercial use or the distribution of derived works"
)
TEXT_ABSENT = (
    "encoder sentence-transformers: the package is not installed. To do: pip install"
    " 'slide-outcome[text]'"
)


@runtime_checkable
class TextEncoder(Protocol):
    """Turns chunks of text into vectors.

    `limit` is the maximum length of a chunk, in `unit`; longer texts are never passed to `encode`.
    Your own class is named `package.module:Class` and made without arguments.
    """

    limit: int
    unit: str

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Length of each text, without begin and end tokens."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return a vector per text, shape (n, d); it must not depend on the other texts."""

    def about(self) -> dict[str, str]:
        """Return encoder, version and normalisation, on which the vectors depend."""


class MuskEncoder:
    """The text half of MUSK: 1024 numbers of unit length per chunk.

    Parameters
    ----------
    model : callable
        Takes `text_description`, `padding_mask` (1 = pad), `with_head`, `out_norm`, `ms_aug` and
        `return_global`, and returns the vectors as the second of two results.
    pieces : callable
        Text to sentencepiece ids.
    device : str
    batch : int
        Chunks per batch.
    identity : dict
        Result of `about`.
    """

    limit = MUSK_TOKENS
    unit = "tokens"

    def __init__(
        self,
        model: Callable[..., Any],
        pieces: Callable[[str], list[int]],
        device: str,
        batch: int,
        identity: dict[str, str],
    ) -> None:
        self.model, self.pieces = model, pieces
        self.device, self.batch, self.identity = device, batch, identity

    def tokens(self, text: str) -> list[int]:
        """XLM-R's token ids, without begin and end."""
        return [i + 1 if i else UNKNOWN for i in self.pieces(text)]

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text."""
        return [len(self.tokens(text)) for text in texts]

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors, shape (n, d).

        Raises
        ------
        ValueError
            A text has more than 98 tokens and would be truncated.
        """
        import torch

        parts: list[NDArray[np.float32]] = []
        for start in range(0, len(texts), self.batch):
            ids, mask = self._padded(texts[start : start + self.batch])
            with torch.inference_mode():
                vectors = self.model(
                    text_description=torch.from_numpy(ids).to(self.device),
                    padding_mask=torch.from_numpy(mask).to(self.device),
                    with_head=False,
                    out_norm=True,
                    ms_aug=False,
                    return_global=True,
                )[1]
            parts.append(vectors.float().cpu().numpy())
        return np.concatenate(parts)

    def _padded(self, texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Token ids and padding masks (1 = pad), each of shape (n, 100)."""
        ids = np.full((len(texts), MUSK_TOKENS + 2), PAD, dtype=np.int64)
        mask = np.ones_like(ids)
        for row, text in enumerate(texts):
            tokens = [BEGIN, *self.tokens(text), END]
            if len(tokens) > ids.shape[1]:
                raise ValueError(f"a chunk has {len(tokens) - 2} tokens, but MUSK takes at most 98")
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 0
        return ids, mask

    def about(self) -> dict[str, str]:
        """Return encoder, version, weights, tokenizer, normalisation and precision."""
        return self.identity


class SentenceEncoder:
    """A sentence-transformers model, from a local folder or by name.

    Parameters
    ----------
    model : SentenceTransformer
    name : str
    batch : int
    """

    unit = "tokens"

    def __init__(self, model: Any, name: str, batch: int) -> None:
        self.model, self.name, self.batch = model, name, batch
        special = model.tokenizer.num_special_tokens_to_add(pair=False)
        self.limit = int(model.max_seq_length) - special

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text."""
        found = self.model.tokenizer(
            list(texts), add_special_tokens=False, truncation=False, verbose=False
        )
        return [len(ids) for ids in found["input_ids"]]

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors, shape (n, d)."""
        vectors = self.model.encode(
            list(texts),
            batch_size=self.batch,
            normalize_embeddings=True,
            show_progress_bar=False,
            convert_to_numpy=True,
        )
        return np.asarray(vectors, dtype=np.float32)

    def about(self) -> dict[str, str]:
        """Return encoder, version, normalisation and precision."""
        dtype = str(next(self.model.parameters()).dtype).removeprefix("torch.")
        return {
            "encoder": f"sentence-transformers:{'/'.join(Path(self.name).parts[-2:])}",
            "version": f"sentence-transformers {version('sentence-transformers')}",
            "weights": _weights_hash(Path(self.name)),
            "normalisation": "unit length",
            "precision": dtype,
        }


def make_encoder(
    spec: str,
    *,
    device: str = "auto",
    batch: int = 32,
    half: bool | None = None,
    weights: str | None = None,
    tokenizer: Path | None = None,
) -> TextEncoder:
    """Load an encoder.

    Parameters
    ----------
    spec : str
        `musk`, `sentence-transformers:<name or path>` or `package.module:Class`.
    device : str
        `auto`, `cpu`, `cuda:N` or `mps`.
    batch : int
        Chunks per batch, without effect on the meaning of the vectors.
    half : bool, optional
        Compute in half precision; by default on a GPU.
    weights : str, optional
        Weights of MUSK: a file, or `hf_hub:...`, which needs an internet connection.
    tokenizer : Path, optional
        Sentencepiece file of MUSK; by default that of the installed package.

    Raises
    ------
    EmbeddingError
        The encoder is not available; the message explains how to get it.
    """
    if spec == "tfidf-svd":
        raise EmbeddingError(
            "tfidf-svd is learned from the development patients of each fold. With one file for "
            "all folds, test patients would influence their own vectors. To do: give the texts "
            "in the study file, `reports: {texts: ..., encoder: tfidf-svd}`"
        )
    name, colon, rest = spec.partition(":")
    device = choose_device(device)
    half = device.startswith("cuda") if half is None else half
    if spec == "musk":
        return _musk(device, batch, half, weights or MUSK_HUB, tokenizer)
    if not (colon and rest):
        raise EmbeddingError(
            f"there is no encoder {spec!r}: use musk, sentence-transformers:<name or path> or"
            " package.module:Class"
        )
    if name == "sentence-transformers":
        return _sentence_transformers(rest, device, batch, half)
    return _own(name, rest)


def _musk(device: str, batch: int, half: bool, weights: str, tokenizer: Path | None) -> MuskEncoder:
    import torch

    found = {}
    for package in ("musk.modeling", "musk.utils", "timm.models", "sentencepiece"):
        try:
            found[package] = importlib.import_module(package)
        except ImportError as error:
            missing = error.name or package
            raise EmbeddingError(MUSK_ABSENT.format(package=missing)) from None
    if tokenizer is None:
        tokenizer = Path(str(found["musk.modeling"].__file__)).parent / "models" / "tokenizer.spm"
    if not tokenizer.is_file():
        raise EmbeddingError(
            f"MUSK's tokenizer is not at {tokenizer}; give tokenizer.spm of its repository with "
            "`tokenizer=`"
        )
    model = found["timm.models"].create_model(MUSK_MODEL)
    if weights.startswith("hf_hub:"):
        try:
            found["musk.utils"].load_model_and_may_interpolate(weights, model, "model|module", "")
        except Exception as error:  # noqa: BLE001 - whatever the hub's client raises
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise EmbeddingError(
                f"MUSK's weights cannot be loaded from {weights} ({reason}). Log in to the hub, "
                "or give a downloaded file with `weights=`"
            ) from None
        identity = weights
    else:
        _load_weights(model, Path(weights))
        identity = f"{Path(weights).name} {_weights_hash(Path(weights))}"
    dtype = torch.float16 if half else torch.float32
    model = model.to(device=device, dtype=dtype).eval()
    about = {
        "encoder": "musk",
        "version": f"{MUSK_MODEL} {_version('musk')}".strip(),
        "weights": identity,
        "tokenizer": f"{tokenizer.name} {_weights_hash(tokenizer)}",
        "normalisation": "unit length, without head",
        "precision": "float16" if half else "float32",
    }
    pieces = found["sentencepiece"].SentencePieceProcessor(model_file=str(tokenizer))
    return MuskEncoder(model, pieces.encode, device, batch, about)


def _load_weights(model: Any, path: Path) -> None:
    """Load a local file, never unpickling, and refuse weights of another model."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise EmbeddingError(f"there is no file of MUSK weights {path}")
    try:
        if path.suffix == ".safetensors":
            state: Any = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, OSError, ValueError, EOFError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise EmbeddingError(f"{path} cannot be read as weights: {reason}") from None
    for key in ("model", "module"):
        state = state.get(key, state)
    try:
        found = model.load_state_dict(state, strict=False)
    except (RuntimeError, AttributeError, TypeError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise EmbeddingError(f"{path} does not contain MUSK's weights: {reason}") from None
    missing = [k for k in found.missing_keys if "relative_position_index" not in k]
    if missing:
        raise EmbeddingError(
            f"{path} does not contain MUSK's weights: {len(missing)} are missing, e.g. {missing[0]}"
        )


def _sentence_transformers(name: str, device: str, batch: int, half: bool) -> SentenceEncoder:
    try:
        package = importlib.import_module("sentence_transformers")
    except ImportError:
        raise EmbeddingError(TEXT_ABSENT) from None
    local = Path(name).is_dir()
    if not local and (Path(name).is_absolute() or name.startswith(".")):
        raise EmbeddingError(f"there is no folder {name} with a sentence-transformers model")
    try:
        model = package.SentenceTransformer(name, device=device, local_files_only=local)
    except Exception as error:  # noqa: BLE001 - whatever the hub's client or a damaged model raises
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise EmbeddingError(
            f"the sentence-transformers model {name!r} cannot be loaded ({reason}). Give a "
            "folder that contains a model, or, with an internet connection, the name of a model"
        ) from None
    model.eval()
    return SentenceEncoder(model.half() if half else model, name, batch)


def _own(module: str, name: str) -> TextEncoder:
    try:
        made = getattr(importlib.import_module(module), name)()
    except (ImportError, AttributeError, TypeError) as error:
        raise EmbeddingError(f"encoder {module}:{name} cannot be made: {error}") from None
    if not isinstance(made, TextEncoder):
        raise EmbeddingError(
            f"encoder {module}:{name} lacks one of limit, unit, lengths, encode and about"
        )
    return made


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _weights_hash(path: Path) -> str:
    """Short hash of a file, or of all weight files in a folder; empty for a name."""
    digest = hashlib.sha256()
    if not path.exists():
        return ""
    files = [path] if path.is_file() else sorted(path.rglob("*"))
    for file in files:
        if file.is_file() and (file == path or file.suffix in (".safetensors", ".bin", ".json")):
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:12]
