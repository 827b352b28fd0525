"""The options of benchmarks that go through the categories of a data folder."""

import argparse
from pathlib import Path


def categories_parser(description: str | None) -> argparse.ArgumentParser:
    """With `--data` and `--categories`, for `find_categories`; `description`: of the benchmark, shown as it is."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of MVTec-layout categories")
    parser.add_argument("--categories", nargs="+", help="only these")
    return parser
