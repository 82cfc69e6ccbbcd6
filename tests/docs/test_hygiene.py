"""What must not be in the repository: ways to run code from data, registry addresses, large files."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
WEIGHTS = ROOT / "src" / "angiova" / "weights"
MAX_FILE_BYTES = 2**20
MAX_WEIGHTS_BYTES = 64 * 2**20

FORBIDDEN_MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
FORBIDDEN_CALLS = {"yaml.load", "yaml.full_load", "yaml.unsafe_load", "eval", "exec", "os.system"}
FORBIDDEN_KEYWORDS = {"trust_remote_code", "allow_pickle", "shell"}
# In two parts, so that this file does not contain what it looks for.
REGISTRIES = [".".join(parts) for parts in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"))]
REGISTRIES += [".".join(parts) for parts in (("download", "pytorch", "org"), ("pypi", "python", "org"))]


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def dangers(source: str) -> Iterator[str]:
    """Yield every way in which Python source could run code that comes with data."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names if alias.name.partition(".")[0] in FORBIDDEN_MODULES)
            case ast.ImportFrom(module=str(module)) if module.partition(".")[0] in FORBIDDEN_MODULES:
                yield module
            case ast.Call():
                yield from _dangers_of_call(node)


def _dangers_of_call(call: ast.Call) -> Iterator[str]:
    name = ast.unparse(call.func)
    keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    if name in FORBIDDEN_CALLS or name.endswith("read_pickle"):
        yield name
    if name == "torch.load" and keywords.get("weights_only") != "True":
        yield "torch.load without weights_only=True"
    yield from (f"{keyword} in {name}" for keyword in FORBIDDEN_KEYWORDS if keywords.get(keyword, "False") != "False")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_source_runs_no_code_from_data(path: Path) -> None:
    assert list(dangers(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import torch\ntorch.load('a')",
        "torch.load('a', weights_only=False)",
        "yaml.load(text)",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=wanted)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
        "pd.read_pickle(path)",
        "eval(text)",
        "subprocess.run(text, shell=True)",
    ],
)
def test_each_way_to_run_code_from_data_is_found(source: str) -> None:
    assert len(list(dangers(source))) == 1


@pytest.mark.parametrize(
    "source", ["torch.load(path, weights_only=True)", "yaml.safe_load(text)", "np.load(path)", "model.eval()"]
)
def test_safe_calls_are_left_alone(source: str) -> None:
    assert list(dangers(source)) == []


def test_no_file_names_a_package_registry() -> None:
    for path in tracked_files():
        content = path.read_bytes()
        assert not [host for host in REGISTRIES if host.encode() in content], path


def test_no_large_file_is_tracked_but_pictures_of_the_docs_and_the_shipped_weights() -> None:
    large = [path for path in tracked_files() if path.stat().st_size > MAX_FILE_BYTES]
    allowed = (ROOT / "docs" / "images", WEIGHTS)
    assert [path for path in large if not any(path.is_relative_to(folder) for folder in allowed)] == []


def test_the_shipped_weights_stay_within_their_budget() -> None:
    assert 0 < sum(path.stat().st_size for path in tracked_files() if path.is_relative_to(WEIGHTS)) <= MAX_WEIGHTS_BYTES
