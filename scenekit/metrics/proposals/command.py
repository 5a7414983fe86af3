"""`scenekit score proposals`."""

from pathlib import Path
from typing import Annotated

import typer

from scenekit.cli import output
from scenekit.errors import InputError


def proposals(
    ground_truth: Annotated[Path, typer.Argument(metavar="GT.json", help="Ground truth in COCO's layout.")],
    proposed: Annotated[
        Path, typer.Argument(metavar="PROPOSALS.json", help="Boxes with scores in the layout of COCO's results.")
    ],
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE.png", help="Draw recall against number of proposals and against IoU."),
    ] = None,
    as_json: output.JsonOption = False,
) -> None:
    """Compute the recall of class-agnostic boxes: AR at 100, 300 and 1000, equal to pycocotools without classes."""
    from scenekit.metrics.notes import Notes
    from scenekit.metrics.proposals import score_proposal_files

    if plot is not None and plot.suffix.lower() != ".png":
        raise InputError(f"--plot {plot}: the drawing is a PNG; expected a name that ends in .png")
    if plot is not None:
        output.make_folder(plot.parent)
    notes = Notes()
    with output.console.status("scoring"):
        scores = score_proposal_files(ground_truth, proposed, notes)
    output.print_notes(notes)
    if plot is not None:
        from scenekit.visualization.recall_curves import draw_recall

        output.save_image(draw_recall({proposed.stem: scores}), plot)
    if as_json:
        output.print_json(notes.beside(scores))
    else:
        numbers = [(name, output.rounded(value)) for name, value in scores.items() if name != "curves"]
        output.print_table("proposals", ("metric", "value"), numbers)
