"""Kernels of the pages say nothing but errors: they run on this machine only."""

c = get_config()  # type: ignore[name-defined]
c.IPKernelApp.log_level = "ERROR"
