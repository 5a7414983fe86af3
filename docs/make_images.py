"""Draw the README's images: rows of held-out scenes and a photograph, each with the predictions of a model.

python docs/make_images.py [SCENE_NUMBER...]

The photograph is a frame of `one-by-one-person-detection.mp4` of Intel's sample videos
(https://github.com/intel-iot-devkit/sample-videos), CC BY 4.0.
"""

import argparse
from pathlib import Path

from PIL import Image

import scenekit as sk
from scenekit.visualization import draw_scene

LAYERS = (("masks", "keypoints"), ("panoptic",), ("boxes3d",), ("meshes",))
PHOTO_LAYERS = (("masks", "keypoints"), ("panoptic",), ("boxes3d",))
CELL, PHOTO_CELL, GAP = (400, 300), (500, 281), 6
IMAGES = Path(__file__).parent / "images"
PHOTOGRAPH = IMAGES / "walking.jpg"


def main() -> None:
    """Draw and save the images."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", nargs="*", type=int, default=[0, 2, 3])
    arguments = parser.parse_args()
    model, samples = sk.load("small"), sk.dataset("synthetic", split="test")
    rows = [row_of(model, samples[index]) for index in arguments.scenes]
    grid(rows, CELL).save(IMAGES / "demo.jpg", quality=88)
    scene, image = sk.load("photo").predict(PHOTOGRAPH), Image.open(PHOTOGRAPH)
    first, *others = [image, *(draw_scene(scene, image, layers) for layers in PHOTO_LAYERS)]
    grid([[first, others[0]], others[1:]], PHOTO_CELL).save(IMAGES / "photo.jpg", quality=88)


def row_of(model: sk.SceneModel, sample: sk.Sample) -> list[Image.Image]:
    """Return the image and the prediction layer by layer."""
    scene = model.predict(sample.image, camera=sample.scene.camera)
    image = Image.fromarray(sample.image.permute(1, 2, 0).numpy())
    return [image, *(draw_scene(scene, image, layers) for layers in LAYERS)]


def grid(rows: list[list[Image.Image]], cell: tuple[int, int]) -> Image.Image:
    """Paste the images as cells of one size on white."""
    (width, height), columns = cell, len(rows[0])
    sheet = Image.new("RGB", (columns * (width + GAP) - GAP, len(rows) * (height + GAP) - GAP), "white")
    for y, row in enumerate(rows):
        for x, image in enumerate(row):
            sheet.paste(image.resize(cell, Image.Resampling.LANCZOS), (x * (width + GAP), y * (height + GAP)))
    return sheet


if __name__ == "__main__":
    main()
