"""Proposals of a file.

Letters: N boxes of one image.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int

from scenekit.detection.proposals.config import FilesConfig
from scenekit.detection.proposals.stage import Candidates
from scenekit.errors import InputError
from scenekit.io.proposal_files import ProposalTable, read_proposals
from scenekit.structures.geometry import Size
from scenekit.structures.images import ImageBatch, ImageOrigin


class FileProposals:
    """Proposes what a file has for each image, moved with the image where it was resized, cropped or flipped.

    An image is found by its file, else by its id; with several data sets, whose ids may be the same, the entries need
    file names.

    Args:
        config: The file.

    Raises:
        InputError: The file cannot be read, or an entry is invalid.
    """

    def __init__(self, config: FilesConfig) -> None:
        assert config.path is not None, "the options are checked"
        self.table: ProposalTable = read_proposals(config.path)
        self.missing = config.missing

    def __call__(self, images: ImageBatch, index: int) -> Candidates:
        """Return the boxes of an image.

        Args:
            images: The batch.
            index: Index of the image in the batch.

        Returns:
            The boxes.

        Raises:
            InputError: The file does not name the image, or has a box outside of it.
        """
        if images.origins is None:
            raise InputError(
                f"{self.table.path}: the images of this batch have no names to look up; use `model.predict` or "
                "`sk.evaluate`, or `batch.named(paths)`"
            )
        origin = images.origins[index]
        rows = self._rows(origin)
        boxes = self.table.boxes[rows]
        self._check(boxes, rows, origin)
        moved = origin.geometry.boxes(torch.from_numpy(boxes))
        return Candidates(moved.float(), torch.from_numpy(self.table.scores[rows]).float())

    def _rows(self, origin: ImageOrigin) -> Int[np.ndarray, " N"]:
        name = self.table.name_of(origin.id, origin.path)
        if name is None and self.missing == "error":
            raise InputError(
                f"{self.table.path}: no proposals for {origin}; write them with `scenekit proposals`, or set the "
                "option files.missing: empty"
            )
        return np.zeros(0, dtype=np.int64) if name is None else self.table.rows[name]

    def _check(self, boxes: Float[np.ndarray, "N 4"], rows: Int[np.ndarray, " N"], origin: ImageOrigin) -> None:
        size: Size = origin.geometry.source
        outside = (boxes[:, :2] >= size[::-1]).any(axis=1) | (boxes[:, 2:] <= 0).any(axis=1)
        if outside.any():
            row = int(np.flatnonzero(outside)[0])
            shown = ", ".join(f"{value:g}" for value in boxes[row].tolist())
            raise InputError(
                f"{self.table.path}: entry {rows[row]}: the box from x0, y0 to x1, y1 = {shown} is outside {origin}, "
                f"which has {size[1]} x {size[0]} pixels; boxes are in pixels of the stored image"
            )
