"""Layouts: which pictures there are, which are for learning and which for testing, and what is known of each.

Whether a file or folder is there is asked of `os.path`, which answers no where a folder above it may not be read.
"""

# ruff: noqa: PTH112, PTH113, PTH208

import csv
import os
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

from sclvi.data.reading import PICTURE_SUFFIXES
from sclvi.errors import SclviError

GOOD = "good"
_GOOD_NAMES = (GOOD, "ok")  # of folders that stand beside folders of defects
_GOOD_LABELS = (*_GOOD_NAMES, "normal", "0", "0.0")  # in manifests; numbers as spreadsheets and pandas write them
_BAD_LABELS = ("1", "1.0")
_COLUMNS = ("path", "split", "label")
RESULTS, OVERLAYS, COMPARISONS = "results.jsonl", "overlays", "comparisons"  # of `sclvi inspect`, maybe among pictures


@dataclass(frozen=True)
class Item:
    """One picture: its file, its defect ("good", a defect's name, or "" where unknown), its mask if there is one."""

    path: Path
    defect: str
    mask: Path | None = None


@dataclass(frozen=True)
class Layout:
    """The pictures of one kind of part, in order of their names; masks: the folder where masks are expected, if any."""

    train: tuple[Item, ...]
    test: tuple[Item, ...]
    name: str
    masks: Path | None = None


def find_layout(root: Path) -> Layout:
    """Recognise a category in MVTec's layout, a .csv manifest, or a folder of good pictures (and its subfolders).

    Raises SclviError, one line naming the folder or the file and row, where there is nothing to learn from or test on,
    or where a plain folder sorts good pictures from others: those must not be learned from as good.
    """
    if os.path.isfile(root):
        if root.suffix.lower() != ".csv":
            raise SclviError(f"{root}: is neither a folder nor a .csv manifest")
        return _read_manifest(root)
    if not os.path.isdir(root):
        raise SclviError(f"{root}: does not exist")
    if os.path.isdir(root / "train" / GOOD):
        return _read_category(root)
    categories = sorted(entry for entry in _entries(root) if os.path.isdir(root / entry / "train" / GOOD))
    if categories:
        raise SclviError(f"{root}: holds several categories, choose one of them: {', '.join(categories)}")
    parts = [name for name in ("train", "test", "ground_truth") if os.path.isdir(root / name)]
    if len(parts) > 1 or "ground_truth" in parts:  # it would learn from its own test pictures, or from masks
        raise SclviError(f"{root}: has {' and '.join(parts)}, but no train/{GOOD}")
    pictures = _pictures(root)
    _refuse_sorted(root, pictures)
    return Layout(tuple(Item(path, GOOD) for path in pictures), (), root.resolve().name)


def missing_masks(layout: Layout) -> list[Path]:
    """The mask files that test pictures with a defect should have and lack; empty where the layout has no masks."""
    if layout.masks is None:
        return []
    return [
        _mask_names(layout.masks, item)[0]
        for item in layout.test
        if item.defect not in (GOOD, "") and item.mask is None
    ]


def expand_pictures(paths: Sequence[Path]) -> list[Path]:
    """Files, and the pictures in folders and their subfolders, each once, in order of their names.

    A file named here is kept whatever its suffix and even if it does not exist (reading will say, and the others are
    done); in folders only pictures count. Raises SclviError for a folder without pictures, and where none of `paths`
    exists.
    """
    if not any(map(os.path.lexists, paths)):
        raise SclviError(f"{paths[0]}: does not exist")
    found: dict[Path, Path] = {}
    for path in paths:
        for picture in _pictures(path) if os.path.isdir(path) else [path]:
            found.setdefault(picture.parent.resolve() / picture.name, picture)  # two links to one file are two pictures
    return sorted(found.values(), key=_by_name)


def _read_category(root: Path) -> Layout:
    masks = root / "ground_truth"
    layout = Layout(
        train=tuple(Item(path, GOOD) for path in _pictures(root / "train" / GOOD)),
        test=(),
        name=root.resolve().name,
        masks=masks if os.path.isdir(masks) else None,
    )
    test = root / "test"
    items: list[Item] = []
    for path in _walk(test):
        if path.parent == test:
            raise SclviError(f"{path}: lies in test itself; test/{GOOD} or test/NAME_OF_THE_DEFECT is needed")
        folder = path.relative_to(test).parts[0]
        item = Item(path, GOOD if folder.lower() in _GOOD_NAMES else folder)
        if layout.masks is not None and item.defect != GOOD:
            there = (mask for mask in _mask_names(layout.masks, item) if os.path.isfile(mask))
            item = Item(item.path, item.defect, next(there, None))
        items.append(item)
    return Layout(layout.train, tuple(items), layout.name, layout.masks)


