"""Draw the README's image: rows of held-out scenes, each with the image and the predictions of the model.

python docs/make_images.py [--model NAME] [SCENE_NUMBER...]
"""

import argparse
from pathlib import Path

from PIL import Image

import scenekit as sk
from scenekit.visualization import draw_scene

LAYERS = (("masks", "keypoints"), ("panoptic",), ("boxes3d",), ("meshes",))
CELL, GAP = (400, 300), 6
TARGET = Path(__file__).parent / "images" / "demo.jpg"


def main() -> None:
    """Draw and save the image."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenes", nargs="*", type=int, default=[0, 2, 3])
    parser.add_argument("--model", default="small")
    arguments = parser.parse_args()
    model, samples = sk.load(arguments.model), sk.dataset("synthetic", split="test")
    rows = [row_of(model, samples[index]) for index in arguments.scenes]
    TARGET.parent.mkdir(exist_ok=True)
    grid(rows).save(TARGET, quality=88)


def row_of(model: sk.SceneModel, sample: sk.Sample) -> list[Image.Image]:
    """Return the image and the prediction layer by layer."""
    scene = model.predict(sample.image, camera=sample.scene.camera)
    image = Image.fromarray(sample.image.permute(1, 2, 0).numpy())
    return [image, *(draw_scene(scene, image, layers) for layers in LAYERS)]


def grid(rows: list[list[Image.Image]]) -> Image.Image:
    """Paste the images as cells of one size on white."""
    (width, height), columns = CELL, len(rows[0])
    sheet = Image.new("RGB", (columns * (width + GAP) - GAP, len(rows) * (height + GAP) - GAP), "white")
    for y, row in enumerate(rows):
        for x, cell in enumerate(row):
            sheet.paste(cell.resize(CELL, Image.Resampling.LANCZOS), (x * (width + GAP), y * (height + GAP)))
    return sheet


if __name__ == "__main__":
    main()
