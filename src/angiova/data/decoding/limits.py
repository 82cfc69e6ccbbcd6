"""How much a file from elsewhere may cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MIB: Final = 2**20


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """What the process that opens a file may use.

    Attributes:
        memory_mib: address space of the process, in MiB.
        seconds: time that one pass over one file may take, waiting for the reader of its frames not counted.
        inflated_mib: what a deflated file may inflate to, in MiB.
        run_mib: decoded size of one run, in MiB; frames pass one by one, so this is far above `memory_mib`.
    """

    memory_mib: int = 1024
    seconds: float = 120.0
    inflated_mib: int = 256
    run_mib: int = 8192
