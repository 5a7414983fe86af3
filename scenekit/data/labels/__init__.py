"""Label spaces: proposing one for several data sets, and opening data sets in one."""
