"""The command line: one small module a command; importing any of them imports no torch."""
