"""Mesh operations with the names, arguments and meanings of pytorch3d, in torch alone or by pytorch3d itself.

    with use_backend("pytorch3d"):
        loss, _ = chamfer_distance(points, truth)

Outside of `use_backend` the environment variable SCENEKIT_MESH_BACKEND names the backend; without it that is torch.
"""

from scenekit_plugins.meshes.ops.backend import current_backend, has_pytorch3d, use_backend
from scenekit_plugins.meshes.ops.chamfer import chamfer_distance
from scenekit_plugins.meshes.ops.graph import GraphConv, gather_scatter
from scenekit_plugins.meshes.ops.losses import mesh_edge_loss, mesh_laplacian_smoothing, mesh_normal_consistency
from scenekit_plugins.meshes.ops.neighbors import KNN, knn_gather, knn_points
from scenekit_plugins.meshes.ops.sampling import mesh_face_areas_normals, sample_points_from_meshes, vert_align
from scenekit_plugins.meshes.ops.subdivision import SubdivideMeshes, ico_sphere
from scenekit_plugins.meshes.ops.voxels import cubify

__all__ = [
    "KNN",
    "GraphConv",
    "SubdivideMeshes",
    "chamfer_distance",
    "cubify",
    "current_backend",
    "gather_scatter",
    "has_pytorch3d",
    "ico_sphere",
    "knn_gather",
    "knn_points",
    "mesh_edge_loss",
    "mesh_face_areas_normals",
    "mesh_laplacian_smoothing",
    "mesh_normal_consistency",
    "sample_points_from_meshes",
    "use_backend",
    "vert_align",
]
