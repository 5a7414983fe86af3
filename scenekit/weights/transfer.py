"""Starting a model from another one's weights."""

from __future__ import annotations

from dataclasses import dataclass

from scenekit.model import SceneModel


@dataclass(frozen=True)
class Transfer:
    """Names of the parameters that were `taken`, and of those that stay `fresh` since the source has none that fits."""

    taken: tuple[str, ...]
    fresh: tuple[str, ...]


def transfer(source: SceneModel, target: SceneModel) -> Transfer:
    """Give `target` every weight of `source` that has the same name and shape there.

    Rows that stand for labels are taken by place: where the vocabularies differ, the run has to teach them anew.
    """
    theirs, own = source.state_dict(), target.state_dict()
    taken = [name for name, value in own.items() if name in theirs and theirs[name].shape == value.shape]
    target.load_state_dict({**own, **{name: theirs[name] for name in taken}})
    return Transfer(tuple(taken), tuple(name for name in own if name not in set(taken)))
