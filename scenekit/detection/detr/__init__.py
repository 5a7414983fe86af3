"""Detectors of transformers (RF-DETR, D-FINE, DEIMv2, RT-DETR) as providers of objects."""
