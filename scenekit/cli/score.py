"""`scenekit score`: metrics of result files against ground-truth files, without a model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scenekit.cli import output
from scenekit.errors import InputError, nearest

if TYPE_CHECKING:
    from scenekit.metrics.coco.average_precision import Kind
    from scenekit.metrics.paired_images import Notes

StrictOption = Annotated[
    bool, typer.Option("--strict", help="Refuse what is odd but can be scored, such as an object related to itself.")
]

app = typer.Typer(name="score", no_args_is_help=True, help="Score result files against ground truth, without a model.")


@app.command("coco")
def coco(
    truth: Annotated[Path, typer.Argument(metavar="GT.json", help="Ground truth in COCO's layout.")],
    results: Annotated[Path, typer.Argument(metavar="RESULTS.json", help="Results in COCO's layout.")],
    kinds: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...", help="What to score: bbox, segm, keypoints. Default: all that the results hold."
        ),
    ] = None,
    sigmas: Annotated[
        str | None,
        typer.Option(metavar="S1,S2,...", help="Falloff of OKS per keypoint. Default: those of COCO's 17 keypoints."),
    ] = None,
    as_json: output.JsonOption = False,
) -> None:
    """Average precision of boxes, masks and keypoints, equal to pycocotools."""
    from scenekit.metrics.coco.files import score_files

    with output.console.status("scoring"):
        scores = score_files(truth, results, _kinds(kinds), _numbers(sigmas))
    if as_json:
        output.print_json(scores)
        return
    for kind, metrics in scores.items():
        _print_scores(kind, metrics, ("AP", "AP50"))


@app.command("panoptic")
def panoptic(
    truth: Annotated[Path, typer.Argument(metavar="GT.json", help="Ground truth in COCO's panoptic layout.")],
    truth_maps: Annotated[Path, typer.Argument(metavar="GT_PNGS", help="Folder of its PNG files.")],
    prediction: Annotated[Path, typer.Argument(metavar="PRED.json", help="Predictions in the same layout.")],
    predicted_maps: Annotated[Path, typer.Argument(metavar="PRED_PNGS", help="Folder of their PNG files.")],
    all_crowds: Annotated[
        bool,
        typer.Option(
            "--all-crowds", help="Let every crowd segment of a category excuse predictions, not the last alone."
        ),
    ] = False,
    as_json: output.JsonOption = False,
) -> None:
    """Panoptic quality (PQ, SQ, RQ) by the official protocol."""
    from scenekit.metrics.panoptic.files import score_panoptic_files

    scores = score_panoptic_files(
        truth,
        truth_maps,
        prediction,
        predicted_maps,
        "all" if all_crowds else "last",
        lambda images: output.progress(images, "scoring"),
    )
    if as_json:
        output.print_json(scores)
    else:
        seen = {name: row for name, row in scores["per_class"].items() if row["tp"] + row["fp"] + row["fn"] > 0}
        _print_scores("panoptic", {**scores, "per_class": seen}, ("PQ", "SQ", "RQ"))


@app.command("scene-graph")
def scene_graph(
    truth: Annotated[Path, typer.Argument(metavar="GT.json", help="Ground truth; see above.")],
    prediction: Annotated[Path, typer.Argument(metavar="PRED.json", help="Predictions; see above.")],
    mode: Annotated[
        str,
        typer.Option(metavar="MODE", help="What was given: predcls (boxes, labels), sgcls (boxes), sgdet (nothing)."),
    ],
    zero_shot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help='Triplets that training lacks: {"triplets": [\\[subject class, object class, predicate], ...]}.',
        ),
    ] = None,
    skip_without_pairs: Annotated[
        bool,
        typer.Option(
            "--skip-without-pairs",
            help="Leave images without predicted relations out, as Scene-Graph-Benchmark does; default: recall 0.",
        ),
    ] = False,
    strict: StrictOption = False,
    as_json: output.JsonOption = False,
) -> None:
    r"""Scene-graph recall (R@K, mR@K, with and without graph constraint), equal to Scene-Graph-Benchmark.

    GT.json: {"images": [{"id", "boxes", "labels", "relations"}]}.
    A relation is \[subject, object, predicate]: subject and object are places
    in boxes, from 0, predicates count from 1. A list "predicates" of their
    names may stand beside "images". Boxes are xyxy pixels, the last included.

    PRED.json: the same with "scores", one per object, and relations
    {"subject", "object", "scores"}, sorted: the best triplet first.
    Scores of a relation are \[no relation, predicate 1, predicate 2, ...].
    """
    from scenekit.metrics.paired_images import Notes
    from scenekit.metrics.scene_graph.files import score_scene_graph_files
    from scenekit.metrics.scene_graph.recall import read_mode

    notes = Notes(strict)
    scores = score_scene_graph_files(
        truth,
        prediction,
        read_mode(mode),
        zero_shot,
        "skip" if skip_without_pairs else "zero",
        notes,
        lambda images: output.progress(images, "scoring"),
    )
    _print_notes(notes)
    if as_json:
        output.print_json(scores)
    else:
        _print_recalls(f"scene graphs, {mode}, {scores['images']} images", scores)


@app.command("dense-captions")
def dense_captions(
    truth: Annotated[Path, typer.Argument(metavar="GT.json", help="Ground truth; see above.")],
    prediction: Annotated[Path, typer.Argument(metavar="PRED.json", help="Predictions; see above.")],
    language: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="How texts are compared: unigram-F, or METEOR (needs Java and pycocoevalcap)."
        ),
    ] = "unigram-F",
    last_region: Annotated[
        bool,
        typer.Option(
            "--last-region",
            help="Let detections far from all regions take the last one, as DenseCap's Lua program does.",
        ),
    ] = False,
    strict: StrictOption = False,
    as_json: output.JsonOption = False,
) -> None:
    """Dense-captioning mAP by DenseCap's protocol; CIDEr-D, BLEU and ROUGE beside it.

    GT.json: {"images": [{"id", "boxes", "captions"}]}. Boxes are xyxy pixels,
    half-open; captions are one text, or a list of texts, per box.

    PRED.json: the same with one text per box, and "scores".

    mAP depends on how texts are compared: numbers by unigram-F and by METEOR
    cannot be compared with each other.
    """
    from scenekit.metrics.dense_captions.files import score_dense_caption_files
    from scenekit.metrics.paired_images import Notes

    notes = Notes(strict)
    scores = score_dense_caption_files(
        truth, prediction, language, last_region, notes, lambda images: output.progress(images, "scoring")
    )
    _print_notes(notes)
    if as_json:
        output.print_json(scores)
    else:
        _print_dense_captions(language, scores)


@app.command("kitti")
def kitti(
    truth: Annotated[Path, typer.Argument(metavar="GT_DIR", help="Folder of label files, one an image.")],
    prediction: Annotated[Path, typer.Argument(metavar="PRED_DIR", help="Folder of files of the same names.")],
    as_json: output.JsonOption = False,
) -> None:
    """KITTI's average precision: 2D boxes, orientation (AOS), seen from above (BEV) and 3D, in percent.

    Both folders hold text files as KITTI's label_2 does: class, truncated,
    occluded, alpha, left, top, right, bottom, height, width, length, x, y, z,
    rotation_y; of predictions also the score. Empty files: no objects. They may
    also lie one folder deeper, in label_2 and, of predictions, in data.

    AP40 at the strict overlaps is what the benchmark's site shows.
    """
    from scenekit.metrics.kitti.files import score_kitti_files

    scores = score_kitti_files(truth, prediction, lambda files: output.progress(files, "scoring"))
    if as_json:
        output.print_json(scores)
    else:
        _print_kitti(scores)


@app.command("omni3d")
def omni3d(
    truth: Annotated[Path, typer.Argument(metavar="GT.json", help="Ground truth in Omni3D's layout.")],
    prediction: Annotated[Path, typer.Argument(metavar="PRED.json", help="Predictions; see above.")],
    truncation: Annotated[float, typer.Option(help="Ignore objects cut off by so much, as a share.")] = 0.33333333,
    visibility: Annotated[float, typer.Option(help="Ignore objects seen by no more than this share.")] = 0.33333333,
    min_height: Annotated[float, typer.Option(help="Ignore objects no higher than this share of the image.")] = 1 / 16,
    boxes: Annotated[
        str, typer.Option(metavar="KIND", help="2D boxes of the ground truth: tight, trunc or proj.")
    ] = "trunc",
    proximity: Annotated[
        bool, typer.Option("--proximity", help="Leave out detections that are close to no object: labels have gaps.")
    ] = False,
    as_json: output.JsonOption = False,
) -> None:
    r"""AP of 3D boxes by Omni3D's protocol, and of their 2D boxes; fractions.

    PRED.json: \[{"image_id", "category_id", "bbox": \[x, y, width, height],
    "score", "depth", "bbox3D": eight corners}]. Corners are in metres of the
    camera, in the order (0,0,0) (1,0,0) (1,1,0) (0,1,0) of the unit cube, then
    the same at z = 1. Categories go by the ids in GT.json.
    """
    from scenekit.metrics.omni3d.average_precision import Omni3DFilter
    from scenekit.metrics.omni3d.files import read_kind, score_omni3d_files

    rules = Omni3DFilter(truncation, visibility, min_height)
    scores = score_omni3d_files(
        truth, prediction, rules, read_kind(boxes), proximity, lambda cells: output.progress(cells, "scoring")
    )
    if as_json:
        output.print_json(scores)
        return
    for mode, found in scores.items():
        table = {**found, "per_class": {name: {"AP": value} for name, value in found["per_category_AP"].items()}}
        del table["per_category_AP"]
        _print_scores(f"Omni3D {mode}", table, ("AP",))


def _kinds(text: str | None) -> "list[Kind] | None":
    """The kinds of AP in `bbox,segm`."""
    from scenekit.metrics.coco.average_precision import METRICS

    names = None if text is None else [name.strip() for name in text.split(",")]
    if unknown := [name for name in names or () if name not in METRICS]:
        raise InputError(f"--kinds: cannot score {unknown[0]!r}{nearest(unknown[0], list(METRICS))}")
    return None if names is None else [kind for kind in METRICS if kind in names]


def _numbers(text: str | None) -> list[float] | None:
    """The positive numbers in `0.1,0.2`."""
    if text is None:
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or not all(0 < number < float("inf") for number in numbers):
        raise InputError(f"--sigmas expects positive numbers such as 0.05,0.1, not {text!r}")
    return numbers


def _print_scores(title: str, scores: Mapping[str, Any], columns: Sequence[str]) -> None:
    """The metrics over all classes, then `columns` of each class."""
    totals = [(name, output.rounded(value)) for name, value in scores.items() if name != "per_class"]
    output.print_table(title, ("metric", "value"), totals)
    rows = [(name, *(output.rounded(row[column]) for column in columns)) for name, row in scores["per_class"].items()]
    output.print_table(f"{title} per class", ("class", *columns), rows)


def _print_notes(notes: "Notes") -> None:
    for line in notes.lines():
        output.console.print(f"note: {line}", markup=False, soft_wrap=True)


def _print_recalls(title: str, scores: Mapping[str, Any]) -> None:
    """A row per metric and a column per cut-off; the same per predicate, of those that occur."""
    named = [name.split("@") for name in scores if "@" in name]
    metrics, cutoffs = (list(dict.fromkeys(part)) for part in zip(*named, strict=True))
    totals = [(metric, *(output.rounded(scores[f"{metric}@{k}"]) for k in cutoffs)) for metric in metrics]
    output.print_table(title, ("metric", *(f"@{k}" for k in cutoffs)), totals)
    seen = {name: row for name, row in scores["per_predicate"].items() if row["count"]}
    columns = list(next(iter(seen.values()), ()))
    rows = [(name, *(output.rounded(row[column]) for column in columns)) for name, row in seen.items()]
    output.print_table(f"{title}, per predicate", ("predicate", *columns), rows)


def _print_dense_captions(language: str, scores: Mapping[str, Any]) -> None:
    """The metrics, then AP by IoU (rows) and language score (columns)."""
    names = {"mAP": f"mAP ({language})", "detection_mAP": "detection mAP"}
    shown = {name: value for name, value in scores.items() if name not in ("breakdown", "language_score")}
    totals = [(names.get(name, name), output.rounded(value)) for name, value in shown.items()]
    output.print_table("dense captions", ("metric", "value"), totals)
    columns = list(next(iter(scores["breakdown"].values())))
    rows = [(iou, *(output.rounded(row[column]) for column in columns)) for iou, row in scores["breakdown"].items()]
    heads = [column if column == "detection" else f"> {column}" for column in columns]
    output.print_table(f"AP by IoU and {language}", ("IoU", *heads), rows)


def _print_kitti(scores: Mapping[str, float]) -> None:
    """A table for each kind of average: a row per class and metric, a column per difficulty and overlap."""
    names = [name.removeprefix("KITTI/").split("_") for name in scores]
    for kind in ("AP40", "AP11"):
        own = [name for name in names if name[2] == kind and len(name) == 5]
        columns = list(dict.fromkeys((difficulty, level) for _, _, _, difficulty, level in own))
        rows = [
            (
                f"{name}, {metric}",
                *(output.rounded(scores[f"KITTI/{name}_{metric}_{kind}_{d}_{level}"]) for d, level in columns),
            )
            for name, metric in dict.fromkeys((name, metric) for name, metric, *_ in own)
        ]
        output.print_table(f"KITTI {kind}", ("percent", *(f"{d}, {level}" for d, level in columns)), rows)
