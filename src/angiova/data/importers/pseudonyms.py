"""Identifiers without identity: the same patient gets the same name, and only the holder of the key can say which.

A name is the start of HMAC-SHA256 over the kind and the identifier. Without the key, trying all patient numbers of a
hospital leads nowhere; with the same key, patients keep their names from import to import, so that splits hold.
"""

from __future__ import annotations

import hmac
import os
import secrets
from pathlib import Path
from typing import Final

from angiova.errors import ConfigError

KEY_BYTES: Final = 32
NAME_DIGITS: Final = 16  # 64 bits: two of a million patients meet once in 30 million data sets


class Pseudonyms:
    """Gives names under one key.

    Args:
        key: the secret.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, kind: str, identifier: str) -> str:
        """Return the name of what `identifier` identifies among those of its `kind`."""
        text = f"{kind}\0{identifier}".encode("utf-8", "surrogatepass")
        return f"{kind}-{hmac.digest(self._key, text, 'sha256').hex()[:NAME_DIGITS]}"


def default_key_path() -> Path:
    """Return where the key of this user lies."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "angiova" / "identity.key"


def load_key(path: Path) -> bytes:
    """Return the key in `path`; a new one is made, readable by its owner only, where there is none.

    Raises:
        ConfigError: the file holds no key, or cannot be read or made.
    """
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        return _make_key(path)
    except (OSError, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        remedy = f"it should hold {2 * KEY_BYTES} hexadecimal digits; name another file to make a new key"
        raise ConfigError("holds no key, or cannot be read", where=path, remedy=remedy)
    return key


def _make_key(path: Path) -> bytes:
    key = secrets.token_bytes(KEY_BYTES)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Exclusive: of two imports that start together, one makes the key and the other fails rather than differ.
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as stream:
            stream.write(key.hex() + "\n")
    except OSError as error:
        raise ConfigError(f"key cannot be made ({error.strerror})", where=path, remedy="give --key FILE") from None
    return key
