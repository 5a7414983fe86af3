"""Dense-captioning mAP."""
