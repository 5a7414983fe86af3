"""Models on the Hugging Face hub: a repository holds what a model's folder holds, and a card."""

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
from scenekit.io.files import plain, write_atomically
from scenekit.model.scene_model import SceneModel
from scenekit.weights.card import Evaluation, model_card, with_evaluations
from scenekit.weights.checkpoint import MANIFEST, WEIGHTS, load_model, read_manifest, save_model

CARD = "README.md"

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
    """Upload weights, manifest and model card as one commit; gives the address of the commit.

    `model` is a model, or the path of a saved one, which goes up with what its manifest tells of its training.
    `repository` is "owner/name" and is made where there is none (`private` then says who sees it; the account's own
    setting, if None); `revision` a branch, made where there is none. `token`: the one that the hub's client finds, if
    None. `license` as the hub names it, such as "apache-2.0"; `evaluations` join those of the manifest, and so the
    card; `dtype` stores a model's weights smaller.
    Raises InputError, in one line, where the hub wants another token, refuses, or cannot be reached.
    """
    from huggingface_hub import HfApi

    api = HfApi(token=token, library_name="scenekit")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        loaded = _staged(model, folder, dtype)
        _describe(loaded, folder, repository, license, evaluations)
        with _asking(f"{repository}:", revision):
            api.create_repo(repository, private=private, exist_ok=True)
            if revision is not None:
                api.create_branch(repository, branch=revision, exist_ok=True)
            commit = api.upload_folder(
                repo_id=repository,
                folder_path=folder,
                revision=revision,
                commit_message=message or "A scenekit model",
                allow_patterns=[MANIFEST, WEIGHTS, CARD],
            )
    return str(commit.commit_url)


def download(name: str) -> Path:
    """The folder to which the hub's client brought the files of "owner/name" or "owner/name@revision".

    Raises InputError where there is no such repository or revision, or the hub cannot be reached and the files are not
    here from before.
    """
    from huggingface_hub import snapshot_download

    repository, _, revision = name.partition("@")
    with _asking(f"{name}: no such folder, and", revision):
        return Path(snapshot_download(repository, revision=revision or None, allow_patterns=[MANIFEST, WEIGHTS]))


def _staged(model: SceneModel | str | os.PathLike[str], folder: Path, dtype: torch.dtype | None) -> SceneModel:
    """Weights and manifest in `folder`, those of a saved model as they are; gives the model."""
    if isinstance(model, SceneModel):
        save_model(model, folder, dtype=dtype)
        return model
    path = Path(model).expanduser()
    loaded = load_model(path)
    if path.is_dir() and dtype is None:
        for name in (MANIFEST, WEIGHTS):
            shutil.copyfile(path / name, folder / name)
    else:
        save_model(loaded, folder, dtype=dtype, extra=read_manifest(path).get("extra"))
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
def _asking(about: str, revision: str | None) -> Iterator[None]:
    """What the hub or its client answer becomes an InputError that begins with `about` and says what to do."""
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

    told = one_line(error)
    if isinstance(error, errors.RevisionNotFoundError):
        return f"the repository on the Hugging Face hub has no revision {revision!r}"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"the Hugging Face hub has no such repository, or a private one; check the name, or {LOGIN}"
    if isinstance(error, errors.HFValidationError):
        return f"the Hugging Face hub has no such names ({told})"
    status = getattr(getattr(error, "response", None), "status_code", None)  # an answer, if there was one
    if status == 401:
        return f"the Hugging Face hub wants a token; {LOGIN}"
    if status == 403:
        return f"the Hugging Face hub gives this token no right to do so; {LOGIN} with one that may write"
    if status is not None:
        return f"the Hugging Face hub refuses ({told})"
    return f"the Hugging Face hub cannot be reached; check the name or the connection ({told})"
