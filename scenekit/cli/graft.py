"""`scenekit graft`: heads of several models on one trunk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scenekit.cli import output
from scenekit.cli.convert import FOREIGN
from scenekit.errors import InputError


def graft(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL[:PARTS]...",
            help="Models with their tasks, as A:trunk,detection B:captions; all tasks where none is named. The first "
            "gives trunk and detector.",
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="PATH", help="A file ending in .safetensors, or a folder.")
    ],
    as_json: output.JsonOption = False,
) -> None:
    """Join heads of several models that share their trunk; each predicts as before."""
    if out.suffix in FOREIGN:
        raise InputError(f"--out: expected a file ending in .safetensors or a folder, got {out}")
    from scenekit.weights import save_model
    from scenekit.weights.grafting import Scion, graft

    model, origins = graft([Scion.parse(text) for text in models])
    save_model(model, out, extra={"grafted": origins})
    if as_json:
        output.print_json({"model": str(out), "tasks": model.tasks, "from": origins})
    else:
        output.print_table("", ("part", "from"), list(origins.items()))
        output.print_text(f"wrote {out}; use it with: scenekit predict --model {out} IMAGE")
