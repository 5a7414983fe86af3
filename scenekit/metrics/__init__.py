"""The official protocols on arrays and files, a folder each."""
