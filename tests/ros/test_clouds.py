"""Points of PointCloud2."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from scenekit.errors import InputError
from scenekit.ros.clouds import cloud_points
from tests.ros.recording import cloud

POINTS = np.array([[1.0, 2.0, 3.0], [-4.0, 5.5, 0.25], [7.0, -8.0, 9.0]])


def message(**values: Any) -> Any:
    fields = [SimpleNamespace(**one) if isinstance(one, dict) else one for one in values.pop("fields")]
    return SimpleNamespace(**{"is_bigendian": False, "is_dense": False, **values, "fields": fields})


def test_fields_by_their_names_and_offsets() -> None:
    np.testing.assert_array_equal(cloud_points(message(**cloud(0, POINTS)), "x"), POINTS)


def test_points_that_are_not_finite_are_dropped() -> None:
    holes = np.insert(POINTS, 1, [np.nan, 0, 0], axis=0)
    holes = np.insert(holes, 3, [0, np.inf, 0], axis=0)
    np.testing.assert_array_equal(cloud_points(message(**cloud(0, holes)), "x"), POINTS)
    assert cloud_points(message(**cloud(0, np.zeros((0, 3)))), "x").shape == (0, 3)


@pytest.mark.parametrize("order", ["<", ">"])
def test_rows_with_padding_mixed_types_and_both_byte_orders(order: str) -> None:
    """Two rows of two points of 14 bytes: z float64 at 0, x int16 at 8, y float32 at 10; rows of 32 bytes."""
    kind = np.dtype({"names": ["z", "x", "y"], "formats": [f"{order}f8", f"{order}i2", f"{order}f4"]})
    kind = np.dtype({"names": kind.names, "formats": [kind[n] for n in kind.names or ()], "offsets": [0, 8, 10]})
    table = np.array([(0.5, 1, 2), (1.5, -3, 4), (2.5, 5, 6), (3.5, 7, 8)], kind)
    data = b"".join(table[row : row + 2].tobytes() + b"\xff" * 4 for row in (0, 2))
    fields = [
        {"name": name, "offset": offset, "datatype": number}
        for name, offset, number in (("z", 0, 8), ("x", 8, 3), ("y", 10, 7))
    ]
    shape = {"height": 2, "width": 2, "point_step": 14, "row_step": 32, "is_bigendian": order == ">"}
    found = cloud_points(message(fields=fields, data=data, **shape), "x")
    assert found.tolist() == [[1, 2, 0.5], [-3, 4, 1.5], [5, 6, 2.5], [7, 8, 3.5]]


def test_what_is_no_cloud() -> None:
    values = cloud(0, POINTS)
    with pytest.raises(InputError, match="needs the fields x, y and z, got x, y, intensity"):
        cloud_points(message(**{**values, "fields": values["fields"][:3]}), "x")
    with pytest.raises(InputError, match="1 x 3 points of 20 bytes in rows of 60 need more than 59 bytes"):
        cloud_points(message(**{**values, "data": values["data"][:-1]}), "x")
    wrong = [{**one, "datatype": 9} for one in values["fields"]]
    with pytest.raises(InputError, match="the field x of type 9 at byte 0 does not fit"):
        cloud_points(message(**{**values, "fields": wrong}), "x")
