"""What comes from transformers (the extra of that name), which is imported when something of it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from scenekit.errors import InputError
from scenekit_plugins.captions.config import StoredTokenizer

LONGEST_REASON = 200
"""Characters of the library's own messages that are told."""


def transformers() -> ModuleType:
    """The library; InputError where it is not installed."""
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
    """A language model with fresh weights; `architecture` is its configuration as plain values."""
    config = transformers().AutoConfig.for_model(**architecture)
    return transformers().AutoModelForCausalLM.from_config(config)


def pretrained_network(weights: str) -> Any:
    """A pretrained language model with layers of cross-attention, which are fresh where it had none."""
    library = transformers()
    try:
        config = library.AutoConfig.from_pretrained(weights)
        config.is_decoder, config.add_cross_attention = True, True
        return library.AutoModelForCausalLM.from_pretrained(weights, config=config)
    except Exception as error:  # downloads fail in as many ways as there are places to download from
        raise InputError(
            f"captions: transformer.weights {weights!r} is no language model of transformers that can be loaded with "
            f"cross-attention ({_reason(error)}); give a folder or a name on the hub"
        ) from error


def architecture(weights: str) -> dict[str, Any]:
    """The configuration of a pretrained language model as plain values."""
    found: dict[str, Any] = pretrained_network(weights).config.to_dict()
    return found


def pretrained_tokenizer(name: str) -> StoredTokenizer:
    """A tokenizer of transformers as models keep it.

    A text starts with its token for that (or for a class, padding or an end, where there is none) and ends with the one
    for an end (or a separator). Raises InputError where it is not there or has no such tokens.
    """
    auto = transformers().AutoTokenizer
    try:
        found = auto.from_pretrained(name)
        text = found.backend_tokenizer.to_str()
    except Exception as error:  # as above; tokenizers in Python have no backend
        raise InputError(
            f"captions: tokenizer.name {name!r} is no fast tokenizer of transformers that can be loaded "
            f"({_reason(error)}); give a folder or a name on the hub"
        ) from error
    end = found.eos_token or found.sep_token
    start = found.bos_token or found.cls_token or found.pad_token or end
    if end is None or start is None:
        raise InputError(f"captions: the tokenizer {name!r} has no token for the end of a text; choose another")
    unknown = found.unk_token if found.unk_token not in (start, end) else None
    return StoredTokenizer(text=text, start=start, end=end, pad=found.pad_token or end, unknown=unknown)


def _reason(error: Exception) -> str:
    return " ".join(f"{error}".split())[:LONGEST_REASON]
