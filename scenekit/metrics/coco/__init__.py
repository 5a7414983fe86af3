"""COCO's average precision."""
