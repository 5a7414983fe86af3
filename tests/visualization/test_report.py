"""The report: whole, self-contained, safe, and readable for programs too."""

import base64
import io
import re
from dataclasses import replace
from functools import lru_cache
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from PIL import Image

from scenekit.fields.base import Field
from scenekit.fields.frame import Columns, Frame, Swatch
from scenekit.keys import ATTRIBUTES, CAPTIONS, OBJECTS, PANOPTIC, PHRASE_CAPTIONS, PHRASES, RELATIONS, Key
from scenekit.scene import Objects, Scene
from scenekit.structures import Captions, Relations
from scenekit.visualization import ReportEntry, draw_layers, write_report
from scenekit.visualization.palette import stuff_color, to_hex
from tests.visualization.scenes import gray_image, nothing, room

VOID = {"meta", "img", "input"}


class Page(HTMLParser):
    """Text, tags and attributes; refuses tags that are not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@lru_cache(maxsize=1)
def drawn_room() -> tuple[Scene, Image.Image, dict[str, Image.Image]]:
    """A scene, its image and its layers."""
    scene = room(120, 160)
    return scene, gray_image(scene), draw_layers(scene, gray_image(scene))


def entry(name: str, truth: bool = False) -> ReportEntry:
    scene, picture, layers = drawn_room()
    timings = {"backbone": 0.12, "masks": 0.0034}
    return ReportEntry(name, picture, scene, layers, timings, scene if truth else None)


def before_it_ends() -> bytes:
    """The first half of an image file."""
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(buffer, "PNG")
    return buffer.getvalue()[:1500]


def write(tmp_path: Path, *entries: ReportEntry, title: str = "demo") -> tuple[str, Page]:
    path = tmp_path / "report.html"
    write_report(path, entries, title=title, model_info={"model": "small", "tasks": ["masks", "semantic"]})
    html = path.read_text(encoding="utf-8")
    return html, Page(html)


def test_every_scene_is_in(tmp_path: Path) -> None:
    _, page = write(tmp_path, entry("street 1"), entry("street 2", truth=True))
    text = " ".join(page.text)
    assert text.count("street 1") == text.count("street 2") == 2
    links = [a["href"] for a in page.named("a")]
    assert [f"#{a['id']}" for a in page.named("article")] == links
    for part in (
        "small",
        "masks, semantic",
        "160 × 120",
        "0.90",
        "20, 15, 40, 90",
        "2 / 3",
        "120 ms",
        "3.4 ms",
        "floor",
    ):
        assert part in text, part


def test_images_are_embedded_and_described(tmp_path: Path) -> None:
    _, page = write(tmp_path, entry("alone"), entry("compared", truth=True))
    images = page.named("img")
    assert len(images) == (1 + 5) + (1 + 5 + 5)
    for image in images:
        kind, data = str(image["src"]).split(",", 1)
        assert kind == "data:image/webp;base64" and image["alt"]
        size = Image.open(io.BytesIO(base64.b64decode(data))).size
        assert size == (int(str(image["width"])), int(str(image["height"])))


def test_nothing_comes_from_outside(tmp_path: Path) -> None:
    html, page = write(tmp_path, entry("alone"))
    bare = re.sub(r"data:image/webp;base64,[A-Za-z0-9+/=]+", "", html)
    assert not re.search(r"https?:|//|url\(|@import|<script|<link", bare)
    assert all(str(a["href"]).startswith("#") for a in page.named("a"))


@pytest.mark.parametrize("evil", ['<script>alert("x")</script>', "\"><img src=x onerror='y'>", "a & b"])
def test_text_is_escaped(tmp_path: Path, evil: str) -> None:
    scene = replace(entry(evil), timings={evil: 1.0}, layers={evil: Image.new("RGB", (4, 4))})
    html, page = write(tmp_path, scene, title=evil)
    assert evil not in html and "<b>chair" not in html
    text = " ".join(page.text)
    assert evil in text and "<b>chair</b>" in text
    assert page.named("script") == [] and len(page.named("img")) == 2


def test_empty_scene_and_no_scene(tmp_path: Path) -> None:
    scene = nothing()
    picture = gray_image(scene)
    html, page = write(tmp_path, ReportEntry("empty", picture, scene, draw_layers(scene, picture), ground_truth=scene))
    assert "no objects" in html and "none found" in html
    assert len(page.named("img")) == 1, "layers in which nothing is drawn are left out"
    write(tmp_path)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 2)], ids=str)
def test_odd_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    scene = room(*size)
    picture = gray_image(scene)
    _, page = write(tmp_path, ReportEntry("odd", picture, scene, draw_layers(scene, picture)))
    assert 1 < len(page.named("img")) <= 6, "the image, and the layers in which anything is drawn"


def test_without_panoptic_the_semantic_classes_are_listed(tmp_path: Path) -> None:
    scene = room()
    scene = replace(scene, values={k: v for k, v in scene.values.items() if k != PANOPTIC})
    _, page = write(tmp_path, ReportEntry("semantic", gray_image(scene), scene, {}))
    assert {"wall", "floor", "Semantic"} <= set(page.text)
    assert "12.5%" not in page.text and "7.8%" in page.text, "the person covers 40 x 150 of 320 x 240 pixels"


def test_written_whole_or_not_at_all(tmp_path: Path) -> None:
    write(tmp_path, entry("first"))
    before = (tmp_path / "report.html").read_bytes()
    unreadable = Image.open(io.BytesIO(before_it_ends()))
    with pytest.raises(OSError, match="truncated"):
        write(tmp_path, replace(entry("second"), layers={"boxes": unreadable}))
    assert (tmp_path / "report.html").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    write_report(tmp_path / "new" / "folder" / "r.html", [], title="t", model_info={})
    assert (tmp_path / "new" / "folder" / "r.html").is_file()


def told() -> Scene:
    """The room with attributes, descriptions, described regions and relations."""
    scene = room(120, 160)
    vocabulary = replace(scene.vocabulary, predicates=("left of", "<i>on</i>"), attributes=("tall", "old"))
    values = {
        ATTRIBUTES: torch.tensor([[0.75, 0.25], [1.0, 0.5]]),
        CAPTIONS: Captions((("a tall <b>man</b>",), ())),
        PHRASE_CAPTIONS: Captions((("a foot",), ("a wall",), ())),
        RELATIONS: Relations(
            torch.tensor([0, 1]), torch.tensor([1, 0]), torch.tensor([0, 1]), torch.tensor([0.125, 0.5])
        ),
    }
    regions = Objects(
        torch.tensor([[1.0, 2, 3, 4], [5, 6, 70, 80], [0, 0, 1, 1]]),
        torch.zeros(3).long(),
        torch.tensor([0.2, 0.7, 0.1]),
    )
    return replace(
        scene, vocabulary=vocabulary, streams={**scene.streams, PHRASES: regions}, values={**scene.values, **values}
    )


def rows_of(html: str, title: str) -> list[list[str]]:
    """The cells of the table below a title, without tags."""
    body = html.split(f"<h3>{title}</h3>")[1].split("<tbody>")[1].split("</tbody>")[0]
    cells = [row.split("</td>")[:-1] for row in body.split("</tr>")[:-1]]
    return [[unescape(re.sub("<[^>]+>", "", cell)) for cell in row] for row in cells]


def test_what_is_said_in_words(tmp_path: Path) -> None:
    scene = told()
    html, page = write(tmp_path, ReportEntry("told", gray_image(scene), scene, {}, ground_truth=scene))
    assert [row[-2:] for row in rows_of(html, "Objects")] == [
        ["tall 0.75", "a tall <b>man</b>"],
        ["tall, old 0.50", ""],
    ]
    assert rows_of(html, "Phrases") == [["0.70", "5, 6, 70, 80", "a wall"], ["0.20", "1, 2, 3, 4", "a foot"]]
    relations = [["<b>chair</b> 1", "<i>on</i>", "person 0", "0.50"], ["person 0", "left of", "<b>chair</b> 1", "0.12"]]
    assert rows_of(html, "Relations") == relations
    assert len(page.named("svg")) == 2, "of the prediction and of the ground truth"
    assert "2 objects, 2 relations" in " ".join(page.text) and "<i>on" not in html


class Colors(Field[torch.Tensor, torch.Tensor]):
    """A kind of value that the core does not know."""

    def columns(self, item: torch.Tensor, frame: Frame) -> Columns:
        return {"<paint>": [Swatch(f"paint {n}", label=int(n)) for n in item.tolist()], "size": ["", "3 px"]}


def test_keys_of_third_parties_show_like_built_in_ones(tmp_path: Path) -> None:
    """Plain numbers, a kind of value of its own, rows that do not carry the key, and values of the image."""
    distance: Key[torch.Tensor, torch.Tensor] = Key("acme.report_distance", of=OBJECTS)
    corner: Key[torch.Tensor, torch.Tensor] = Key("acme.corner", of=OBJECTS, shape=("N", 2))
    paint: Key[torch.Tensor, torch.Tensor] = Key("acme.paint", of=OBJECTS, field=Colors())
    weather: Key[object, object] = Key("acme.weather")
    scene = room(120, 160)
    values = {
        distance: torch.tensor([2.5, 7.125]),
        corner: torch.tensor([[1.0, 2.0], [3.0, 4.0]]),
        paint: torch.tensor([1, 2]),
        weather: {"sunny": 0.75, "<rain>": 0.25},
    }
    valid = {distance: torch.tensor([True, False])}
    html, page = write(tmp_path, ReportEntry("acme", gray_image(scene), replace(scene, values=values, valid=valid), {}))
    titles = page.text[page.text.index("Objects") :]
    assert titles[1:9] == [
        "label",
        "score",
        "box x0, y0, x1, y1",
        "acme.report_distance",
        "acme.corner",
        "<paint>",
        "size",
        "0",
    ]
    rows = [row[-4:] for row in rows_of(html, "Objects")]
    assert rows == [["2.5", "1, 2", "paint 1", ""], ["", "3, 4", "paint 2", "3 px"]]
    assert rows_of(html, "Image") == [["acme.weather", "sunny 0.75, <rain> 0.25"]]
    assert f"background:{to_hex(stuff_color(2, 'wall'))}" in html and "<paint>" not in html


def test_long_lists_are_cut_short(tmp_path: Path) -> None:
    scene = told()
    relations = Relations(*torch.randint(2, (3, 50)))
    scene = replace(scene, values={**scene.values, RELATIONS: relations})
    html, page = write(tmp_path, ReportEntry("long", gray_image(scene), scene, {}))
    assert len(rows_of(html, "Relations")) == 20 and "and 30 more" in page.text
    none = replace(scene, values={**scene.values, RELATIONS: Relations(*torch.zeros((3, 0), dtype=torch.int64))})
    _, page = write(tmp_path, ReportEntry("none", gray_image(none), none, {}))
    assert "2 objects, 0 relations" in " ".join(page.text)
