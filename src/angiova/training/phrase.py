"""Which phrase a baseline is trained for."""

from __future__ import annotations

from angiova.baselines.settings import FrangiSettings, NetworkSettings, NnunetSettings
from angiova.data.manifest import Manifest
from angiova.data.records import Split, TargetKind
from angiova.errors import ConfigError
from angiova.training.config import Recipe


def phrase_to_train(
    settings: FrangiSettings | NetworkSettings | NnunetSettings, manifest: Manifest, recipe: Recipe
) -> str:
    """Return the recipe's phrase, else the one that the training part uses for vessel trees.

    Raises:
        ConfigError: there is no vessel tree, or trees have several phrases.
    """
    if settings.phrase is not None:
        return settings.phrase
    records = manifest.records(Split(recipe.data.train_split))
    found = {t.phrase for record in records for t in record.targets if t.kind is TargetKind.VESSEL_TREE}
    if len(found) == 1:
        return found.pop()
    several = f"vessel trees have several phrases: {', '.join(sorted(found))}"
    problem = several if found else "no vessel tree is labelled"
    raise ConfigError(problem, where=manifest.folder, remedy="say what to segment with model.baseline.phrase")
