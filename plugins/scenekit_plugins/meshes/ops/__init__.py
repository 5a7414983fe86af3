"""Mesh operations with the names, arguments and meanings of pytorch3d, in torch alone or by pytorch3d itself.

    with use_backend("pytorch3d"):
        loss, _ = chamfer_distance(points, target)

Outside of `use_backend` the environment variable SCENEKIT_MESH_BACKEND names the backend; without it that is torch.
"""

from scenekit_plugins.meshes.ops import chamfer, graph, losses, neighbors, sampling, subdivision, voxels
from scenekit_plugins.meshes.ops.backend import current_backend, has_pytorch3d, on_backend, use_backend
from scenekit_plugins.meshes.ops.checks import KNN
from scenekit_plugins.meshes.ops.layers import GraphConv, SubdivideMeshes, ico_sphere
from scenekit_plugins.meshes.ops.neighbors import knn_gather

chamfer_distance = on_backend(chamfer.chamfer_distance)
cubify = on_backend(voxels.cubify)
gather_scatter = on_backend(graph.gather_scatter)
knn_points = on_backend(neighbors.knn_points)
mesh_edge_loss = on_backend(losses.mesh_edge_loss)
mesh_face_areas_normals = on_backend(sampling.mesh_face_areas_normals)
mesh_laplacian_smoothing = on_backend(losses.mesh_laplacian_smoothing)
mesh_normal_consistency = on_backend(losses.mesh_normal_consistency)
sample_points_from_meshes = on_backend(sampling.sample_points_from_meshes)
subdivide_meshes = on_backend(subdivision.subdivide_meshes)
vert_align = on_backend(sampling.vert_align)

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
    "subdivide_meshes",
    "use_backend",
    "vert_align",
]
