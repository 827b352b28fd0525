"""`sclvi bench` on tiny pictures, through real processes."""

import csv

import pytest
import torch
from parts import write_category
from typer.testing import CliRunner

from sclvi.cli import app
from sclvi.encoders.dense import DenseEncoder, fold_batch_norm
from sclvi.evaluation.bench.work import _convolution_macs


def test_multiply_adds_are_those_of_the_definition():
    """The first layer by hand; the whole by each layer's shape."""
    macs = 0

    def count(layer, inputs, output):
        nonlocal macs
        macs += output.numel() * layer.in_channels * layer.kernel_size[0] * layer.kernel_size[1]

    encoder = DenseEncoder(3).eval()
    for layer in encoder.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(count)
    images = torch.zeros(1, 3, 96, 96)
    encoder(images)
    assert _convolution_macs(fold_batch_norm(DenseEncoder(3).eval()), images, (4, 4)) == pytest.approx(macs, rel=1e-9)


def test_rows_say_what_was_measured(tmp_path):
    write_category(tmp_path / "pins")
    out = tmp_path / "speed.csv"
    options = ["--size", "96", "--threads", "1", "--patchwise", "0", "--quiet", "--out", str(out)]
    done = CliRunner().invoke(app, ["bench", str(tmp_path / "pins"), *options])
    assert done.exit_code == 0, done.output
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert {row["method"] for row in rows} == {"dense", "limit"}
    one = next(row for row in rows if (row["method"], row["batch"]) == ("dense", "1"))
    assert 0 < float(one["p50_ms"]) <= float(one["p99_ms"])
    assert 1000 / float(one["p99_ms"]) <= float(one["images_per_second"]) * 1.05
    assert (one["height"], one["width"], one["threads"]) == ("96", "96", "1")
    assert all(float(row["peak_ram_mib"]) > 0 and float(row["images_per_second"]) > 0 for row in rows)
