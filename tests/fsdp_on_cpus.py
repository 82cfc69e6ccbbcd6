"""`angiova train` with fsdp2 on CPUs, for tests: accelerate is told that they are GPUs, everything else is real."""

from __future__ import annotations

import sys

import torch
from accelerate import PartialState
from accelerate.utils import DistributedType

from angiova.cli import main
from angiova.training import strategies


def join(strategy: str, device: torch.device) -> None:
    """Meet the others; accelerate 1.15 shards on nothing that it calls a CPU."""
    state = PartialState(cpu=True, backend="gloo")
    state.distributed_type = DistributedType.MULTI_GPU
    PartialState.wait_for_everyone = lambda self: torch.distributed.barrier()


if __name__ == "__main__":
    of_strategy = strategies.arguments
    strategies.check_strategy = lambda recipe, device: None
    strategies.join = join
    strategies.arguments = lambda *given: of_strategy(*given) | {"accelerator_config": {"use_configured_state": True}}
    sys.argv = ["angiova", "train", *sys.argv[1:]]
    main()
