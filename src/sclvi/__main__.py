"""`python -m sclvi` is the `sclvi` command."""

from sclvi.cli import run

run()
