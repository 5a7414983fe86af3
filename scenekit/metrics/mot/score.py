"""All tracking metrics together, over sequences."""

from __future__ import annotations

from scenekit.metrics.mot.clear import Clear
from scenekit.metrics.mot.hota import Hota
from scenekit.metrics.mot.identity import Identity
from scenekit.metrics.mot.sequence import Sequence


class TrackingScores:
    """HOTA, CLEAR and identity metrics of sequences, of each and of all together.

    The metrics of all are those of their summed counts, as the official evaluators have them: no mean over sequences.
    """

    def __init__(self) -> None:
        self._parts: dict[str, tuple[Hota, Clear, Identity]] = {}

    def update(self, name: str, sequence: Sequence) -> None:
        """Add a sequence.

        Args:
            name: Its name, by which results are reported.
            sequence: What is left of it by the rules of a protocol, see `paired`.
        """
        self._parts[name] = Hota.of(sequence), Clear.of(sequence), Identity.of(sequence)

    def sequences(self) -> dict[str, dict[str, float]]:
        """Compute the metrics of each sequence.

        Returns:
            By sequence what `result` returns.
        """
        return {name: _merged(parts) for name, parts in self._parts.items()}

    def result(self) -> dict[str, float]:
        """Compute the metrics of all sequences together.

        Returns:
            Those of `Hota`, `Clear` and `Identity` by name; none without a sequence.
        """
        if not self._parts:
            return {}
        first, *rest = self._parts.values()
        hota, clear, identity = first
        for parts in rest:
            hota, clear, identity = hota + parts[0], clear + parts[1], identity + parts[2]
        return _merged((hota, clear, identity))


def _merged(parts: tuple[Hota, Clear, Identity]) -> dict[str, float]:
    hota, clear, identity = (part.result() for part in parts)
    return {**hota, **clear, **identity}
