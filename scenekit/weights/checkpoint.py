"""A model on disk: weights, and a manifest that describes them.

A folder holds them as `model.safetensors` and `manifest.json`; one `.safetensors` file has the manifest in its header.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from scenekit.errors import InputError, listed, one_line
from scenekit.hooks import registry
from scenekit.io.files import drafted, read_text, unwritable, write_atomically
from scenekit.io.records import brief, parse_json
from scenekit.model.build import build
from scenekit.model.scene_model import SceneModel
from scenekit.recipe import ModelConfig
from scenekit.scene_json import reading
from scenekit.structures.vocabulary import Vocabulary
from scenekit.weights.bounds import BuildBound
from scenekit.weights.exported import NETWORKS, load_networks
from scenekit.weights.fingerprints import check_fingerprint, fingerprint

_log = logging.getLogger(__name__)

FORMAT_VERSION = 1
"""Version of the manifest."""

WEIGHTS, MANIFEST = "model.safetensors", "manifest.json"

SUFFIX = ".safetensors"
"""Suffix of a model that is one file."""

HEADER = "scenekit"
"""Name of the metadata entry of one file that holds the manifest, as JSON."""

ENTRIES = ("model", "vocabulary")
"""Required entries of a manifest; that of a folder needs "weights" too."""

SHOWN = 3
"""Number of parameter names that a message lists."""


def save_model(
    model: SceneModel,
    path: str | Path,
    *,
    dtype: torch.dtype | None = None,
    extra: Mapping[str, Any] | None = None,
    entries: Mapping[str, Any] | None = None,
) -> None:
    """Write weights and manifest to a folder, or to one file if the path ends in `.safetensors`.

    Every file is written atomically; in a folder the manifest is written last and holds size and checksum of the
    weights, so that `load_model` refuses a pair that does not belong together.

    Args:
        model: The model.
        path: Path of the folder or file.
        dtype: Type in which floating-point weights are stored, such as torch.float16; their own if None.
        extra: Further information, as the entry "extra" of the manifest.
        entries: Further entries of the manifest.

    Raises:
        InputError: If the files cannot be written.
    """
    path = Path(path)
    state = {name: _stored(value, dtype) for name, value in model.state_dict().items()}
    manifest = {**_manifest(model, extra), **(entries or {})}
    folder = path.parent if is_one_file(path) else path
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if is_one_file(path):
        _write_weights(path, state, {HEADER: json.dumps(manifest)})
        return
    _write_weights(folder / WEIGHTS, state)
    manifest["weights"] = fingerprint(folder / WEIGHTS)
    write_atomically(folder / MANIFEST, json.dumps(manifest, indent=1).encode())


def is_one_file(path: Path) -> bool:
    """Return whether a model of this name is one file and not a folder.

    Args:
        path: Path of a model.

    Returns:
        Whether it is one file.
    """
    return path.suffix == SUFFIX and not path.is_dir()


def _manifest(model: SceneModel, extra: Mapping[str, Any] | None) -> dict[str, Any]:
    owners = {name: registry().owner(spec) for name, spec in model.specs.items()}
    return {
        "format_version": FORMAT_VERSION,
        "scenekit": _own_version(),
        # All weights are in the file: the backbone's pretrained ones are not needed again.
        "model": without_pretrained(model.config).model_dump(mode="json"),
        "vocabulary": model.vocabulary.to_json(),
        "packages": {name: origin.distribution for name, origin in owners.items() if origin is not None},
        "extra": dict(extra or {}),
    }


def load_model(path: str | Path, device: torch.device | str = "cpu", networks: bool = True) -> SceneModel:
    """Load the model in the folder or the file that `save_model` wrote, in float32, ready for inference.

    Tasks whose plugin is not installed are left out, with one warning that names them and the packages to install.

    Args:
        path: The folder, or a file that ends in `.safetensors`.
        device: Where its parameters go.
        networks: Whether networks of an export run in their runtime; otherwise torch runs them with the same weights,
            and their files are not needed.

    Returns:
        The model.

    Raises:
        InputError: Files are missing, cut off, of another format or of another model, a task requires one that is not
            installed, or the device is not there.
    """
    path, device = Path(path), usable(device)
    manifest = read_manifest(path)
    config, vocabulary = read_config(path)
    if not is_one_file(path):
        check_fingerprint(path / WEIGHTS, manifest["weights"])
    state = _read_weights(path if is_one_file(path) else path / WEIGHTS)
    with BuildBound(state, str(_home(path))):
        model, missing = _built(config, vocabulary, manifest.get("packages", {}))
    if missing:
        _log.warning("%s: %s", path, missing)
        parts = {f"{kind}.{name}" for kind in ("stages", "heads") for name in getattr(model, kind)}
        state = {name: value for name, value in state.items() if ".".join(name.split(".")[:2]) in parts}
    fill(model, state, f"{path}: the weights are of another model than the manifest describes")
    if networks and NETWORKS in manifest:
        load_networks(model, path, manifest[NETWORKS], torch.device(device))
    return model.to(device).eval()


def read_config(path: Path) -> tuple[ModelConfig, Vocabulary]:
    """Return (configuration, vocabulary) of the model in a folder or file.

    Raises:
        InputError: Its manifest is missing, damaged, or of a model that this scenekit does not know.
    """
    manifest = read_manifest(path)
    try:
        with reading("vocabulary"):
            vocabulary = Vocabulary.from_json(manifest["vocabulary"])
        return ModelConfig.model_validate(manifest["model"]), vocabulary
    except (ValidationError, InputError) as error:
        raise InputError(
            f"{_home(path)}: does not describe a model of this version of scenekit ({one_line(error)}); "
            "use the version that wrote it"
        ) from error


def _built(config: ModelConfig, vocabulary: Vocabulary, packages: Mapping[str, str]) -> tuple[SceneModel, str]:
    """Return the model of the tasks that are installed, and in one line which are not."""
    missing = [name for name in config.tasks if name not in registry().names("task")]
    if not missing:
        return build(config, vocabulary), ""
    names = ", ".join(f"{name!r} of {packages.get(name, 'an unknown package')}" for name in missing)
    message = f"tasks whose plugin is not installed are left out: {names}; install the package to have them"
    installed = {name: options for name, options in config.tasks.items() if name not in missing}
    try:
        return build(config.model_copy(update={"tasks": installed}), vocabulary), message
    except InputError as error:
        raise InputError(f"{error} ({message})") from error


def read_manifest(path: Path) -> dict[str, Any]:
    """Load and check the manifest of a model.

    Args:
        path: Path of the folder or file.

    Returns:
        The manifest as plain data.

    Raises:
        InputError: If the manifest is missing, damaged, incomplete or of another version.
    """
    text = _header(path) if is_one_file(path) else _manifest_text(path)
    home, entries = _home(path), ENTRIES if is_one_file(path) else (*ENTRIES, "weights")
    manifest = parse_json(text, home)
    stored = manifest.get("format_version") if isinstance(manifest, dict) else None
    if stored != FORMAT_VERSION:
        raise InputError(f"{home}: expected format version {FORMAT_VERSION}, got {stored!r}; use a matching scenekit")
    missing = [name for name in entries if name not in manifest]
    if missing:
        raise InputError(f"{home}: {missing[0]!r} is missing; save the model again")
    for name in (*entries, *manifest.keys() & {"extra", "packages", NETWORKS}):
        if not isinstance(manifest[name], dict):
            raise InputError(f"{home}: {name!r} must be a JSON object, got {type(manifest[name]).__name__}")
    for task, package in manifest.get("packages", {}).items():
        if not isinstance(package, str):
            raise InputError(f"{home}: 'packages' must be names of packages by task, got {task}: {brief(package)}")
    return dict(manifest)


def _home(path: Path) -> Path:
    """Return the file that holds the manifest."""
    return path if is_one_file(path) else path / MANIFEST


def _manifest_text(folder: Path) -> str:
    expected = f"{folder}: expected a folder with {MANIFEST} and {WEIGHTS}"
    if folder.is_file():
        raise InputError(
            f"{folder}: expected a model of scenekit, a folder or a {SUFFIX} file; convert a checkpoint of another"
            f" library: scenekit convert SOURCE/NAME {folder} -o model{SUFFIX}"
        )
    if not folder.is_dir():
        raise InputError(f"{expected}; there is no such folder")
    path = folder / MANIFEST
    if not path.is_file():
        inner = next(folder.glob(f"*/{MANIFEST}"), None)  # the folder of a run holds its model
        hint = f"; did you mean {inner.parent}?" if inner else ""
        raise InputError(f"{expected}; {MANIFEST} is missing{hint}")
    return read_text(path)


def _header(path: Path) -> str:
    """Return the manifest in the header of one file."""
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path}: expected a complete safetensors file; this one is cut off or of another format "
            f"({one_line(error)})"
        ) from error
    if HEADER not in metadata:
        raise InputError(f"{path}: the file has no manifest of scenekit; convert it with `scenekit convert`")
    return str(metadata[HEADER])


def usable(device: torch.device | str) -> torch.device:
    """Return a device after checking that it is available.

    Args:
        device: The device or its name.

    Returns:
        The device.

    Raises:
        InputError: If torch does not know the device, or this machine does not have it.
    """
    try:
        available = torch.device(device)
        torch.empty(0, device=available)  # needs no memory, but fails if the device is not available
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device {str(device)!r} cannot be used here ({one_line(error)})") from error
    return available


def without_pretrained(config: ModelConfig) -> ModelConfig:
    """Return the same architecture without pretrained weights: of the backbone, and in options of detector and tasks.

    Args:
        config: The model's configuration.

    Returns:
        The changed configuration.
    """
    backbone = config.backbone.model_copy(update={"weights": None})
    tasks = {name: _without_weights(options) for name, options in config.tasks.items()}
    detector = _without_weights(config.detector_options)
    return config.model_copy(update={"backbone": backbone, "detector_options": detector, "tasks": tasks})


def _without_weights(options: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _without_weights(value) if isinstance(value, Mapping) else None if name == "weights" else value
        for name, value in options.items()
    }


def _stored(value: Tensor, dtype: torch.dtype | None) -> Tensor:
    """Return a copy to write; values that `dtype` cannot hold (beyond 65504 in float16) keep their type."""
    value = value.detach().cpu().contiguous().clone()
    if dtype is None or not value.is_floating_point():
        return value
    smaller = value.to(dtype)
    return smaller if torch.equal(smaller.isfinite(), value.isfinite()) else value


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise failures of writing within the context as InputError that names the file.

    Args:
        path: The file or folder that is written.

    Yields:
        Nothing.

    Raises:
        InputError: If there is no space left, or no permission.
    """
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:  # torch.save raises RuntimeError
        raise unwritable(path, error) from error


