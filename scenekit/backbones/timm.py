"""Any network of timm (extra `timm`) as a backbone: `timm/resnet18`, `timm/convnext_tiny.fb_in22k`, ...

timm is imported when one of its networks is built, not before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from scenekit.backbones.adapter import AdaptedBackbone, Maps, Reader, fitting, missing_extra, probe
from scenekit.backbones.base import Level, Normalization
from scenekit.backbones.state import check_fit, read_state
from scenekit.errors import InputError, one_line

NORMS = ("batch", "frozen")
PRETRAINED = "pretrained"
FLEXIBLE: tuple[Mapping[str, Any], ...] = ({}, {"dynamic_img_size": True}, {"strict_img_size": False})
"""Options that make networks accept images of any size: most need none, transformers one of two."""


def timm_names() -> list[str]:
    """List what may follow `timm/`.

    Returns:
        Names of all networks, with a tag (`.a1_in1k`) for those with published weights.
    """
    timm = _timm()
    return [*timm.list_models(), *timm.list_pretrained()]


def build_timm(name: str, *, weights: str | Path | None = None, norm: str = "batch", **options: Any) -> AdaptedBackbone:
    """Build a network of timm as a backbone, with its own `features_only`.

    A vision transformer with one map at stride 16 gets a simple feature pyramid.

    Args:
        name: Name of the network.
        weights: "pretrained" (timm's own download, cached), the path of a state dict of the same network as timm
            publishes them (the classifier may be absent), or None for random weights.
        norm: "batch", or "frozen" for batch norm with constant statistics.
        options: Options of `timm.create_model`, such as `drop_path_rate`.

    Returns:
        The backbone.

    Raises:
        InputError: If timm is missing, an option is invalid, the weights do not fit, or the network has no suitable
            maps.
    """
    if norm not in NORMS:
        raise InputError(f"backbone norm: expected one of {', '.join(NORMS)}, got {norm!r}")
    if "features_only" in options or "out_indices" in options:
        raise InputError(f"timm/{name}: the levels are those at strides 4, 8, 16, 32; leave out their options")
    options, levels, indices = _layout(name, options)
    chosen = fitting(levels, f"timm/{name}")
    body = _create(name, weights, {**options, "features_only": True, "out_indices": [indices[i] for i in chosen]})
    published: Any = body.pretrained_cfg
    known = Normalization(tuple(published["mean"]), tuple(published["std"])) if weights == PRETRAINED else None
    if norm == "frozen":
        body = _timm().layers.freeze_batch_norm_2d(body)
    return AdaptedBackbone(body, _reader(body), [levels[index] for index in chosen], known)


def _timm() -> ModuleType:
    try:
        import timm
    except ImportError as error:
        raise missing_extra("timm", error) from None
    module: ModuleType = timm
    return module


def _layout(name: str, options: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[Level, ...], list[int]]:
    """Return options with which the network accepts images of any size, all its levels, and timm's indices of them."""
    timm = _timm()
    refusal = ""
    for flexible in FLEXIBLE:
        tried = {**flexible, **options}
        try:
            with torch.device("meta"):
                network = timm.create_model(name, features_only=True, **tried)
            levels = probe(network, _reader(network))
        except Exception as error:  # networks refuse sizes and options each in its own way
            refusal = refusal if any(option in str(error) for option in flexible) else one_line(error)
            continue
        return tried, levels, list(network.feature_info.out_indices)
    raise InputError(f"timm/{name} cannot be a backbone ({refusal}); choose another network or other options")


def _reader(network: nn.Module) -> Reader:
    """Return a function that gives the maps channels first; some networks keep channels last."""
    return _channels_first if str(getattr(network, "output_fmt", "NCHW")) == "Format.NHWC" else tuple


def _channels_first(maps: Sequence[Tensor]) -> Maps:
    return [features.permute(0, 3, 1, 2) for features in maps]


def _create(name: str, weights: str | Path | None, options: Mapping[str, Any]) -> nn.Module:
    """Create the network, cut as `options` say, with its weights."""
    timm = _timm()
    if weights is None:
        network: nn.Module = timm.create_model(name, **options)
        return network
    overlay = None if weights == PRETRAINED else {"state_dict": _state(name, Path(weights))}
    try:
        network = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, **options)
    except Exception as error:  # downloads fail in as many ways as there are places to download from
        raise InputError(
            f"weights of timm/{name} could not be loaded ({one_line(error)}); pass a file instead"
        ) from error
    return network


def _state(name: str, path: Path) -> dict[str, Tensor]:
    """Read weights and check that they are this network's: timm itself would load what fits and ignore the rest."""
    if not path.suffix and not path.exists():
        raise InputError(f"backbone weights: expected {PRETRAINED!r} or a file, got {str(path)!r}")
    with torch.device("meta"):
        network = _timm().create_model(name)
    own, classifier = network.state_dict(), network.pretrained_cfg.get("classifier") or ()
    state = read_state(path, own)
    heads = tuple(f"{head}." for head in ([classifier] if isinstance(classifier, str) else classifier))
    needed = [key for key in own if not key.startswith(heads)]
    check_fit(own, state, needed, fit=f"weights file {path} does not fit timm/{name}")
    return state
