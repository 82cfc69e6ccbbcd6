"""The folders that hold a model: what layout they have, and how each is read and written."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from transformers import AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerBase

from angiova.errors import ModelError
from angiova.files import read_json, write_json
from angiova.model.configuration import Sa2VAConfig, reference_settings
from angiova.model.convert.names import check_tensors, links_of, meta_state, released_shapes, shapes_of
from angiova.model.convert.reference_config import config_from_released, released_from_config
from angiova.model.convert.sources import Linked, Renamed, SafetensorsSource, Source
from angiova.model.convert.writer import SHARD_BYTES, main_dtype, write_tensors
from angiova.model.tokenizer import CHAT_TEMPLATE, IMG_CONTEXT, SEG

CONFIG_NAME: Final = "config.json"
# What a released config.json says beyond our configuration, kept so that the way back loses nothing.
RELEASED_CONFIG_NAME: Final = "released_config.json"
RELEASED_TYPE: Final = "sa2va_chat"
RELEASED_HEADS: Final = frozenset({"language_model.lm_head.weight", "language_model.output.weight"})

# transformers writes InternVL's tensors under the names they were published with, and so do we.
_STORED: Final = (
    ("vlm.model.language_model.", "vlm.language_model.model."),
    ("vlm.lm_head.", "vlm.language_model.lm_head."),
    ("vlm.model.vision_tower.", "vlm.vision_tower."),
    ("vlm.model.multi_modal_projector.", "vlm.multi_modal_projector."),
)


class Layout(StrEnum):
    """How a model's folder is laid out."""

    OURS = "ours"
    RELEASED = "released"


def layout_of(folder: Path) -> Layout:
    """Return the layout of a folder.

    Raises:
        ModelError: it is neither ours nor a released one.
    """
    kind = read_config(folder).get("model_type")
    if kind == Sa2VAConfig.model_type:
        return Layout.OURS
    if kind == RELEASED_TYPE:
        return Layout.RELEASED
    raise ModelError(
        f"model_type {kind!r} is no Sa2VA",
        where=folder / CONFIG_NAME,
        remedy="join InternVL and SAM2 with `angiova assemble`",
    )


def read_config(folder: Path) -> dict[str, Any]:
    """Return the content of a folder's config.json.

    Raises:
        ModelError: there is none, or it is no table.
    """
    path = folder / CONFIG_NAME
    if not path.is_file():
        raise ModelError("no config.json, so no model folder", where=folder, remedy="give the folder that holds it")
    content = read_json(path)
    if not isinstance(content, dict):
        raise ModelError("is not a table of fields", where=path)
    return content


def read_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Return the tokenizer of a folder; code that lies in the folder is never run.

    Raises:
        ModelError: there is none that can be read without such code.
    """
    try:
        # An empty configuration keeps transformers from opening the folder's, whose type it does not know.
        return AutoTokenizer.from_pretrained(
            folder, config=PreTrainedConfig(), local_files_only=True, trust_remote_code=False
        )
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"its tokenizer cannot be read ({reason})",
            where=folder,
            remedy="give a folder with tokenizer.json by --tokenizer",
        ) from None


def token_id(tokenizer: PreTrainedTokenizerBase, token: str, where: object) -> int:
    """Return the id of a special token.

    Raises:
        ModelError: the tokenizer does not have it.
    """
    found = tokenizer.get_vocab().get(token)
    if found is None:
        raise ModelError(f"the tokenizer has no {token}", where=where, remedy="use the model's own tokenizer")
    return int(found)


def open_ours(folder: Path) -> tuple[Source, Sa2VAConfig]:
    """Return the tensors of a folder of ours under their names in `Sa2VAModel`, and its configuration.

    Raises:
        ModelError: tensors are missing, unexpected or of another shape, or a file is damaged.
    """
    config = Sa2VAConfig.from_pretrained(folder, local_files_only=True)
    source = Renamed(SafetensorsSource(folder), own_name)
    state = meta_state(config)
    check_tensors(shapes_of(state), {name: spec.shape for name, spec in source.specs.items()}, where=folder)
    return source, config


def open_released(folder: Path, tokenizer: PreTrainedTokenizerBase) -> tuple[Source, Sa2VAConfig]:
    """Return the tensors of a released folder under released names, and our configuration.

    Raises:
        ModelError: tensors are missing, unexpected or of another shape, or a file is damaged.
    """
    fields = read_config(folder)
    source = SafetensorsSource(folder)
    if (
        source.specs.keys() & RELEASED_HEADS
    ):  # the file knows better than its configuration whether the head has weights of its own
        fields = fields | {"llm_config": fields.get("llm_config", {}) | {"tie_word_embeddings": False}}
    config = config_from_released(
        fields,
        image_token_id=token_id(tokenizer, IMG_CONTEXT, folder),
        seg_token_id=token_id(tokenizer, SEG, folder),
    )
    state = meta_state(config)
    expected = released_shapes(links_of(config, state), state)
    check_tensors(expected, {name: spec.shape for name, spec in source.specs.items()}, where=folder)
    return source, config


def write_ours(
    folder: Path,
    source: Source,
    config: Sa2VAConfig,
    tokenizer: PreTrainedTokenizerBase,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Write a folder that `Sa2VAModel.from_pretrained` reads; config.json, by which it counts, comes last.

    Raises:
        ModelError: the tensors are not those of the configuration.
    """
    check_tensors(shapes_of(meta_state(config)), {name: spec.shape for name, spec in source.specs.items()})
    write_tensors(folder, Renamed(source, stored_name), shard_bytes)
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    config.architectures = ["Sa2VAModel"]
    config.dtype = main_dtype(source.specs)
    config.save_pretrained(folder)


def write_released(
    folder: Path,
    source: Source,
    config: Sa2VAConfig,
    tokenizer: PreTrainedTokenizerBase,
    kept: Mapping[str, Any] | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Write a folder in the released layout.

    Args:
        folder: an empty folder.
        source: tensors under our names.
        config: our configuration.
        tokenizer: the tokenizer.
        kept: fields of the released config.json that this model came with.
        shard_bytes: largest shard.

    Raises:
        ModelError: the released layout has no place for some part or setting of the model.
    """
    links = links_of(config, tuple(source.specs))
    _check_settings(config)
    released = Linked(source, links, to_ours=False)
    write_tensors(folder, released, shard_bytes)
    tokenizer.save_pretrained(folder)
    dtype = str(main_dtype(source.specs)).removeprefix("torch.")
    write_json(folder / CONFIG_NAME, {**released_from_config(config, dtype), **(kept or {})})


def _check_settings(config: Sa2VAConfig) -> None:
    """Refuse settings that the reference does not have, so that its answers would be others than ours."""
    always = {name: value for name, value in reference_settings().items() if name != "max_tiles"}
    for name, value in always.items():
        if getattr(config, name) != value:
            raise ModelError(
                f"this model is set to {getattr(config, name)!r}, the reference always to {value!r}",
                where=name,
                remedy="set it so in config.json, evaluate, and convert then",
            )


def stored_name(name: str) -> str:
    """Return the name under which a tensor of `Sa2VAModel` is stored."""
    return _swapped(name, _STORED)


def own_name(stored: str) -> str:
    """Return the name in `Sa2VAModel` of a stored tensor; both kinds of names are understood."""
    return _swapped(stored, tuple((new, old) for old, new in _STORED))


def _swapped(name: str, pairs: tuple[tuple[str, str], ...]) -> str:
    for old, new in pairs:
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name
