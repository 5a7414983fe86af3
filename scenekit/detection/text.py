"""Embeddings of class names by the text encoder of CLIP or SigLIP, and class logits from them.

Letters: N regions, C class names, K = C + 1 with background, D features of a region, E numbers of an embedding, T
templates, L tokens.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Float
from pydantic import AfterValidator, Field
from torch import Tensor, nn
from torch.nn import functional as F

from scenekit.backbones.pretrained import downloading, library, note_license, quiet
from scenekit.config import Config
from scenekit.errors import InputError
from scenekit.io.files import user_cache, write_atomically

MODELS: Mapping[str, tuple[str, str]] = {
    "clip": ("CLIPTextModelWithProjection", "text_embeds"),
    "clip_text_model": ("CLIPTextModelWithProjection", "text_embeds"),
    "siglip": ("SiglipTextModel", "pooler_output"),
    "siglip_text_model": ("SiglipTextModel", "pooler_output"),
    "siglip2": ("Siglip2TextModel", "pooler_output"),
    "siglip2_text_model": ("Siglip2TextModel", "pooler_output"),
}
"""By model type: the class of transformers, and which of its outputs is the embedding."""

CHUNK = 64
"""Texts that are encoded at once."""

TEMPERATURE, SHARPEST = 0.07, 100.0
"""Initial temperature of the softmax and the largest scale of the cosines, as in CLIP (Radford et al., 2021)."""


def _with_place(template: str) -> str:
    if template.count("{}") != 1:
        raise ValueError(f"expected one {{}} for the class name, got {template!r}")
    return template


class TextConfig(Config):
    """Class weights from the embeddings of class names, so that a class can be added by its name."""

    weights: str | None = None
    """Text encoder: CLIP, SigLIP or SigLIP 2 of transformers, as a folder or a name on the Hugging Face hub. A model
    stores the embeddings of its class names and needs it no more; null for a model whose weights are loaded.
    """
    dim: int = Field(default=768, ge=1)
    """Numbers of an embedding: 768 for the base models of SigLIP, 512 for those of CLIP."""
    templates: tuple[Annotated[str, AfterValidator(_with_place)], ...] = Field(
        default=("a photo of a {}.",), min_length=1
    )
    """Sentences around a class name; the embedding of a class is the mean over them."""


def text_embeddings(names: Sequence[str], config: TextConfig) -> Float[Tensor, "C E"]:
    """Return the embeddings of class names; they are stored in the cache folder of scenekit, one file per vocabulary.

    Args:
        names: The class names.
        config: The text encoder.

    Returns:
        Vectors of length 1; zeros without an encoder.

    Raises:
        InputError: If the encoder cannot be loaded, or its embeddings have another size.
    """
    if config.weights is None or not names:
        return torch.zeros(len(names), config.dim)
    file = user_cache() / "text" / f"{_fingerprint(names, config)}.npy"
    embeddings = _stored(file)
    if embeddings is None:
        embeddings = encode([template.format(name) for name in names for template in config.templates], config.weights)
        embeddings = F.normalize(embeddings.reshape(len(names), -1, embeddings.shape[1]).mean(dim=1), dim=1)
        _store(file, embeddings)
    if embeddings.shape[1] != config.dim:
        raise InputError(
            f"the text encoder {config.weights!r} gives embeddings of {embeddings.shape[1]} numbers, expected "
            f"{config.dim}; set box_head.text.dim: {embeddings.shape[1]}"
        )
    return embeddings


def encode(texts: Sequence[str], weights: str) -> Float[Tensor, "T E"]:
    """Encode texts with a text encoder of transformers.

    Args:
        texts: The texts.
        weights: Folder, or name on the Hugging Face hub.

    Returns:
        Vectors of length 1.

    Raises:
        InputError: If the encoder cannot be loaded, or is of another kind.
    """
    transformers = library()
    with downloading(weights), quiet():
        config = transformers.AutoConfig.from_pretrained(weights)
    if config.model_type not in MODELS:
        raise InputError(f"text encoder {weights!r}: expected CLIP, SigLIP or SigLIP 2, got {config.model_type}")
    note_license(weights, config)
    kind, output = MODELS[config.model_type]
    with downloading(weights), quiet():
        tokenizer = transformers.AutoTokenizer.from_pretrained(weights)
        network, report = getattr(transformers, kind).from_pretrained(
            weights, dtype=torch.float32, output_loading_info=True
        )
    if report["missing_keys"]:
        raise InputError(f"text encoder {weights!r}: {len(report['missing_keys'])} parameters are missing")
    network.eval()
    length = network.config.max_position_embeddings
    parts = []
    for start in range(0, len(texts), CHUNK):
        chunk = list(texts[start : start + CHUNK])
        # SigLIP was trained on texts padded to the full length; CLIP's result does not depend on it.
        tokens = tokenizer(chunk, padding="max_length", truncation=True, max_length=length, return_tensors="pt")
        with torch.no_grad():
            parts.append(network(**_accepted(tokens, config.model_type))[output].float())
    return F.normalize(torch.cat(parts), dim=1)


def _accepted(tokens: Mapping[str, Tensor], kind: str) -> dict[str, Tensor]:
    """Return the inputs of the network: SigLIP reads the padding, too."""
    names = ("input_ids", "attention_mask") if kind.startswith("clip") else ("input_ids",)
    return {name: tokens[name] for name in names}


def _fingerprint(names: Sequence[str], config: TextConfig) -> str:
    folder = Path(str(config.weights))
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    versions = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    parts = (str(folder.resolve()) if files else config.weights, versions, config.templates, tuple(names))
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _stored(file: Path) -> Float[Tensor, "C E"] | None:
    try:
        values = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):  # no file, or one that cannot be read and is written again
        return None
    return torch.from_numpy(values) if values.ndim == 2 and values.dtype == np.float32 else None


def _store(file: Path, embeddings: Float[Tensor, "C E"]) -> None:
    """Store embeddings; a cache that cannot be written is done without."""
    stream = io.BytesIO()
    np.save(stream, embeddings.numpy(), allow_pickle=False)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, stream.getvalue())
    except (OSError, InputError):
        return


class TextBoxPredictor(nn.Module):
    """Class logits from the cosine between a region and the embedding of each class name, and four offsets per region.

    The logit of a class is scale * cosine + bias, that of background scale * cosine with a vector that is learned. No
    parameter belongs to a class, so that classes can be added.

    Args:
        dim: Number of features of a region.
        names: Names of the foreground classes.
        config: The text encoder.
    """

    def __init__(self, dim: int, names: Sequence[str], config: TextConfig) -> None:
        super().__init__()
        self.register_buffer("text", text_embeddings(names, config))
        self.projection = nn.Linear(dim, config.dim)
        self.background = nn.Parameter(F.normalize(torch.randn(config.dim), dim=0))
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / TEMPERATURE)))
        self.bias = nn.Parameter(torch.zeros(()))
        self.deltas = nn.Linear(dim, 4)
        nn.init.normal_(self.deltas.weight, std=0.001)
        nn.init.zeros_(self.deltas.bias)

    text: Float[Tensor, "C E"]

    def forward(self, features: Float[Tensor, "N D"]) -> tuple[Float[Tensor, "N K"], Float[Tensor, "N C 4"]]:
        """Compute logits, background last, and offsets in full precision; the offsets are the same for each class.

        Args:
            features: Features of the regions.

        Returns:
            Logits and offsets.
        """
        regions = F.normalize(self.projection(features).float(), dim=1)
        scale = self.log_scale.exp().clamp(max=SHARPEST)
        classes = scale * regions @ self.text.t() + self.bias
        background = scale * regions @ F.normalize(self.background, dim=0)[:, None]
        deltas = self.deltas(features).float()[:, None].expand(-1, len(self.text), -1)
        return torch.cat((classes, background), dim=1), deltas

    def check_ready(self) -> None:
        """Check that class names are embedded.

        Raises:
            InputError: If they are not.
        """
        if len(self.text) and not bool(self.text.any(dim=1).all()):
            raise InputError("class names have no embeddings; set model.detector_options.box_head.text.weights")
