"""The tracker `associate`: boxes, masks, 3D boxes and appearance, matched by an optimal assignment."""

from __future__ import annotations

from collections.abc import Iterator

from scenekit.hooks import TrackerSpec, hookimpl
from scenekit.keys import APPEARANCE, BOXES3D, MASKS
from scenekit_plugins.associate.config import AssociateConfig
from scenekit_plugins.associate.tracker import Associate


@hookimpl
def scenekit_trackers() -> Iterator[TrackerSpec]:
    """Yield the tracker `associate`."""
    yield TrackerSpec(
        name="associate",
        summary="boxes, masks, 3D boxes and appearance by an optimal assignment",
        build=Associate,
        config=AssociateConfig,
        uses=(MASKS, BOXES3D, APPEARANCE),
    )