def _entries(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError as error:
        raise SclviError(f"{folder}: cannot be read: {error.strerror}") from None


def _refuse_sorted(root: Path, pictures: Sequence[Path]) -> None:
    """Raise SclviError where the root, or a folder in it at any depth, holds good pictures beside others."""
    inside: dict[Path, set[str]] = {}  # of each folder, the folders in it that lead to pictures
    for folder in {path.parent for path in pictures}:
        for child, parent in pairwise([folder, *folder.parents][: len(folder.relative_to(root).parts) + 1]):
            inside.setdefault(parent, set()).add(child.name)
    for folder, names in sorted(inside.items()):
        good = sorted(name for name in names if name.lower() in _GOOD_NAMES)
        others = sorted(names.difference(good))
        if good and others:
            raise SclviError(
                f"{folder}: holds {good[0]} beside {', '.join(others)}, so not all of it is good; "
                f"choose {folder / good[0]}, or move the good pictures into one folder"
            )


def _mask_names(masks: Path, item: Item) -> tuple[Path, Path]:
    """Where MVTec's layout keeps the mask of test/DEFECT/NAME: the usual place, and the other one."""
    folder = masks / item.path.parent.relative_to(masks.parent / "test")
    return folder / f"{item.path.stem}_mask.png", folder / f"{item.path.stem}.png"


def _read_manifest(manifest: Path) -> Layout:
    """Read path, split, label and, where it is there, mask; paths are relative to the manifest."""
    split: dict[str, list[Item]] = {"train": [], "test": []}
    first_row: dict[Path, int] = {}
    for row, values in _rows(manifest):
        if values["split"].lower() not in split:
            _refuse_row(manifest, row, f"split is {values['split']!r}; train or test is needed")
        item = Item(
            _file(manifest, row, values["path"], "picture"),
            _defect(values["label"], values["split"].lower()),
            _file(manifest, row, values["mask"], "mask") if values.get("mask") else None,
        )
        if values["split"].lower() == "train" and item.defect != GOOD:
            _refuse_row(
                manifest, row, f"a train picture has the label {values['label']!r}; only good ones are learned from"
            )
        earlier = first_row.setdefault(item.path.resolve(), row)
        if earlier != row:
            _refuse_row(manifest, row, f"{values['path']} is already in row {earlier}")
        split[values["split"].lower()].append(item)
    if not first_row:
        raise SclviError(f"{manifest}: has no rows")
    train, test = (tuple(sorted(items, key=lambda item: _by_name(item.path))) for items in split.values())
    return Layout(train, test, manifest.stem)


def _rows(manifest: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row's line number in the file, and its values by lower-case column name."""
    try:
        with manifest.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            delimiter = ";" if header.count(";") > header.count(",") else ","  # what Excel writes in half of Europe
            columns = [name.strip().lower() for name in next(csv.reader([header], delimiter=delimiter), [])]
            lacking = [name for name in _COLUMNS if name not in columns]
            if lacking:
                raise SclviError(
                    f"{manifest}: row 1 lacks the column {', '.join(lacking)} (needed: {', '.join(_COLUMNS)})"
                )
            reader = csv.reader(file, delimiter=delimiter)
            for cells in reader:
                values = dict(zip(columns, (cell.strip() for cell in cells), strict=False))
                if not any(values.values()):
                    continue
                if len(cells) < len(columns) and not all(name in values for name in _COLUMNS):
                    _refuse_row(manifest, reader.line_num + 1, f"has {len(cells)} of {len(columns)} columns")
                yield reader.line_num + 1, values
    except UnicodeDecodeError:
        raise SclviError(f"{manifest}: is not UTF-8 text") from None
    except csv.Error as error:
        raise SclviError(f"{manifest}: is not a CSV file ({error})") from None
    except OSError as error:
        raise SclviError(f"{manifest}: cannot be read: {error.strerror}") from None


def _defect(label: str, split: str) -> str:
    if label.lower() in _GOOD_LABELS or (not label and split == "train"):
        return GOOD
    return "defect" if label in _BAD_LABELS else label


def _file(manifest: Path, row: int, name: str, what: str) -> Path:
    path = manifest.parent / name
    if not name or not os.path.isfile(path):
        _refuse_row(manifest, row, f"{what} {path} does not exist" if name else f"names no {what}")
    return path


def _refuse_row(manifest: Path, row: int, why: str) -> NoReturn:
    raise SclviError(f"{manifest}: row {row}: {why}")


def _pictures(folder: Path) -> list[Path]:
    """As `_walk`; raises SclviError where there are none."""
    found = _walk(folder)
    if not found:
        raise SclviError(f"{folder}: holds no pictures ({', '.join(sorted(PICTURE_SUFFIXES))})")
    return found


def _walk(folder: Path) -> list[Path]:
    """The pictures in a folder and its subfolders in order of their names; none where there is no such folder.

    Hidden ones, other files and what `sclvi inspect` drew do not count. Links to folders are followed, but a folder
    counts once.
    """
    if not os.path.isdir(folder):
        return []

    def refuse(error: OSError) -> NoReturn:
        raise SclviError(f"{error.filename}: cannot be read: {error.strerror}")

    found: list[Path] = []
    known: set[str] = set()
    for place, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        real = os.path.realpath(place)
        if real in known:
            folders.clear()
            continue
        known.add(real)
        drawn = (OVERLAYS, COMPARISONS) if RESULTS in files else ()
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in drawn)
        found.extend(Path(place) / name for name in _picture_names(files))
    return sorted(found, key=_by_name)


def _picture_names(names: Iterable[str]) -> list[str]:
    return [name for name in names if not name.startswith(".") and Path(name).suffix.lower() in PICTURE_SUFFIXES]


def _by_name(path: Path) -> tuple[str, ...]:
    """A key that sorts alike on every system: folder by folder, and accents in one spelling (macOS has another)."""
    return tuple(unicodedata.normalize("NFC", part) for part in path.parts)
