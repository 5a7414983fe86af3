"""`python -m scenekit` is the command line."""

from scenekit.cli.main import main

main()
