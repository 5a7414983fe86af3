"""What the writers of predictions have in common: ids of categories and images."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scenekit.errors import listed, warn_once
from scenekit.io.files import plain, write_atomically
from scenekit.scene import Scene

_log = logging.getLogger(__name__)

INFO = "image_info.json"
"""Images and categories with the ids that results use, where these are not those of a data set."""

SHOWN = 10
"""How many classes a warning names."""


class Ids:
    """Ids of categories: those of the data set, else the places in the vocabulary, from 1.

    Args:
        categories: Ids by the name of the class; None where the data set has none.
    """

    def __init__(self, categories: Mapping[str, int] | None) -> None:
        self.categories = categories
        self._own: dict[str, int] = {}
        self._images: list[dict[str, Any]] = []
        self._left_out: Counter[str] = Counter()

    def image(self, scene: Scene, id: int, name: str) -> None:
        """Add the id of an image.

        Args:
            scene: Its predictions.
            id: Its id.
            name: Its path or another name.
        """
        height, width = scene.size
        self._images.append({"id": id, "file_name": scene.path or name, "height": height, "width": width})
        if self.categories is None:
            self._own = {name: n for n, name in enumerate(scene.vocabulary.labels, 1)}

    def category(self, name: str) -> int | None:
        """Return the id of a class.

        Args:
            name: Its name.

        Returns:
            The id; None for a class that the data set does not have, which is counted.
        """
        id = (self._own if self.categories is None else self.categories).get(name)
        if id is None:
            self._left_out[name] += 1
        return id

    def finish(self, folder: Path) -> list[Path]:
        """Warn of predictions that were left out, and write the ids where they are no data set's.

        Args:
            folder: Where to write.

        Returns:
            The file, if any.
        """
        if self._left_out:
            names = listed((f"{name} ({count})" for name, count in self._left_out.items()), SHOWN)
            warn_once(_log, f"predictions of classes that the data set does not have are not written: {names}")
        if self.categories is not None:
            return []
        categories = [{"id": id, "name": name} for name, id in self._own.items()]
        return [write_json(folder / INFO, {"images": self._images, "categories": categories})]


def write_json(path: Path, content: Any) -> Path:
    """Write a JSON file.

    Args:
        path: The file.
        content: What it holds.

    Returns:
        The path.
    """
    write_atomically(path, json.dumps(plain(content)).encode())
    return path
