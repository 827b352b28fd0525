"""What the documentation shows of Python runs as it stands there."""

import re
import sys
from functools import partial
from pathlib import Path

import pytest
from parts import SIDE, defective_part, good_part
from PIL import Image

import sclvi

DOCS = Path(__file__).parents[1]
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A folder as the examples take it to be, which is the working directory."""
    (tmp_path / "good").mkdir()
    for number in range(4):
        Image.fromarray(good_part(number)).save(tmp_path / "good" / f"{number}.png")
    taught = good_part(12)
    for left, top in ((88, 30), (24, 84)):  # the boxes of docs/teach.md
        taught[top : top + 20, left : left + 20] = 250
    for name, part in (("a", good_part(10)), ("b", defective_part(11)), ("part", taught)):
        Image.fromarray(part).save(tmp_path / f"{name}.png")
    monkeypatch.chdir(tmp_path)
    quick = sclvi.Settings(short_side=SIDE, steps=1, synthetic_steps=0)
    monkeypatch.setattr(sclvi, "train", partial(sclvi.train, settings=quick))
    return tmp_path


def test_the_examples_run(shop, capsys):
    shown = {file: BLOCK.findall((DOCS / file).read_text()) for file in ("README.md", "docs/teach.md")}
    assert all(len(blocks) == 1 for blocks in shown.values())
    names = {"sclvi": sclvi}
    for (block,) in shown.values():  # the second goes on with the model of the first
        exec(block, names)  # our own text
    said = capsys.readouterr().out
    assert "b.png defective" in said and "Box(" in said
    assert (shop / "part.sclvi").is_file()
    assert [one.kind for one in names["model"].corrections] == ["taught"]


def test_public_names_are_what_they_say_whatever_was_imported_before():
    for home in (name for name in sys.modules if name.startswith("sclvi.")):
        assert home.removeprefix("sclvi.") not in sclvi.__all__, "a module would take the place of the function"
    assert all(callable(getattr(sclvi, name)) for name in sclvi.__all__)
