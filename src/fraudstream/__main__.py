"""`python -m fraudstream` is the `fraudstream` command."""

from fraudstream.cli.main import main

main()
