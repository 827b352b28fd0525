"""`python -m sclvi` is the `sclvi` command."""

import sys


def main() -> None:
    """Entry point: importing takes some tenths of a second, in which Ctrl-C is heard, too."""
    try:
        from sclvi.cli import run

        run()
    except KeyboardInterrupt:
        print("sclvi: stopped; nothing was begun", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
