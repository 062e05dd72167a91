"""A package that can be called as MUSK is, and nothing else: for tests of the wiring.

Its text model is a table of vectors, one per token, averaged over what is not padding.
"""

from pathlib import Path
from typing import ClassVar

FORWARD = """
import torch
from timm.models import register_model


class Musk(torch.nn.Module):
    calls = []

    def __init__(self):
        super().__init__()
        self.tokens = torch.nn.Embedding(1000, 1024)

    def forward(
        self, image=None, text_description=None, padding_mask=None, return_global=True,
        with_head=True, out_norm=True, ms_aug=False, scales=None, max_split_size=None,
    ):
        Musk.calls.append(
            dict(ids=text_description, mask=padding_mask, with_head=with_head, out_norm=out_norm,
                 ms_aug=ms_aug, return_global=return_global, image=image)
        )
        seen = (1 - padding_mask)[..., None].to(self.tokens.weight.dtype)
        mean = (self.tokens(text_description) * seen).sum(1) / seen.sum(1)
        return None, torch.nn.functional.normalize(mean, dim=-1)


@register_model
def musk_large_patch16_384(pretrained=False, **kwargs):
    torch.manual_seed(0)
    return Musk()
"""
UTILS = """
def load_model_and_may_interpolate(ckpt_path, model, model_key, model_prefix):
    raise OSError(f"401 Client Error for {ckpt_path}")
"""
TIMM = """
made = {}


def register_model(function):
    made[function.__name__] = function
    return function


def create_model(name, pretrained=False, **kwargs):
    return made[name](pretrained, **kwargs)
"""


def write_stand_in(folder: Path, words) -> Path:
    """Write the packages `musk` and `timm` and a small tokenizer; return the tokenizer."""
    import sentencepiece

    for name, source in {
        "musk/__init__.py": "",
        "musk/modeling.py": FORWARD,
        "musk/utils.py": UTILS,
        "timm/__init__.py": "",
        "timm/models/__init__.py": TIMM,
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(source)
    corpus = folder / "corpus.txt"
    corpus.write_text("\n".join(words))
    tokenizer = folder / "musk/models/tokenizer"
    tokenizer.parent.mkdir()
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus), model_prefix=str(tokenizer), vocab_size=60, minloglevel=2,
        hard_vocab_limit=False,
    )  # fmt: skip
    return tokenizer.with_suffix(".model").rename(tokenizer.with_suffix(".spm"))


class LetterCounts:
    """An encoder of one's own: how often each letter is in a chunk of at most 12 words."""

    limit, unit = 12, "words"
    encoded: ClassVar[list[str]] = []

    def lengths(self, texts):
        return [len(t.split()) for t in texts]

    def encode(self, texts):
        import numpy as np

        LetterCounts.encoded += texts
        letters = "abcdefghijklmnopqrstuvwxyz"
        return np.array([[t.lower().count(c) for c in letters] for t in texts], dtype=np.float32)

    def about(self):
        return {"encoder": "letters", "version": "1", "normalisation": "none"}
