"""Boxes by a fingerprint of what they were computed from: the latest ones in memory, all of them in a folder.

Letters: N boxes.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float

from scenekit.io.files import unwritable, write_atomically

REMEMBERED = 1000
"""How many images' boxes are kept in memory, about 30 kB each."""


class BoxCache:
    """Remembers boxes; several processes may share the folder.

    Args:
        folder: Where they are stored; None for memory alone.
        remembered: How many images' boxes are kept in memory.

    Raises:
        InputError: The folder cannot be created.
    """

    def __init__(self, folder: str | Path | None = None, remembered: int = REMEMBERED) -> None:
        self.folder = None if folder is None else Path(folder)
        self.remembered = remembered
        self._latest: OrderedDict[str, Float[np.ndarray, "N 4"]] = OrderedDict()
        if self.folder is not None:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise unwritable(self.folder, error) from error

    def get(self, fingerprint: str, compute: Callable[[], Float[np.ndarray, "N 4"]]) -> Float[np.ndarray, "N 4"]:
        """Return the boxes of an image; they are computed and stored where nothing is known about it.

        Args:
            fingerprint: What the boxes depend on, in hexadecimal digits.
            compute: Computes them.

        Returns:
            The boxes, in the order in which they were computed.
        """
        boxes = self._latest.pop(fingerprint, None)
        if boxes is None:
            boxes = self._stored(fingerprint)
        if boxes is None:
            boxes = np.asarray(compute(), dtype=np.float32)
            self._store(fingerprint, boxes)
        self._latest[fingerprint] = boxes
        while len(self._latest) > self.remembered:
            self._latest.popitem(last=False)
        return boxes

    def _file(self, fingerprint: str) -> Path | None:
        return None if self.folder is None else self.folder / fingerprint[:2] / f"{fingerprint}.npy"

    def _stored(self, fingerprint: str) -> Float[np.ndarray, "N 4"] | None:
        """Return what the folder has; a file that cannot be read counts as none, and is written again."""
        file = self._file(fingerprint)
        try:
            boxes = None if file is None else np.load(file, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        usable = boxes is not None and boxes.dtype == np.float32 and boxes.ndim == 2 and boxes.shape[1] == 4
        return boxes if usable else None

    def _store(self, fingerprint: str, boxes: Float[np.ndarray, "N 4"]) -> None:
        if (file := self._file(fingerprint)) is None:
            return
        stream = io.BytesIO()
        np.save(stream, boxes, allow_pickle=False)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(file.parent, error) from error
        write_atomically(file, stream.getvalue())
