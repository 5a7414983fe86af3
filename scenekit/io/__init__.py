"""Files: atomic writes, images, JSON records, mesh files, video."""
