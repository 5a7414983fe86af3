"""The recipe reference, from the pydantic models."""

import inspect
import typing
from collections.abc import Iterator
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from scenekit.config import Config
from scenekit.recipe import Recipe
from scenekit_docs.markdown import code, page, table

SIGNS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
LENGTHS = {"min_length": "at least {} entries", "max_length": "at most {} entries"}


def page_of_recipe() -> str:
    """Return a section per section of a recipe, from the top down."""
    return page(*(section(path, model) for path, model in sections(Recipe)))


def sections(model: type[Config], path: str = "") -> Iterator[tuple[str, type[Config]]]:
    """Yield `model` and its nested models with their paths."""
    yield path, model
    for name, field in model.model_fields.items():
        for inner in dict.fromkeys(models_in(field.annotation)):
            yield from sections(inner, f"{path}.{name}".strip("."))


def models_in(annotation: Any) -> list[type[Config]]:
    """Return the configurations in an annotation such as `X`, `X | None` or `tuple[X, ...]`."""
    if inspect.isclass(annotation) and not typing.get_args(annotation):
        return [annotation] if issubclass(annotation, Config) else []
    return [model for inner in typing.get_args(annotation) for model in models_in(inner)]


def section(path: str, model: type[Config]) -> str:
    """Return heading, docstring and table of a model."""
    heading = f"## {code(path)}" if path else "## The whole recipe"
    return page(heading, inspect.getdoc(model) or "", table_of_fields(model))


def table_of_fields(model: type[Config]) -> str:
    """Return a table of name, type, default and meaning of every field."""
    if not model.model_fields:
        return "It has no options.\n"
    rows = [(code(n), typed(f), default(f), f.description or "") for n, f in model.model_fields.items()]
    return table(("key", "type", "default", "meaning"), rows)


def typed(field: FieldInfo) -> str:
    """Return the type and the limits of its values."""
    limits = [text for note in field.metadata for text in limits_of(note)]
    return ", ".join([code(type_name(field.annotation)), *limits])


def limits_of(note: Any) -> Iterator[str]:
    """Yield limits such as `>= 1`."""
    for name, sign in SIGNS.items():
        if (bound := getattr(note, name, None)) is not None:
            yield code(f"{sign} {bound:g}")
    for name, text in LENGTHS.items():
        if (bound := getattr(note, name, None)) is not None:
            yield text.format(bound)


def type_name(annotation: Any) -> str:
    """Return the type in terms of YAML, such as `int`, `'adamw' or 'sgd'` or `list of [float, float]`."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return type_name(inner[0])
    if origin is typing.Literal:
        return " or ".join(repr(value) for value in inner)
    if origin is tuple:
        return f"list of {type_name(inner[0])}" if inner[-1] is ... else f"[{', '.join(map(type_name, inner))}]"
    if origin is dict:
        return f"mapping of {type_name(inner[0])} to {type_name(inner[1])}"
    if inner:
        return " or ".join(dict.fromkeys(type_name(part) for part in inner))
    names = {type(None): "null", Any: "anything", str: "string", bool: "true or false"}
    return names.get(annotation) or ("section" if issubclass(annotation, Config) else annotation.__name__)


def default(field: FieldInfo) -> str:
    """Return the default as YAML."""
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined or isinstance(value, Config):
        return "see below"
    return code(as_yaml(value))


def as_yaml(value: Any) -> str:
    """Return a value as one line of YAML."""
    literals = {None: "null", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        return literals[value]
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(as_yaml, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)
