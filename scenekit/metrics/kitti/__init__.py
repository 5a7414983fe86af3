"""KITTI's average precision of 3D boxes."""
