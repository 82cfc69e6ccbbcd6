"""Print the lock file of `angiova[dev]` from the environment that runs this script.

    python3.11 -m venv /tmp/lock
    /tmp/lock/bin/pip install -e '.[dev]'
    /tmp/lock/bin/python requirements/freeze.py > requirements/dev.lock

Only what angiova needs, directly or through another package, is written; whatever else the environment holds is not.
"""

from __future__ import annotations

import platform
import sys
from collections import defaultdict
from importlib.metadata import PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = "angiova[dev]"
# torch from PyPI depends on these, torch for CPUs does not; pip adds them where they are needed.
DEVICE_PACKAGES = ("nvidia-", "cuda-", "triton")

PYTHON = ".".join(platform.python_version_tuple()[:2])
HEADER = f"""\
# The versions that angiova[dev] is tested with, on Python {PYTHON} and {platform.system()}.
# Written by `python requirements/freeze.py`, which says how to make it again; do not edit by hand.
#
# Install with
#     pip install -r requirements/dev.lock
#     pip install --no-deps -e .
#
# torch is given without "+cpu" or "+cu...": pip takes the build that its configuration offers.
# On a machine with an NVIDIA GPU and pip's default settings that is the CUDA build, and pip adds the CUDA
# libraries that belong to it. If `angiova doctor` then says that torch sees no device, the driver is older than
# that build: install the torch of the same version made for your driver first, then the rest from this file.
# To save space on a machine without a GPU, install the CPU build of the same torch version first.
"""


def resolve(root: str) -> dict[str, tuple[str, set[str]]]:
    """Return, for every package that `root` needs here, its version and the packages that ask for it."""
    versions: dict[str, str] = {}
    needed_by: dict[str, set[str]] = defaultdict(set)
    waiting, done = [Requirement(root)], set()
    while waiting:
        requirement = waiting.pop()
        package = distribution(requirement.name)
        name = canonicalize_name(requirement.name)
        versions[name] = package.version
        for extra in {"", *requirement.extras}:
            if (name, extra) in done:
                continue
            done.add((name, extra))
            for wanted in needs(package.requires or [], extra):
                needed_by[canonicalize_name(wanted.name)].add(name)
                waiting.append(wanted)
    return {name: (versions[name], needed_by[name]) for name in sorted(versions)}


def needs(lines: list[str], extra: str) -> list[Requirement]:
    """Return the requirements among `lines` that hold on this machine for one extra ("" for none)."""
    wanted = []
    for requirement in map(Requirement, lines):
        holds = requirement.marker is None or requirement.marker.evaluate({"extra": extra})
        for_extra_only = "extra ==" in str(requirement.marker or "")
        if holds and for_extra_only == bool(extra) and not requirement.name.startswith(DEVICE_PACKAGES):
            wanted.append(requirement)
    return wanted


def main() -> None:
    """Print the lock."""
    try:
        packages = resolve(ROOT)
    except PackageNotFoundError as missing:
        sys.exit(f"freeze: {missing.name} is not installed here -> pip install -e '.[dev]'")
    print(HEADER)
    for name, (version, needed_by) in packages.items():
        if name != "angiova":
            print(f"{name}=={Version(version).public}")
            print(f"    # via {', '.join(sorted(needed_by))}")


if __name__ == "__main__":
    main()
