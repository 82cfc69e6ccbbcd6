"""Checkpoints that are damaged or mean harm are refused in one line, and leave nothing behind."""

from __future__ import annotations

import json
import os
import pickle
import signal
import struct
import subprocess
import sys
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from angiova.errors import AngiovaError, ModelError
from angiova.model.convert.converting import convert
from released import read_folder, tiny_entry, trained_file, write_released_folder

LOG_BUFFER = "mmengine.logging.history_buffer"


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_released_folder(tmp_path_factory.mktemp("released") / "model", tiny_entry(), shard_bytes=8_000_000)


@pytest.fixture
def copied(released: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy to damage; afterwards nothing but it may be there."""
    folder = tmp_path / "model"
    folder.mkdir()
    for path in released.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    yield folder
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def cut_short(folder: Path) -> None:
    shard = sorted(folder.glob("*.safetensors"))[-1]
    shard.write_bytes(shard.read_bytes()[:-1])


def huge_header(folder: Path) -> None:
    sorted(folder.glob("*.safetensors"))[0].write_bytes(struct.pack("<Q", 2**62) + b"{}")


def nothing_in_it(folder: Path) -> None:
    sorted(folder.glob("*.safetensors"))[0].write_bytes(b"")


def lost_shard(folder: Path) -> None:
    sorted(folder.glob("*.safetensors"))[0].unlink()


def lost_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def outside(folder: Path) -> None:
    index = folder / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    content["weight_map"]["mlp1.0.weight"] = "../../etc/passwd"
    index.write_text(json.dumps(content))


def lying_index(folder: Path) -> None:
    index = folder / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    files = sorted(set(content["weight_map"].values()))
    content["weight_map"]["mlp1.0.weight"] = next(f for f in files if f != content["weight_map"]["mlp1.0.weight"])
    index.write_text(json.dumps(content))


def odd_config(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "sa2va_chat", "llm_config": {"architectures": ["Phi3"]}}')


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut_short, "damaged or cut short"),
        (huge_header, "damaged or cut short"),
        (nothing_in_it, "damaged or cut short"),
        (lost_shard, "a shard is missing"),
        (lost_config, "no config.json"),
        (outside, "outside the folder"),
        (lying_index, "mlp1.0.weight"),
        (odd_config, "vision_config"),
    ],
)
def test_damaged_folder_is_refused(copied: Path, damage: Callable[[Path], None], said: str) -> None:
    damage(copied)
    with pytest.raises(AngiovaError) as refused:
        convert(copied, copied.parent / "out")
    assert said in str(refused.value)


class Harm:
    """Runs a command when it is unpickled the careless way."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.marker}",)


def test_training_file_that_runs_code_is_refused(released: Path, tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": Harm(tmp_path / "ran")}}, tmp_path / "zip.pth")
    (tmp_path / "old.pth").write_bytes(pickle.dumps({"state_dict": Harm(tmp_path / "ran")}, protocol=2))
    for name in ("zip.pth", "old.pth"):
        with pytest.raises(ModelError, match="more than tensors"):
            convert(tmp_path / name, tmp_path / "out", base=released, lora_alpha=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old.pth", "zip.pth"]


@pytest.mark.parametrize("kept", [0, 100, -1000])
def test_training_file_cut_short_is_refused(released: Path, tmp_path: Path, kept: int) -> None:
    file = trained_file(tmp_path / "iter.pth", rank=2)
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(ModelError):
        convert(file, tmp_path / "out", base=released, lora_alpha=1)
    assert [path.name for path in tmp_path.iterdir()] == ["iter.pth"]


def test_log_beside_the_tensors_does_no_harm(released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """mmengine stores its log as an object of its own; it is read as nothing, without mmengine."""
    module = types.ModuleType(LOG_BUFFER)
    exec("class HistoryBuffer: pass", module.__dict__)  # noqa: S102  (a class that lives in that module)
    module.HistoryBuffer.__module__ = LOG_BUFFER
    file = trained_file(tmp_path / "iter.pth", rank=2)
    content = torch.load(file, weights_only=True)
    log = module.HistoryBuffer()
    log.values, log.last = np.arange(3.0), np.float64(2)
    with monkeypatch.context() as patched:
        for name in ("mmengine", "mmengine.logging"):
            patched.setitem(sys.modules, name, types.ModuleType(name))
        patched.setitem(sys.modules, LOG_BUFFER, module)
        torch.save(content | {"message_hub": {"loss": log}}, tmp_path / "log.pth")
    convert(file, tmp_path / "plain", base=released, lora_alpha=4)
    convert(tmp_path / "log.pth", tmp_path / "logged", base=released, lora_alpha=4)
    plain, logged = read_folder(tmp_path / "plain"), read_folder(tmp_path / "logged")
    assert plain.keys() == logged.keys() and all(torch.equal(plain[name], logged[name]) for name in plain)


def test_ctrl_c_leaves_nothing_behind(released: Path, tmp_path: Path) -> None:
    script = (
        "import sys, time\n"
        "from angiova.model.convert import sources\n"
        "read = sources.SafetensorsSource.read\n"
        "def slow(self, name): print('reading', flush=True); time.sleep(0.05); return read(self, name)\n"
        "sources.SafetensorsSource.read = slow\n"
        "from angiova.cli import main; main()\n"
    )
    command = [sys.executable, "-c", script, "convert", str(released), str(tmp_path / "out")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "reading\n"
    time.sleep(0.2)
    assert [path.name for path in tmp_path.iterdir()] == [f".out.{process.pid}.partial"]
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode != 0 and "Traceback" not in said
    assert not list(tmp_path.iterdir())
