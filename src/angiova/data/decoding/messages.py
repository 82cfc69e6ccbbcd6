"""What passes between the decoding process and its owner: JSON with bytes behind it, never a pickle.

A hostile file may take the decoding process over; whatever it then sends must not be able to run code in the owner.
Each message is the length of its JSON (4 bytes, big-endian), the JSON, and as many bytes as its field `num_bytes` says.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from angiova.data.decoding.limits import MIB
from angiova.data.pixels import MAX_PIXELS
from angiova.errors import DataError

MAX_JSON_BYTES: Final = 16 * MIB
MAX_PAYLOAD_BYTES: Final = 2 * MAX_PIXELS  # two images of the largest size
_LENGTH: Final = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Message:
    """One message: its fields, and the bytes behind them."""

    fields: Mapping[str, Any]
    payload: bytes = b""


def write_message(stream: BinaryIO, message: Message) -> None:
    """Write one message and flush it."""
    text = json.dumps({**message.fields, "num_bytes": len(message.payload)}).encode()
    stream.write(_LENGTH.pack(len(text)) + text)
    stream.write(message.payload)
    stream.flush()


def read_message(read_exactly: Callable[[int], bytes]) -> Message:
    """Return the next message; `read_exactly` returns as many bytes as it is asked for.

    Raises:
        DataError: it is not as `write_message` writes it, or larger than any honest one.
    """
    (length,) = _LENGTH.unpack(read_exactly(_LENGTH.size))
    if length > MAX_JSON_BYTES:
        raise _garbled()
    try:
        fields = json.loads(read_exactly(length))
    except (ValueError, RecursionError):
        raise _garbled() from None
    num_bytes = fields.get("num_bytes") if isinstance(fields, dict) else None
    if type(num_bytes) is not int or not 0 <= num_bytes <= MAX_PAYLOAD_BYTES:
        raise _garbled()
    return Message(fields, read_exactly(num_bytes))


def _garbled() -> DataError:
    return DataError("made its decoder answer nonsense", remedy="leave the file out; it may be made to do harm")
