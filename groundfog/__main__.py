"""`python -m groundfog` is the `groundfog` command."""

from groundfog.cli import main

main()
