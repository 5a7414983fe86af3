"""A model on disk: a folder with `model.safetensors` and a `manifest.json` that says what is in it."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from scenekit.assembly import build
from scenekit.errors import InputError
from scenekit.files import write_atomically
from scenekit.model import SceneModel
from scenekit.recipe import ModelConfig
from scenekit.structures.vocabulary import Vocabulary

FORMAT_VERSION = 1
"""Version of the manifest."""

WEIGHTS, MANIFEST = "model.safetensors", "manifest.json"

ENTRIES = ("model", "vocabulary", "weights")
"""What a manifest cannot do without."""

SHOWN = 3
"""How many names of parameters a message spells out."""


def save_model(
    model: SceneModel, folder: str | Path, *, dtype: torch.dtype | None = None, extra: Mapping[str, Any] | None = None
) -> None:
    """Write weights and manifest; `dtype` stores floating-point weights smaller, `extra` goes into the manifest.

    Either file is whole or as it was before; the manifest comes last and holds size and checksum of the weights, so
    that a pair that does not belong together is found out when it is loaded. Raises InputError where the disk is full
    or refuses.
    """
    folder = Path(folder)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    _write_weights(folder / WEIGHTS, {name: _stored(value, dtype) for name, value in model.state_dict().items()})
    manifest = {
        "format_version": FORMAT_VERSION,
        "scenekit": _own_version(),
        # The weights are all here: what the backbone once started from need not be there again.
        "model": without_pretrained(model.config).model_dump(mode="json"),
        "vocabulary": model.vocabulary.to_json(),
        "weights": _fingerprint(folder / WEIGHTS),
        "extra": dict(extra or {}),
    }
    write_atomically(folder / MANIFEST, json.dumps(manifest, indent=1).encode())


def load_model(folder: str | Path, device: torch.device | str = "cpu") -> SceneModel:
    """The model in a folder that `save_model` wrote, in float32, ready for inference.

    Raises InputError for files that are missing, cut off, of another format or of another model, and for a device that
    is not there.
    """
    folder, device = Path(folder), usable(device)
    manifest = read_manifest(folder)
    state = _read_weights(folder / WEIGHTS, manifest["weights"])
    try:
        config = ModelConfig.model_validate(manifest["model"])
        vocabulary = Vocabulary.from_json(manifest["vocabulary"])
    except (ValidationError, TypeError, KeyError) as error:
        raise InputError(f"{folder / MANIFEST}: describes no model of this scenekit ({_one_line(error)})") from error
    model = build(config, vocabulary)
    _fill(model, state, folder)
    return model.to(device).eval()


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a model's folder, checked for format and completeness."""
    path = folder / MANIFEST
    if not folder.is_dir():
        raise InputError(f"{folder}: a folder with {MANIFEST} and {WEIGHTS} is expected; there is no such folder")
    if not path.is_file():
        raise InputError(f"{folder}: a folder with {MANIFEST} and {WEIGHTS} is expected; {MANIFEST} is missing")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: JSON is expected; the file is damaged or cut off ({_one_line(error)})") from error
    found = manifest.get("format_version") if isinstance(manifest, dict) else None
    if found != FORMAT_VERSION:
        raise InputError(f"{path}: format version {FORMAT_VERSION} is expected, got {found!r}; use a matching scenekit")
    missing = [name for name in ENTRIES if name not in manifest]
    if missing:
        raise InputError(f"{path}: {missing[0]!r} is missing; the manifest is incomplete")
    for name in ENTRIES:
        if not isinstance(manifest[name], dict):
            raise InputError(f"{path}: {name!r} should have entries of its own, got {type(manifest[name]).__name__}")
    return dict(manifest)


def usable(device: torch.device | str) -> torch.device:
    """The device of that name; InputError for one that torch does not know or this machine does not have."""
    try:
        found = torch.device(device)
        torch.empty(0, device=found)  # takes no memory, but fails where the device is not there
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device {str(device)!r} cannot be used here ({_one_line(error)})") from error
    return found


def without_pretrained(config: ModelConfig) -> ModelConfig:
    """The same architecture, its backbone started from nothing."""
    return config.model_copy(update={"backbone": config.backbone.model_copy(update={"weights": None})})


def _stored(value: Tensor, dtype: torch.dtype | None) -> Tensor:
    """A copy to write; values that `dtype` cannot hold (beyond 65504 in float16) keep their type."""
    value = value.detach().cpu().contiguous().clone()
    if dtype is None or not value.is_floating_point():
        return value
    smaller = value.to(dtype)
    return smaller if torch.equal(smaller.isfinite(), value.isfinite()) else value


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What fails on the disk on the way (no space, no permission) becomes an InputError that names the file."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:  # torch.save raises RuntimeError
        raise InputError(f"{path} cannot be written ({_one_line(error)})") from error


def _write_weights(path: Path, state: Mapping[str, Tensor]) -> None:
    with writing(path):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        try:
            save_file(dict(state), name)
            os.replace(name, path)
        finally:
            Path(name).unlink(missing_ok=True)


def _fingerprint(path: Path) -> dict[str, Any]:
    with open(path, "rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _read_weights(path: Path, expected: Mapping[str, Any]) -> dict[str, Tensor]:
    if not path.is_file():
        raise InputError(f"{path}: no such file; a model needs it beside its {MANIFEST}")
    found = _fingerprint(path)
    if found["bytes"] != expected.get("bytes"):
        raise InputError(f"{path}: {expected.get('bytes')} bytes are expected, got {found['bytes']}; it was cut off")
    if found["sha256"] != expected.get("sha256"):
        raise InputError(f"{path}: the checksum is not that of {MANIFEST}; the two files do not belong together")
    try:
        state = load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: weights in safetensors format are expected ({_one_line(error)})") from error
    return {name: value.float() if value.is_floating_point() else value for name, value in state.items()}


def _fill(model: SceneModel, state: Mapping[str, Tensor], folder: Path) -> None:
    """Load every parameter, or say which do not fit."""
    own = model.state_dict()
    findings = {
        "missing": [name for name in own if name not in state],
        "unknown": [name for name in state if name not in own],
        "of another shape": [n for n, v in state.items() if n in own and v.shape != own[n].shape],
    }
    told = [f"{_listed(names)} {what}" for what, names in findings.items() if names]
    if told:
        raise InputError(f"{folder}: the weights are of another model than the manifest says: {'; '.join(told)}")
    model.load_state_dict(dict(state))


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _own_version() -> str:
    try:
        return version("scenekit")
    except PackageNotFoundError:
        return "unknown"
