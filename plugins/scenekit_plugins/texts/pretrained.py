"""Tokenizers and language models of transformers (an extra), which is imported on first use."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from scenekit.errors import InputError
from scenekit_plugins.texts.config import StoredTokenizer

MAX_REASON = 200
"""Characters of the library's own messages that an error repeats."""


def transformers() -> ModuleType:
    """Import the library.

    Returns:
        The module.

    Raises:
        InputError: If it is not installed.
    """
    try:
        import transformers as library
    except ImportError as error:
        raise InputError(
            f"captions: decoder: transformer and pretrained tokenizers need the package transformers ({error}); "
            'pip install "scenekit[transformers]", or set decoder: lstm'
        ) from None
    module: ModuleType = library
    return module


def network_like(architecture: Mapping[str, Any]) -> Any:
    """Build a language model with fresh weights.

    Args:
        architecture: Its configuration as plain values.

    Returns:
        The model.
    """
    config = transformers().AutoConfig.for_model(**architecture)
    return transformers().AutoModelForCausalLM.from_config(config)


def pretrained_network(weights: str) -> Any:
    """Load a pretrained language model with layers of cross-attention, with fresh weights if it had none.

    Args:
        weights: Folder or hub name.

    Returns:
        The model.

    Raises:
        InputError: If it cannot be loaded so.
    """
    library = transformers()
    try:
        config = library.AutoConfig.from_pretrained(weights)
        config.is_decoder, config.add_cross_attention = True, True
        return library.AutoModelForCausalLM.from_pretrained(weights, config=config)
    except Exception as error:  # downloads raise errors of many kinds
        raise InputError(
            f"captions: transformer.weights {weights!r} cannot be loaded as a language model of transformers with "
            f"cross-attention ({_reason(error)}); name a folder or a model on the hub"
        ) from error


def architecture(weights: str) -> dict[str, Any]:
    """Return the configuration of a pretrained language model as plain values.

    Args:
        weights: Folder or hub name.

    Returns:
        The configuration.

    Raises:
        InputError: If the model cannot be loaded.
    """
    values: dict[str, Any] = pretrained_network(weights).config.to_dict()
    return values


def pretrained_tokenizer(name: str) -> StoredTokenizer:
    """Load a tokenizer of transformers in the form that models store.

    A text starts with its start token (or the one of a class, padding or an end) and ends with its end token (or a
    separator).

    Args:
        name: Folder or hub name.

    Returns:
        The tokenizer.

    Raises:
        InputError: If it cannot be loaded or has no such tokens.
    """
    auto = transformers().AutoTokenizer
    try:
        tokenizer = auto.from_pretrained(name)
        text = tokenizer.backend_tokenizer.to_str()
    except Exception as error:  # as above; tokenizers in Python have no backend
        raise InputError(
            f"captions: tokenizer.name {name!r} cannot be loaded as a fast tokenizer of transformers "
            f"({_reason(error)}); name a folder or a tokenizer on the hub"
        ) from error
    end = tokenizer.eos_token or tokenizer.sep_token
    start = tokenizer.bos_token or tokenizer.cls_token or tokenizer.pad_token or end
    if end is None or start is None:
        raise InputError(f"captions: the tokenizer {name!r} has no token for the end of a text; choose another")
    unknown = tokenizer.unk_token if tokenizer.unk_token not in (start, end) else None
    return StoredTokenizer(text=text, start=start, end=end, pad=tokenizer.pad_token or end, unknown=unknown)


def _reason(error: Exception) -> str:
    return " ".join(f"{error}".split())[:MAX_REASON]
