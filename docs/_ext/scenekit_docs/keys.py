"""The keys that data sets and tasks share, from scenekit.keys."""

import scenekit as sk
from scenekit import keys
from scenekit_docs.markdown import code, table


def table_of_keys() -> str:
    """Return a table of the public keys of scenes: names in Python and in JSON, stream, meaning."""
    named = {name: value for name, value in vars(keys).items() if isinstance(value, keys.Key) and name in sk.__all__}
    inside = {name for name in named if name in ("FEATURES", "PROPOSALS") or isinstance(named[name], keys.Stream)}
    rows = [
        (code(f"sk.{name}"), code(key.name), "the image" if key.of is None else code(key.of.name), key.doc)
        for name, key in named.items()
        if name not in inside
    ]
    return table(("key", "in JSON", "follows", "on the board; in a scene"), rows)


def constants() -> str:
    """Return a table of the public keys and streams with their declared shapes."""
    named = {name: value for name, value in vars(keys).items() if isinstance(value, keys.Key) and name in sk.__all__}
    rows = [
        (
            code(f"sk.{name}"),
            code(key.name),
            code(f"[{' '.join(map(str, key.shape))}]") if key.shape else "",
            "" if key.of is None else code(key.of.name),
            key.doc,
        )
        for name, key in named.items()
    ]
    return table(("key", "name", "tensor on the board", "follows", "meaning"), rows)
