"""`sclvi bench` on tiny pictures, through real processes."""

import csv
import json

import pytest
import torch
from parts import write_category
from typer.testing import CliRunner

from sclvi.cli import app
from sclvi.encoders.compute import pick_device, to_device
from sclvi.encoders.dense import DenseEncoder, fold_batch_norm
from sclvi.errors import SclviError
from sclvi.evaluation.bench.run import _peer, _without_slower_batches, bench
from sclvi.evaluation.bench.work import _convolution_macs


def test_multiply_adds_are_those_of_the_definition():
    """The first layer by hand; the whole by each layer's shape."""
    macs = 0

    def count(layer, inputs, output):
        nonlocal macs
        macs += output.numel() * layer.in_channels * layer.kernel_size[0] * layer.kernel_size[1]

    encoder = DenseEncoder(3).eval()
    folded = to_device(fold_batch_norm(DenseEncoder(3).eval()), pick_device())
    for layer in encoder.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(count)
    images = torch.zeros(1, 3, 96, 96)
    encoder(images)
    assert _convolution_macs(folded, images, (4, 4)) == pytest.approx(macs, rel=1e-9)


def fake_python(folder, script):
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_peers_learn_once_and_are_measured_at_each_batch(tmp_path):
    script = """cat "$2" >> "$(dirname "$0")/asked"; echo >> "$(dirname "$0")/asked"
    echo '{"train_seconds": 2.04, "model_mib": 3, "note": "n", "images_per_second": 5, "peak_ram_mib": 7}'"""
    python = fake_python(tmp_path, script)
    rows = _peer("padim", (96, 64), ["a.png"], ["b.png"], tmp_path, python, 1)
    asked = [json.loads(line) for line in (tmp_path / "asked").read_text().splitlines()]
    assert [(one["kind"], one["pictures"], one.get("batch")) for one in asked] == [
        ("learn", ["a.png"], None),
        ("inspect", ["b.png"], 1),
        ("inspect", ["b.png"], 8),
    ]
    assert all((one["method"], one["size"]) == ("padim", [96, 64]) for one in asked)
    assert [(row["batch"], row["images_per_second"], row["train_seconds"], row["note"]) for row in rows] == [
        (1, 5, 2.0, "n"),
        (8, 5, 2.0, "n"),
    ]


def test_what_is_not_known_is_refused(tmp_path):
    done = CliRunner().invoke(
        app, ["bench", str(tmp_path), "--against", "padim,cflow", "--out", str(tmp_path / "a.csv")]
    )
    assert done.exit_code != 0
    assert "'cflow' is none of" in " ".join(str(done.exception or done.output).split())


def test_one_picture_to_learn_from_is_refused_before_anything_is_drawn(tmp_path):
    with pytest.raises(SclviError, match="2 at least"):
        bench(None, tmp_path / "a.csv", train_images=1)
    assert CliRunner().invoke(app, ["bench", "--train-images", "0"]).exit_code == 2


def test_of_the_larger_batches_the_fastest_stays():
    rows = [
        {"method": method, "batch": batch, "images_per_second": speed}
        for method, batch, speed in (("a", 1, 9), ("a", 4, 5), ("a", 8, 6), ("b", 8, 1), ("c", 1, None))
    ]
    assert [(row["method"], row["batch"]) for row in _without_slower_batches(rows)] == [
        ("a", 1),
        ("a", 8),
        ("b", 8),
        ("c", 1),
    ]


def test_rows_say_what_was_measured(tmp_path):
    write_category(tmp_path / "pins")
    for broken in ("train/good/zz.png", "test/good/zz.png"):  # named while training, and left out of all else
        (tmp_path / "pins" / broken).write_bytes(b"no picture")
    out = tmp_path / "speed.csv"
    peers = ["--peers-python", str(fake_python(tmp_path, "echo No module named anomalib >&2; exit 1"))]
    options = [*peers, "--size", "96", "--threads", "1", "--against", "padim", "--quiet", "--out", str(out)]
    done = CliRunner().invoke(app, ["bench", str(tmp_path / "pins"), *options])
    assert done.exit_code == 0, done.output
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert {row["method"] for row in rows} - {"limit bf16"} == {"dense", "limit", "padim"}
    missing = rows.pop()
    assert missing["note"] == "measurement failed: No module named anomalib"
    assert (missing["method"], missing["images_per_second"], missing["train_seconds"]) == ("padim", "", "")
    one = next(row for row in rows if (row["method"], row["batch"]) == ("dense", "1"))
    assert 0 < float(one["p50_ms"]) <= float(one["p99_ms"])
    assert 1000 / float(one["p99_ms"]) <= float(one["images_per_second"]) * 1.05
    assert (one["height"], one["width"], one["threads"]) == ("96", "96", "1")
    assert all(float(row["peak_ram_mib"]) > 0 and float(row["images_per_second"]) > 0 for row in rows)
