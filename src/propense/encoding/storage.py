"""Records of arrays as files: one .npy an array, memory-mapped or read; words as Arrow files."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
from safetensors import SafetensorError
from safetensors.numpy import load, save_file

from propense.errors import BundleError, SourceError
from propense.files import replacing

Record = TypeVar("Record")
Header = TypeVar("Header", bound="ArraysHeader")

ENCODED: Final = 3
"""Version of the encoded arrays, to be raised with every change of a record's fields."""


def save_record(folder: Path, name: str, record: Any) -> None:
    """Write a dataclass of arrays, words and plain values as NAME_FIELD files.

    Arrays become .npy, object arrays of words (also in a dict) .arrow, the rest one .json.
    A field named `goals` is left to the caller.
    """
    plain: dict[str, Any] = {}
    for field in fields(record):
        value = getattr(record, field.name)
        path = folder / f"{name}_{field.name}"
        if isinstance(value, np.ndarray) and value.dtype == object:
            _save_words(path.with_suffix(".arrow"), {field.name: value})
        elif isinstance(value, np.ndarray):
            np.save(path.with_suffix(".npy"), value)
        elif isinstance(value, dict):
            _save_words(path.with_suffix(".arrow"), value)
        elif field.name != "goals":
            plain[field.name] = value
    (folder / f"{name}.json").write_bytes(msgspec.json.encode(plain))


def open_record(
    folder: Path, name: str, kind: type[Record], mapped: bool = True, **extra: Any
) -> Record:
    """What `save_record` wrote; `extra` are the fields left to the caller.

    Mapped arrays follow the files; others are read into memory, so that a file that is changed or
    cut short later changes nothing and stops nobody.
    """
    try:
        values = msgspec.json.decode((folder / f"{name}.json").read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        raise SourceError(
            f"{str(folder / name)!r} cannot be read: {error}; run the encode stage again"
        ) from error
    for field in fields(kind):  # type: ignore[arg-type]
        path = folder / f"{name}_{field.name}"
        if path.with_suffix(".npy").exists():
            values[field.name] = open_array(path.with_suffix(".npy"), mapped)
        elif path.with_suffix(".arrow").exists():
            words = _open_words(path.with_suffix(".arrow"))
            is_dict = str(field.type).startswith("dict")
            values[field.name] = words if is_dict else words[field.name]
        elif isinstance(values.get(field.name), list):
            values[field.name] = tuple(values[field.name])
    return kind(**{**values, **extra})


def open_array(file: Path, mapped: bool = True) -> Any:
    """A .npy file, mapped into memory; an empty one, which cannot be mapped, is read."""
    try:
        array = np.load(file, mmap_mode="r" if mapped else None, allow_pickle=False)
    except ValueError:
        array = np.load(file, allow_pickle=False)
    except OSError as error:
        raise SourceError(
            f"{str(file)!r} cannot be read: {error}; run the encode stage again"
        ) from error
    return array


class ArraysHeader(msgspec.Struct, frozen=True):
    """What a safetensors file says about itself, beside its arrays; subclasses add fields."""

    format: str = ""

    def metadata(self) -> dict[str, str]:
        """The header as safetensors stores it.

        One key only: safetensors writes several in an order that changes from run to run.
        """
        return {_HEADER: msgspec.json.encode(self).decode()}


_HEADER: Final = "propense"


def save_arrays(path: Path, arrays: dict[str, Any], header: ArraysHeader | None = None) -> None:
    """Write one safetensors file, whole or not at all.

    Each array is laid out in order first: safetensors writes the bytes from an array's first
    element on, which for a reversed or strided view are others, some outside of the array.
    """
    ordered = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    with replacing(path) as unfinished:
        save_file(ordered, unfinished, metadata=None if header is None else header.metadata())


def load_arrays(
    path: Path, header: type[Header], format: str, remedy: str
) -> tuple[Header, dict[str, Any]]:
    """The header and the arrays of a safetensors file that was saved with `header.metadata()`.

    Raises BundleError, which ends with `remedy`, if the file is missing, cannot be read, or has
    another format than `format`.
    """
    try:
        content = path.read_bytes()
        length = int.from_bytes(content[:8], "little")
        head = msgspec.json.decode(content[8 : 8 + length], type=_SafetensorsHead)
        text = head.metadata.get(_HEADER, "{}")
        written = msgspec.json.decode(text, type=header)
        if written.format != format:
            raise BundleError(
                f"{str(path)!r} has format {written.format!r}, this version reads {format!r}; "
                f"{remedy}"
            )
        arrays = decode_arrays(content)
    except FileNotFoundError as error:
        raise BundleError(f"{str(path)!r} is missing; {remedy}") from error
    except (SafetensorError, msgspec.MsgspecError, UnicodeError) as error:
        raise BundleError(f"{str(path)!r} cannot be read: {error}; {remedy}") from error
    return written, arrays


class _SafetensorsHead(msgspec.Struct, frozen=True):
    """The head of a safetensors file, its arrays left out."""

    metadata: dict[str, str] = msgspec.field(name="__metadata__", default_factory=dict)


def decode_arrays(content: bytes) -> dict[str, Any]:
    """The arrays of a safetensors file, copied: a file that was mapped could be cut short by
    others, which would end the process. Raises SafetensorError."""
    return {name: array.copy() for name, array in load(content).items()}


def _save_words(file: Path, columns: dict[str, Any]) -> None:
    arrays = {name: pa.array(words, pa.string()) for name, words in columns.items()}
    feather.write_feather(pa.table(arrays), str(file), compression="uncompressed")


def _open_words(file: Path) -> dict[str, Any]:
    table = feather.read_table(str(file), memory_map=False)
    return {
        name: np.asarray(table[name].to_numpy(zero_copy_only=False), object)
        for name in table.column_names
    }
