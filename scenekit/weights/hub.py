"""Models on the Hugging Face hub: a repository holds the files of a saved model and its card."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import torch

from scenekit.errors import InputError, one_line
from scenekit.io.files import path_named, plain, write_atomically
from scenekit.model.scene_model import SceneModel
from scenekit.weights.card import Evaluation, model_card, with_evaluations
from scenekit.weights.checkpoint import MANIFEST, WEIGHTS, load_model, read_manifest, save_model
from scenekit.weights.exported import NETWORKS, copy_networks

CARD = "README.md"

EXPORTED = f"{NETWORKS}/*"
"""Pattern of the files of an export, in folders at any depth."""

LOGIN = "log in with `hf auth login`, or set HF_TOKEN"


def push_to_hub(
    model: SceneModel | str | os.PathLike[str],
    repository: str,
    *,
    revision: str | None = None,
    message: str | None = None,
    private: bool | None = None,
    token: str | None = None,
    license: str | None = None,
    evaluations: Sequence[Evaluation] = (),
    dtype: torch.dtype | None = None,
) -> str:
    """Upload weights, manifest and model card as one commit.

    Args:
        model: The model, or the path of a saved one, whose manifest keeps its record of the training. The networks of
            an exported one are uploaded, too, if it is named by its folder and `dtype` is None.
        repository: "owner/name"; created if it does not exist.
        revision: Branch; created if it does not exist.
        message: Commit message.
        private: Whether a new repository is private; None for the account's setting.
        token: Access token; None for the one that the hub's client finds.
        license: License as the hub names it, such as "apache-2.0".
        evaluations: Evaluations to add to the manifest, and so to the card.
        dtype: Type in which floating-point weights are stored; their own if None.

    Returns:
        Address of the commit.

    Raises:
        InputError: If the hub refuses the token or the request, or cannot be reached.
    """
    from huggingface_hub import HfApi

    api = HfApi(token=token, library_name="scenekit")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        loaded = _staged(model, folder, dtype)
        _describe(loaded, folder, repository, license, evaluations)
        with _hub_errors(f"{repository}:", revision):
            api.create_repo(repository, private=private, exist_ok=True)
            if revision is not None:
                api.create_branch(repository, branch=revision, exist_ok=True)
            commit = api.upload_folder(
                repo_id=repository,
                folder_path=folder,
                revision=revision,
                commit_message=message or "A scenekit model",
                allow_patterns=[MANIFEST, WEIGHTS, CARD, EXPORTED],
                delete_patterns=[EXPORTED],  # of an earlier commit
            )
    return str(commit.commit_url)


def download(name: str) -> Path:
    """Download the files of a model with the hub's client.

    Args:
        name: "owner/name" or "owner/name@revision".

    Returns:
        Folder with the files.

    Raises:
        InputError: If there is no such repository or revision, or the hub cannot be reached and the files are not
            cached.
    """
    from huggingface_hub import snapshot_download

    repository, _, revision = name.partition("@")
    with _hub_errors(f"{name}: no such folder, and", revision):
        patterns = [MANIFEST, WEIGHTS, EXPORTED]
        return Path(snapshot_download(repository, revision=revision or None, allow_patterns=patterns))


def _staged(model: SceneModel | str | os.PathLike[str], folder: Path, dtype: torch.dtype | None) -> SceneModel:
    """Write the files of a model to `folder`, those of a saved one unchanged; return the model."""
    if isinstance(model, SceneModel):
        save_model(model, folder, dtype=dtype)
        return model
    path = path_named(model)
    loaded, manifest = load_model(path, networks=False), read_manifest(path)
    if path.is_dir() and dtype is None:
        for name in (MANIFEST, WEIGHTS):
            shutil.copyfile(path / name, folder / name)
        if NETWORKS in manifest:
            copy_networks(path, folder, manifest[NETWORKS])
    else:
        save_model(loaded, folder, dtype=dtype, extra=manifest.get("extra"))
    return loaded


def _describe(
    model: SceneModel, folder: Path, repository: str, license: str | None, evaluations: Sequence[Evaluation]
) -> None:
    """Complete the manifest, and write the card beside it."""
    manifest = read_manifest(folder)
    if evaluations:
        manifest = with_evaluations(manifest, evaluations)
        write_atomically(folder / MANIFEST, json.dumps(plain(manifest), indent=1).encode())
    size = (folder / WEIGHTS).stat().st_size
    write_atomically(folder / CARD, model_card(model, repository, manifest, size, license).encode())


@contextmanager
def _hub_errors(about: str, revision: str | None) -> Iterator[None]:
    """Raise errors of the hub and its client as InputError that begins with `about` and says what to do."""
    from huggingface_hub.errors import HfHubHTTPError

    # The client's HTTP library changes with its version; its errors are the bases of the client's own. RuntimeError
    # comes from the upload of large files, ValueError from names and from answers that are not the hub's.
    errors = (*HfHubHTTPError.__bases__, OSError, RuntimeError, ValueError)
    try:
        yield
    except cast("tuple[type[Exception], ...]", errors) as error:
        raise InputError(f"{about} {_reason(error, revision)}") from error


def _reason(error: Exception, revision: str | None) -> str:
    from huggingface_hub import errors

    message = one_line(error)
    if isinstance(error, errors.RevisionNotFoundError):
        return f"the repository on the Hugging Face hub has no revision {revision!r}"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"the Hugging Face hub has no such repository, or it is private; check the name, or {LOGIN}"
    if isinstance(error, errors.HFValidationError):
        return f"not a name of the Hugging Face hub ({message}); expected owner/name"
    status = getattr(getattr(error, "response", None), "status_code", None)  # of the response, if there is one
    if status == 401:
        return f"the Hugging Face hub requires a token; {LOGIN}"
    if status == 403:
        return f"the Hugging Face hub does not permit this with the token; {LOGIN} with one that has write access"
    if status is not None:
        return f"the Hugging Face hub refuses ({message})"
    return f"the Hugging Face hub cannot be reached; check the name or the connection ({message})"
