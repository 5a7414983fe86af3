"""The backbones of scenekit itself, registered like those of any plugin."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from scenekit.backbones.inception_v2 import build_inception_v2
from scenekit.backbones.layouts import LAYOUTS
from scenekit.backbones.timm import build_timm, timm_names
from scenekit.backbones.torchvision import build_backbone
from scenekit.backbones.transformers import build_transformers, transformers_names
from scenekit.hooks.records import BackboneSpec
from scenekit.hooks.specs import hookimpl


@hookimpl
def scenekit_backbones() -> Iterator[BackboneSpec]:
    """Yield one record for each torchvision network and for each other library, with the options of their builders.

    Returns:
        Records of backbones.
    """
    for name in LAYOUTS:
        yield BackboneSpec(name, summary=f"torchvision's {name}", build=partial(build_backbone, name))
    yield BackboneSpec(
        "inception_v2", "Inception V2 of Ioffe and Szegedy (2015); no weights are published", build_inception_v2
    )
    yield BackboneSpec("timm/", "timm/NAME: the networks of timm (extra `timm`)", build_timm, timm_names)
    yield BackboneSpec(
        "transformers/",
        "transformers/KIND: the backbones of transformers (extra `transformers`)",
        build_transformers,
        transformers_names,
    )