def _write_weights(path: Path, state: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    with writing(path), drafted(path) as draft:
        draft.touch()
        mode = draft.stat().st_mode  # of any new file; safetensors makes one that only its owner may read
        save_file(dict(state), draft, metadata)
        draft.chmod(mode)


def _read_weights(path: Path) -> dict[str, Tensor]:
    try:
        state = load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: expected weights in safetensors format ({one_line(error)})") from error
    return {name: value.float() if value.is_floating_point() else value for name, value in state.items()}


def fill(model: SceneModel, state: Mapping[str, Tensor], reason: str, likely: Callable[[], str] | None = None) -> None:
    """Load every parameter of a model.

    Args:
        model: The model.
        state: Values by name of the parameters.
        reason: What the error message begins with.
        likely: Returns the likely cause and what to do, where the names are not those of the file that the user has:
            the message then counts parameters and ends with this.

    Raises:
        InputError: If parameters are missing, unknown or of another shape; the message lists or counts them.
    """
    own = model.state_dict()
    findings = {
        "missing": [name for name in own if name not in state],
        "unknown": [name for name in state if name not in own],
        "of another shape": [n for n, v in state.items() if n in own and v.shape != own[n].shape],
    }
    counted = likely is not None
    issues = [f"{len(names) if counted else listed(names, SHOWN)} {what}" for what, names in findings.items() if names]
    if issues and likely is not None:
        raise InputError(f"{reason}: parameters do not fit ({', '.join(issues)}); {likely()}")
    if issues:
        raise InputError(f"{reason}: {'; '.join(issues)}")
    model.load_state_dict(dict(state))


def _own_version() -> str:
    try:
        return version("scenekit")
    except PackageNotFoundError:
        return "unknown"
