"""angiova: fine-tune, prove and run Sa2VA for blood-vessel segmentation in X-ray angiography.

Research use only; not a medical device.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Loaded on first use, so that `import angiova` and `angiova --help` stay free of torch.
_PUBLIC = {
    "LiveTracker": "angiova.inference.live",
    "ask": "angiova.inference.asking.chat",
    "compare": "angiova.evaluation.comparing",
    "evaluate": "angiova.evaluation.evaluate",
    "load": "angiova.inference.predictor",
    "segment": "angiova.inference.predictor",
    "simulate": "angiova.simulate",
    "track_runs": "angiova.inference.track",
}
__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name not in _PUBLIC:
        raise AttributeError(f"module 'angiova' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
