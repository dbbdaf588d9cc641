"""Policies shipped with the product, read from the wheel. `vocabulary.yaml` is part of every file set."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files

VOCABULARY = "interlock:vocabulary"  # its name in messages; no policy file can have it


@lru_cache(maxsize=1)
def vocabulary() -> str:
    """The text of the shipped vocabulary."""
    return (files(__name__) / "vocabulary.yaml").read_text(encoding="utf-8")
