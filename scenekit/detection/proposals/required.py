"""The check of detectors that need external proposals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def proposals_given(options: Any) -> Any:
    """Check that the options of a detector name a source of proposals; for a validator of the kind "before".

    Args:
        options: The options as they were given.

    Returns:
        The same.

    Raises:
        ValueError: They name none.
    """
    if isinstance(options, Mapping) and options.get("proposals") is None:
        raise ValueError(
            "this detector has no proposals of its own; set proposals, such as {name: selective_search} or "
            "{name: sliding_window}"
        )
    return options
