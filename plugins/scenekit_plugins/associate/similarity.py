"""How well objects fit tracks. Letters: T tracks, N objects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from scenekit.metrics.common import box_iou
from scenekit_plugins.associate.config import AssociateConfig
from scenekit_plugins.associate.objects import Detections, grid_iou
from scenekit_plugins.associate.tracks import Track

Table = Float[np.ndarray, "T N"]


def similarity(tracks: Sequence[Track], detections: Detections, config: AssociateConfig) -> Table:
    """Return how well objects fit tracks, by everything that is known of both.

    Args:
        tracks: The tracks, predicted for the image.
        detections: The objects.
        config: Weights and limits.

    Returns:
        The weighted mean of the parts that a track and an object both have, 0 to 1; -1 where they cannot be the same.
    """
    expected = _stacked([track.expected for track in tracks], 4)
    overlap = box_iou(expected, detections.boxes)
    parts = [
        (config.box, box_iou(_grown(expected, config.margin), _grown(detections.boxes, config.margin))),
        (config.mask, _mask_overlap(tracks, expected, detections, overlap) if config.mask else None),
        (config.distance, closeness(tracks, detections, config.max_distance) if config.distance else None),
        (config.appearance, likeness(tracks, detections, config.alike) if config.appearance else None),
    ]
    total, weights = np.zeros_like(overlap), np.zeros_like(overlap)
    for weight, part in parts:
        if part is not None:
            known = np.isfinite(part)
            total += weight * np.where(known, part, 0.0)
            weights += weight * known
    mean = np.divide(total, weights, out=np.zeros_like(total), where=weights > 0)
    mean -= np.where(_labels_differ(tracks, detections), config.relabel, 0.0)
    return np.where(_possible(tracks, expected, detections, overlap, config), mean, -1.0)


def overlaps(tracks: Sequence[Track], detections: Detections, config: AssociateConfig) -> Table:
    """Return the IoU of objects with the predicted boxes of tracks; -1 where labels forbid a match.

    Args:
        tracks: The tracks, predicted for the image.
        detections: The objects.
        config: Whether labels count.

    Returns:
        0 to 1, or -1.
    """
    expected = _stacked([track.expected for track in tracks], 4)
    overlap = box_iou(_grown(expected, config.margin), _grown(detections.boxes, config.margin))
    return np.where(_labels_differ(tracks, detections) & config.same_class, -1.0, overlap)


def closeness(tracks: Sequence[Track], detections: Detections, most: float) -> Table | None:
    """Return how close 3D boxes are to where tracks expect them.

    Args:
        tracks: The tracks, predicted for the image.
        detections: The objects.
        most: Metres at which it is 0.

    Returns:
        1 at the same place, 0 from `most` on, NaN where either has no 3D box; None without any.
    """
    if detections.places is None:
        return None
    expected = _stacked([np.full(3, np.nan) if track.place is None else track.place.value for track in tracks], 3)
    metres = np.linalg.norm(expected[:, None] - detections.places, axis=-1)
    # A distance errs with the distance from the camera: beyond ten times `most` the limit grows with it.
    far = np.ones(len(detections)) if detections.far is None else np.maximum(1.0, detections.far / (10 * most))
    close: Table = np.clip(1 - metres / (most * far), 0.0, 1.0)
    return close


def likeness(tracks: Sequence[Track], detections: Detections, least: float) -> Table | None:
    """Return how alike objects look to those of tracks.

    Args:
        tracks: The tracks.
        detections: The objects.
        least: The cosine at which it is 0.

    Returns:
        1 for the same look, 0 from `least` on, NaN where either has no appearance; None without any.
    """
    if detections.looks is None:
        return None
    channels = detections.looks.shape[1]
    known = [track.look if track.look is not None and len(track.look) == channels else None for track in tracks]
    looks = _stacked([np.full(channels, np.nan) if look is None else look for look in known], channels)
    alike: Table = np.clip((looks @ detections.looks.T - least) / (1 - least), 0.0, 1.0)
    return alike


def _mask_overlap(
    tracks: Sequence[Track], expected: Float[np.ndarray, "T 4"], detections: Detections, overlap: Table
) -> Table | None:
    """Return the IoU of masks, those of tracks moved with their boxes; 0 where boxes do not overlap."""
    if detections.masks is None:
        return None
    grids = [detections.grid(row) for row in range(len(detections))]
    table = np.full_like(overlap, np.nan)
    for number, track in enumerate(tracks):
        for row, grid in enumerate(grids):
            if track.grid is not None and grid is not None:
                near = overlap[number, row] > 0
                table[number, row] = (
                    grid_iou(track.grid, expected[number], grid, detections.boxes[row]) if near else 0.0
                )
    return table


def _possible(
    tracks: Sequence[Track],
    expected: Float[np.ndarray, "T 4"],
    detections: Detections,
    overlap: Table,
    config: AssociateConfig,
) -> Bool[np.ndarray, "T N"]:
    """Return whether an object may be that of a track: by its label, and by how far it is from the predicted box."""
    near = (overlap > 0) | (_gaps(expected, detections.boxes) < config.reach)
    return near & ~(_labels_differ(tracks, detections) & config.same_class)


def _grown(boxes: Float[np.ndarray, "M 4"], margin: float) -> Float[np.ndarray, "M 4"]:
    """Return boxes with a margin of this share of their sides on each side."""
    more = margin * (boxes[:, 2:] - boxes[:, :2])
    return np.concatenate((boxes[:, :2] - more, boxes[:, 2:] + more), axis=1)


def _gaps(expected: Float[np.ndarray, "T 4"], boxes: Float[np.ndarray, "N 4"]) -> Table:
    """Return the distance of the centers of boxes, in diagonals of the predicted ones."""
    centers = [(part[:, :2] + part[:, 2:]) / 2 for part in (expected, boxes)]
    diagonals = np.linalg.norm(expected[:, 2:] - expected[:, :2], axis=1)
    gaps: Table = np.linalg.norm(centers[0][:, None] - centers[1], axis=-1) / diagonals[:, None]
    return gaps


def _labels_differ(tracks: Sequence[Track], detections: Detections) -> Bool[np.ndarray, "T N"]:
    labels: Int[np.ndarray, " T"] = np.array([track.label for track in tracks], dtype=np.int64)
    differ: Bool[np.ndarray, "T N"] = labels[:, None] != detections.labels
    return differ


def _stacked(rows: Sequence[Float[np.ndarray, " _"]], columns: int) -> Float[np.ndarray, "T _"]:
    return np.stack(rows) if rows else np.zeros((0, columns))
