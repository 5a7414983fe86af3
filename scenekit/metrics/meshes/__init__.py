"""Average precision of meshes."""
