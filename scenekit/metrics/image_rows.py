"""Text files with the classes of images: a line is the name of the image and values, by commas, tabs or spaces."""

from __future__ import annotations

from pathlib import Path

from scenekit.errors import InputError
from scenekit.io.files import read_text


def read_rows(path: Path, least: int, what: str) -> dict[str, list[list[str]]]:
    """Read the lines of a file; empty ones and those that begin with # are skipped.

    Args:
        path: The file.
        least: How many values a line has behind the name of the image, at least.
        what: What a line holds, for error messages.

    Returns:
        The values of each line, by image, in the order of the file.

    Raises:
        InputError: If the file is missing or damaged, or a line is too short.
    """
    rows: dict[str, list[list[str]]] = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        image, *values = _parts(line)
        if len(values) < least or not all(values):
            raise InputError(f"{path}, line {number}: expected {what}, got {line.strip()[:80]!r}")
        rows.setdefault(image, []).append(values)
    if not rows:
        raise InputError(f"{path} has no line; expected {what} in each")
    return rows


def check_same_images(targets: dict[str, list[list[str]]], predicted: dict[str, list[list[str]]], path: Path) -> None:
    """Check that predictions are for images that have ground truth.

    Args:
        targets: Ground truth by image.
        predicted: Predictions by image.
        path: File of the predictions.

    Raises:
        InputError: An image has no ground truth.
    """
    if unknown := sorted(predicted.keys() - targets.keys()):
        raise InputError(f"{path}: {len(unknown)} images have no ground truth, such as {unknown[0]!r}")


def _parts(line: str) -> list[str]:
    for mark in ("\t", ","):
        if mark in line:
            return [part.strip() for part in line.split(mark)]
    return line.split()
