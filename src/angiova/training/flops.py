"""How much arithmetic a sample takes, and which share of what the device could do that is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch.utils.flop_counter import FlopCounterMode

from angiova.run_record import Throughput

Shape = Sequence[int]

TERA: Final = 1e12
# Dense bfloat16 with float32 sums, in TFLOP/s, as the vendor's data sheets give it; the first name that fits counts.
PEAK_TFLOPS: Final = {
    "B200": 2250.0,
    "H200": 989.4,
    "H100 PCIe": 756.0,
    "H100": 989.4,
    "A100": 312.0,
    "L40S": 362.1,
    "RTX 6000 Ada": 364.2,
    "RTX A6000": 154.8,
    "RTX 4090": 165.2,
    "RTX 3090": 71.2,
    "A10G": 70.0,
    "L4": 121.0,
}


@dataclass(slots=True)
class FlopsCount:
    """What one micro-step computes: products of matrices, convolutions and attention, forward and backward.

    Attributes:
        per_sample: floating-point operations a sample, two for a multiplication with its addition; None before it is
            counted.
    """

    per_sample: float | None = None

    @contextmanager
    def counted(self, num_samples: int) -> Iterator[None]:
        """Count what is computed inside, for so many samples."""
        counter = FlopCounterMode(display=False, custom_mapping=_attention_formulas())
        with torch.compiler.set_stance("force_eager"), counter:
            yield
        self.per_sample = counter.get_total_flops() / max(num_samples, 1)


def attention_flops(query: Shape, key: Shape, value: Shape, *_: object, **__: object) -> int:
    """Return the operations of two products, scores and their use, from shapes (B, heads, length, width).

    torch's own formula refuses fewer heads of keys than of queries (grouped-query attention).
    """
    batch, heads, rows, width = query
    return 2 * batch * heads * rows * key[-2] * (width + value[-1])


def attention_backward_flops(_: object, query: Shape, key: Shape, value: Shape, *__: object, **___: object) -> int:
    """Return the operations of the gradients: five products for two, one of them the scores computed again."""
    return attention_flops(query, key, value) * 5 // 2


def _attention_formulas() -> dict[Any, Callable[..., int]]:
    """Return a formula for each of PyTorch's fused attention kernels that this version has."""
    formulas: dict[Any, Callable[..., int]] = {}
    for kernel in ("flash", "efficient", "cudnn"):
        name = f"_scaled_dot_product_{kernel}_attention"
        for suffix, formula in (("", attention_flops), ("_backward", attention_backward_flops)):
            operation = getattr(torch.ops.aten, name + suffix, None)
            if operation is not None:
                formulas[operation] = formula
    return formulas


def peak_flops(device: torch.device, bf16: bool) -> float | None:
    """Return the most floating-point operations a second that a device can do; None where that is not known."""
    if device.type != "cuda" or not bf16:
        return None
    return peak_of(torch.cuda.get_device_name(device))


def peak_of(device_name: str) -> float | None:
    """Return the dense bfloat16 operations a second of a GPU by its name; None where no data sheet is at hand."""
    return next((TERA * peak for name, peak in PEAK_TFLOPS.items() if name in device_name), None)


def with_flops(speed: Throughput | None, per_sample: float | None, peak: float | None) -> Throughput | None:
    """Add the arithmetic of a sample to a speed, and the utilisation where the device's peak is known.

    What gradient checkpointing computes again counts: this is hardware FLOP utilisation (Chowdhery et al., PaLM, JMLR
    2023, appendix B); without checkpointing it is the model's.
    """
    if speed is None or per_sample is None:
        return speed
    utilisation = None if peak is None else per_sample / speed.device_seconds_per_sample / peak
    return speed.model_copy(update={"flops_per_sample": per_sample, "flop_utilisation": utilisation})
