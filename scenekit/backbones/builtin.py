"""The backbones that come with scenekit, handed over as any plugin does."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from scenekit.backbones.torchvision import LAYOUTS, build_backbone
from scenekit.hooks.records import BackboneSpec
from scenekit.hooks.specs import hookimpl


@hookimpl
def scenekit_backbones() -> Iterator[BackboneSpec]:
    """One record for each torchvision network; options as in `build_backbone`."""
    for name in LAYOUTS:
        yield BackboneSpec(name, summary=f"torchvision's {name}", build=partial(build_backbone, name))
