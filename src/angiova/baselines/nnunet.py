"""nnU-Net as a baseline: its own tools do everything, in processes of their own.

Isensee et al., Nature Methods 18:203-211 (2021). angiova neither imports nnU-Net nor opens its weights, which are
pickles; a folder of nnU-Net's is only ever given back to nnU-Net.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from angiova.baselines.baseline import Drawing
from angiova.data.pixels import GreyImage, read_grey, write_png
from angiova.errors import ConfigError, ModelError

NNUNET_TYPE: Final = "angiova_nnunet"
MODEL_DIR: Final = "nnunet"
WEIGHTS_NAME: Final = "checkpoint_final.pth"
DEFAULT_CUT: Final = 0.5
# A call starts Python, torch and the network anew; the images of a call fit into memory many times over.
IMAGES_A_CALL: Final = 512
FOLDERS: Final = ("raw", "preprocessed", "results")


class NnunetConfig(BaseModel):
    """The config.json of a checkpoint; nnU-Net's own model folder lies beside it, in MODEL_DIR."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    model_type: Literal["angiova_nnunet"] = NNUNET_TYPE
    phrase: str


@dataclass(frozen=True, slots=True)
class NnunetBaseline:
    """A network that nnU-Net trained.

    Attributes:
        phrase: what it draws.
        model: nnU-Net's model folder, with plans.json and fold_0.
        device: "cpu" or "cuda".
    """

    phrase: str
    model: Path
    device: str

    @property
    def images_a_call(self) -> int:
        """How many images it should get at once."""
        return IMAGES_A_CALL

    def segment(self, images: Sequence[GreyImage], threshold: float) -> list[Drawing]:
        """Return the mask of each image.

        Raises:
            ConfigError: nnU-Net is not installed, or another threshold than one half is asked for.
            ModelError: nnU-Net failed.
        """
        if threshold != DEFAULT_CUT:
            raise ConfigError("nnU-Net's tools write masks, not probabilities", where="--threshold", remedy="leave out")
        with tempfile.TemporaryDirectory(prefix="angiova-nnunet-") as name:
            source, out = Path(name) / "in", Path(name) / "out"
            for number, image_HW in enumerate(images):
                write_png(source / f"{number:05d}_0000.png", image_HW)
            options = ["-i", source, "-o", out, "-m", self.model, "-f", 0, "-chk", WEIGHTS_NAME, "-device", self.device]
            run_tool("nnUNetv2_predict_from_modelfolder", [*options, "-npp", 1, "-nps", 1], Path(name))
            return [Drawing(read_grey(out / f"{number:05d}.png") > 0) for number in range(len(images))]


def run_tool(tool: str, arguments: Sequence[object], folder: Path, settings: Mapping[str, str] | None = None) -> None:
    """Run one of nnU-Net's tools, its messages on our standard error.

    Args:
        tool: e.g. ``nnUNetv2_train``.
        arguments: what it is called with.
        folder: the folder in which nnU-Net keeps raw data, preprocessed data and results.
        settings: further environment variables.

    Raises:
        ConfigError: nnU-Net is not installed.
        ModelError: the tool failed.
    """
    command = [find_tool(tool), *map(str, arguments)]
    folders = {f"nnUNet_{name}": str((folder / name).resolve()) for name in FOLDERS}
    environment = os.environ | folders | dict(settings or {})
    finished = subprocess.run(command, env=environment, stdout=sys.stderr, check=False)  # noqa: S603  (no shell)
    if finished.returncode:
        problem = f"{tool} failed with exit code {finished.returncode}"
        raise ModelError(problem, where=folder, remedy="its messages are above; all of nnU-Net's files are kept there")


def find_tool(tool: str) -> str:
    """Return where a tool of nnU-Net lies: beside this Python, or on the path.

    Raises:
        ConfigError: nnU-Net is not installed.
    """
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    found = shutil.which(tool, path=places)
    if found is None:
        raise ConfigError("nnU-Net is not installed", where=tool, remedy="pip install nnunetv2")
    return found
