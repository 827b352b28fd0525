"""The command line: parse, call, print."""

import json
import os
import sys
from collections.abc import Callable
from enum import IntEnum, StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from sclvi.console import Skipped, errors, output, progress_bars, show_all_names, show_table
from sclvi.errors import OnSkip, SclviError, complaint, leave_out

if TYPE_CHECKING:
    from sclvi.data.box import Box
    from sclvi.memory.correction import Correction, Kind
    from sclvi.model import Model
    from sclvi.settings import Settings


class Exit(IntEnum):
    """Exit codes; 0 is success whatever the verdicts."""

    SKIPPED = 1  # done, but something had to be left out; after DRIFT and DEFECT, which were asked for
    ERROR = 2
    DEFECT = 3  # with --fail-on-defect
    DRIFT = 4  # with --fail-on-drift; before DEFECT, whose verdicts it puts in doubt
    INTERRUPTED = 130


class PresetChoice(StrEnum):
    """Settings by name."""

    DEFAULT = "default"
    PAPER = "paper"


class EncoderChoice(StrEnum):
    """Encoders by name."""

    DENSE = "dense"
    PAPER = "paper"


class LightChoice(StrEnum):
    """What is done to the light of a picture."""

    PICTURE = "picture"
    MEAN = "mean"


class AuditChoice(StrEnum):
    """What training does about good pictures that do not belong."""

    OFF = "off"
    WARN = "warn"
    DROP = "drop"


class FusionChoice(StrEnum):
    """Ways to fuse memory items."""

    AFFINITY = "affinity"
    MEAN = "mean"
    NEAREST = "nearest"


class ResultChoice(StrEnum):
    """What of the paper can be run."""

    TABLE1 = "table1"
    TABLE2 = "table2"
    TABLE3 = "table3"
    TABLE4 = "table4"
    FIGURE3 = "figure3"


app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Visual inspection that learns from good pictures alone, offline. Start with: sclvi demo",
    epilog="Exit codes: 0 done, 1 done but something was skipped, 2 error, 3 defect found (with --fail-on-defect), "
    "4 camera or light changed (with --fail-on-drift); of several, 4 goes before 3, and 3 before 1.",
)


def _show_version(asked: bool) -> None:
    if asked:
        output.print(f"sclvi {version('sclvi')}, torch {version('torch')}")
        raise typer.Exit


@app.callback()
def main(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options of all commands."""


Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars, no summary.")]
GoodPath = Annotated[
    Path, typer.Argument(metavar="GOOD", help="Folder of good pictures, MVTec category, or CSV manifest.")
]
Size = Annotated[
    str | None,
    typer.Option(
        help="Working size in px: the short side (the shape is kept, up to 4:1), or WIDTHxHEIGHT.", show_default="320"
    ),
]
RegionPaths = Annotated[
    list[Path] | None,
    typer.Option(help="Where to inspect: a mask (white is inspected) or polygons (JSON, or LabelMe's); repeatable."),
]
ModelPath = Annotated[Path, typer.Argument(metavar="MODEL", help="Model file written by 'sclvi train'.")]
Pictures = Annotated[
    list[str] | None, typer.Argument(metavar="IMAGE", help="Pictures; with --undo, numbers of what is undone.")
]
BoxOptions = Annotated[
    list[str] | None, typer.Option("--box", metavar="X,Y,W,H", help="In px of the picture; may be given several times.")
]
Listing = Annotated[bool, typer.Option("--list", help="Only list what was said, of which picture, when and by whom.")]
Undo = Annotated[bool, typer.Option("--undo", help="Take back those with the given numbers, else the last.")]
By = Annotated[str | None, typer.Option(help="Who says so.", show_default="the user's name")]
OverModel = Annotated[Path | None, typer.Option("--out", help="Where to write the model.", show_default="over MODEL")]
Seed = Annotated[
    int, typer.Option(min=0, max=2**32 - 1, help="The same seed on the same machine gives the same model.")
]


@app.command()
def train(
    good: GoodPath,
    out: Annotated[Path, typer.Option(help="Where to write the model.")] = Path("part.sclvi"),
    size: Size = None,
    preset: Annotated[
        PresetChoice, typer.Option(help="default, or paper: as published, patch by patch; very slow without a GPU.")
    ] = PresetChoice.DEFAULT,
    false_reject_rate: Annotated[
        float, typer.Option(help="Share of good parts that may be rejected; sets the threshold.")
    ] = 0.01,
    steps: Annotated[
        int | None,
        typer.Option(help="Steps of context learning; fewer are faster.", show_default="20; paper: 125000"),
    ] = None,
    synthetic_steps: Annotated[
        int | None,
        typer.Option(
            help="Steps of learning to see synthetic defects, most of the time; 0: without.",
            show_default="4000; paper: 0",
        ),
    ] = None,
    memory_mib: Annotated[
        float | None,
        typer.Option(help="What the memory of good patches may take, MiB.", show_default="512; paper: 4096"),
    ] = None,
    fusion: Annotated[
        FusionChoice | None,
        typer.Option(help="How the nearest memory items become one pattern.", show_default="affinity"),
    ] = None,
    eta: Annotated[int | None, typer.Option(help="Memory items that are fused.", show_default="10")] = None,
    tile: Annotated[
        int | None, typer.Option(help="Look at large pictures at full size, in tiles of this side in px, such as 512.")
    ] = None,
    overlap: Annotated[int | None, typer.Option(help="px that neighbouring tiles share.", show_default="64")] = None,
    align: Annotated[
        bool | None,
        typer.Option(
            help="Turn parts to lie alike and cut pictures to them, where good pictures allow it.", show_default="align"
        ),
    ] = None,
    thumbnails_kib: Annotated[
        float | None,
        typer.Option(help="What small copies of the good pictures may take in the model, KiB.", show_default="4096"),
    ] = None,
    audit: Annotated[
        AuditChoice,
        typer.Option(help="First look for pictures that do not belong: name them, or leave out what misleads."),
    ] = AuditChoice.OFF,
    region: RegionPaths = None,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Learn what good parts look like and write a model."""
    from sclvi.data.region_files import read_regions
    from sclvi.learn import train as train_model
    from sclvi.model_file import save
    from sclvi.settings import preset as choose_preset
    from sclvi.telling import trained

    _check_writable(out)
    regions = read_regions(region or [])
    given: dict[str, Any] = {"steps": steps, "synthetic_steps": synthetic_steps, "memory_mib": memory_mib}
    given |= {"fusion": fusion and fusion.value, "eta": eta, "align": align}
    given |= {"thumbnails_kib": thumbnails_kib, "tile": tile, "overlap": overlap}
    if tile is not None and size is not None:
        raise SclviError("--tile looks at pictures at full size; leave --size out")
    if overlap is not None and tile is None:
        raise SclviError("--overlap is of tiles; give --tile, too")
    options: dict[str, object] = {name: value for name, value in given.items() if value is not None}
    options |= _size_options(size)
    settings = choose_preset(preset.value, seed=seed, false_reject_rate=false_reject_rate, audit=audit.value, **options)
    if preset is PresetChoice.PAPER and not quiet:
        _say_cost(good, settings)
    skipped = Skipped()
    with progress_bars(quiet) as progress:
        model = train_model(good, settings, progress, skipped, regions)
    save(model, out)
    if not quiet:
        _say(trained(model, out))
    _exit_if_skipped(skipped)


@app.command("calibrate")
def calibrate_model(
    model: ModelPath,
    good: Annotated[
        Path,
        typer.Argument(metavar="GOOD", help="Good pictures not trained on: folder, MVTec category, or CSV manifest."),
    ],
    out: OverModel = None,
    false_reject_rate: Annotated[float, typer.Option(help="Share of good parts that may be rejected.")] = 0.01,
    quiet: Quiet = False,
) -> None:
    """Set the threshold anew on other good pictures; nothing is learned."""
    from sclvi.model_file import load, save
    from sclvi.recalibration import calibrate
    from sclvi.telling import calibrated as told_of_calibration

    out = out or model
    _check_writable(out)
    skipped = Skipped()
    state = _state_of(model)
    loaded = load(model)
    with progress_bars(quiet) as progress:
        calibrated = calibrate(loaded, good, false_reject_rate, progress, skipped)
    if out == model:
        _refuse_changed(model, state)
    save(calibrated, out)
    if not quiet:
        _say(told_of_calibration(loaded, calibrated, out))
    _exit_if_skipped(skipped)


def _correcting(kind: "Kind") -> Callable[..., None]:
    """The command that makes, lists or takes back corrections of a kind."""

    def command(
        model: ModelPath,
        images: Pictures = None,
        box: BoxOptions = None,
        listing: Listing = False,
        undo: Undo = False,
        by: By = None,
        out: OverModel = None,
        quiet: Quiet = False,
    ) -> None:
        _correct(kind, model, images or [], box or [], listing, undo, by, out or model, quiet)

    return command


app.command(
    "teach", help='Say "this is fine" of boxes in a picture, or of whole pictures: they and their like will pass.'
)(_correcting("taught"))
app.command("flag", help='Say "this is a defect" of boxes in a picture: of their like, less will be tolerated.')(
    _correcting("flagged")
)


@app.command("audit")
def audit_pictures(
    good: GoodPath,
    out: Annotated[Path, typer.Option(help="Folder for audit.csv and audit.html.")] = Path("audit"),
    size: Size = None,
    align: Annotated[
        bool, typer.Option(help="Turn parts to lie alike and cut pictures to them, where pictures allow it.")
    ] = True,
    region: RegionPaths = None,
    quiet: Quiet = False,
) -> None:
    """Say which good pictures do not belong: unlike the others, copies, blurred, of odd exposure or size.

    Nothing is changed; 'train --audit drop' leaves out those that are unlike the others, and copies.
    """
    from sclvi.audit.folder import audit_folder
    from sclvi.data.region_files import read_regions
    from sclvi.settings import preset as choose_preset

    settings = choose_preset("default", align=align, **_size_options(size))
    regions = read_regions(region or [])
    skipped = Skipped()
    with progress_bars(quiet) as progress:
        audited = audit_folder(good, out, settings, progress, skipped, regions)
    if not quiet:
        output.print(
            f"{len(audited.pictures)} pictures, {len(audited.flagged)} suspect, {len(skipped.names)} skipped; "
            f"page: {(out / 'audit.html').resolve()}",
        )
    _exit_if_skipped(skipped)


@app.command()
def inspect(
    model: ModelPath,
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGES...", help="Pictures, or folders of pictures.", readable=False)
    ],
    out: Annotated[Path, typer.Option(help="Folder for the results; what is there already is not done again.")] = Path(
        "inspection"
    ),
    rules: Annotated[
        Path | None, typer.Option(help="TOML file that says which defects count and how many are accepted.")
    ] = None,
    coco: Annotated[bool, typer.Option("--coco", help="Write the defects to coco.json, too.")] = False,
    labelme: Annotated[
        bool, typer.Option("--labelme", help="Write the defects to labelme/, a file for each picture, too.")
    ] = False,
    fail_on_defect: Annotated[
        bool, typer.Option(help="Exit with code 3 when a picture is defective, after the rules.")
    ] = False,
    fail_on_drift: Annotated[
        bool, typer.Option(help="Exit with code 4 when the camera or the light changed since training.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Say for each picture whether the part is good and where the defects are.

    Writes overlays/, comparisons/, results.jsonl, results.csv, drift.json and report.html.
    """
    from sclvi.allocation import keep_freed_memory
    from sclvi.data.layouts import expand_pictures
    from sclvi.decision.rules import read_rules
    from sclvi.inspect_folder import inspect_folder
    from sclvi.model_file import load
    from sclvi.telling import inspected

    asked = read_rules(rules) if rules else None
    keep_freed_memory()
    loaded = load(model)
    skipped = Skipped()
    with progress_bars(quiet) as progress:
        summary = inspect_folder(
            loaded, expand_pictures(images), out, progress, skipped, rules=asked, coco=coco, labelme=labelme
        )
    if summary.dropped:
        errors.print(
            f"{out}: held {summary.dropped} results of another model, now gone; another --out keeps them apart"
        )
    for path in summary.kept:
        errors.print(f"{path}: was changed by hand and is left as it is")
    if not quiet:
        _say(inspected(summary, len(skipped.names)))
    if fail_on_drift and summary.drift.of_camera:
        raise typer.Exit(Exit.DRIFT)
    if fail_on_defect and summary.defective:
        raise typer.Exit(Exit.DEFECT)
    _exit_if_skipped(skipped)


@app.command()
def evaluate(
    model: ModelPath,
    category: Annotated[Path, typer.Argument(metavar="CATEGORY", help="MVTec category, or CSV manifest with labels.")],
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the figures here too.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Measure a model on labelled test pictures: AUROC, AUPRO, F1-max, average precision, speed, memory."""
    from sclvi.allocation import keep_freed_memory
    from sclvi.evaluation.evaluate import evaluate as evaluate_model
    from sclvi.evaluation.table import figures_table
    from sclvi.files import write_atomically
    from sclvi.model_file import load

    if json_file:
        _check_writable(json_file)
    keep_freed_memory()
    loaded = load(model)
    skipped = Skipped()
    with progress_bars(quiet) as progress:
        evaluation = evaluate_model(loaded, category, progress, skipped)
    if json_file:
        content = {"category": evaluation.category, "good": evaluation.good, "defective": evaluation.defective}
        text = json.dumps({**content, **evaluation.figures, "model": loaded.fingerprint}, indent=2)
        write_atomically(json_file, text.encode() + b"\n")
    if not quiet:
        show_table(figures_table(evaluation))
    _exit_if_skipped(skipped)


@app.command()
def bench(
    good: Annotated[
        Path | None,
        typer.Argument(metavar="GOOD", help="Good pictures or MVTec category.", show_default="made-up gears"),
    ] = None,
    out: Annotated[Path, typer.Option(help="CSV file that rows are added to.")] = Path("speed.csv"),
    size: Annotated[int, typer.Option(help="Short side that is worked at, px.")] = 256,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Of each measurement.", show_default="one for each core")
    ] = None,
    train_images: Annotated[int, typer.Option(min=2, help="Pictures to learn from, where they are made up.")] = 100,
    against: Annotated[
        str,
        typer.Option(
            help="patchwise (the paper's encoder), patchcore, padim, efficientad (anomalib's), separated by commas; "
            "'': nothing."
        ),
    ] = "patchwise",
    peers_python: Annotated[Path | None, typer.Option(help="A Python that has anomalib, see `make peers`.")] = None,
    quiet: Quiet = False,
) -> None:
    """Measure training and inspection on this machine: pictures a second, latency, memory, distance from the limit."""
    from sclvi.evaluation.bench.run import bench as run_bench
    from sclvi.evaluation.table import speed_table

    _check_writable(out)
    with progress_bars(quiet) as progress:
        rows = run_bench(
            good,
            out,
            size=size,
            threads=threads,
            train_images=train_images,
            against=[name for name in against.split(",") if name],
            peers_python=peers_python,
            progress=progress,
        )
    if not quiet:
        show_table(speed_table(rows))


@app.command()
def reproduce(
    what: Annotated[
        ResultChoice, typer.Argument(help="table1 (with 7 and 8), table2, table3, table4 (your own data), figure3.")
    ],
    data: Annotated[Path, typer.Option(help="Folder of categories in the MVTec layout.")],
    out: Annotated[Path, typer.Option(help="Folder for rows (CSV), comparison (Markdown), plot and encoders.")] = Path(
        "reproduction"
    ),
    encoder: Annotated[EncoderChoice, typer.Option(help="paper: Tables 5 and 6, very slow without a GPU.")] = (
        EncoderChoice.DENSE
    ),
    pretexts: Annotated[str | None, typer.Option(help="Only these of table 1, separated by commas.")] = None,
    categories: Annotated[str | None, typer.Option(help="Only these, separated by commas.")] = None,
    seeds: Annotated[str, typer.Option(help="Separated by commas.")] = "0",
    budget: Annotated[float | None, typer.Option(help="Minutes for each training; sets the number of steps.")] = None,
    steps: Annotated[int | None, typer.Option(help="Steps of each training, instead of a budget.")] = None,
    batch: Annotated[int | None, typer.Option(help="Pictures in each step.")] = None,
    light: Annotated[
        LightChoice | None,
        typer.Option(help="picture: brightness normalised picture by picture; mean: the mean picture subtracted."),
    ] = None,
    memory_strides: Annotated[
        str | None, typer.Option(help="px between remembered patches of 32 and of 64 px, such as 16,16.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Run a table or figure of the paper and set it beside what was published; goes on where it was stopped."""
    from sclvi.evaluation.reproduce.run import reproduce as run_reproduction

    changes = {
        "steps": steps,
        "batch": batch,
        "light": light and light.value,
        "memory_strides": memory_strides and tuple(_integers("--memory-strides", memory_strides)),
    }
    with progress_bars(quiet) as progress:
        written = run_reproduction(
            what.value,
            data,
            out,
            encoder=encoder.value,
            pretexts=pretexts and pretexts.split(","),
            categories=categories and categories.split(","),
            seeds=_integers("--seeds", seeds),
            budget_minutes=budget,
            changes={name: value for name, value in changes.items() if value is not None},
            progress=progress,
            say=(lambda line: None) if quiet else errors.print,
        )
    for path in written:
        output.print(path)


def _integers(option: str, text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise SclviError(f"{option} {text}: whole numbers separated by commas are needed") from None


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the demonstration's pictures, models and reports.")] = Path(
        "sclvi-demo"
    ),
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Another seed draws other pictures.")] = 0,
    quiet: Quiet = False,
) -> None:
    """Draw pictures of made-up parts, learn the good ones, find the defects, write the report."""
    from sclvi.demo.run import run_demo
    from sclvi.evaluation.table import figures_table

    with progress_bars(quiet) as progress:
        results = run_demo(out, seed, progress)
    for result in results:
        if not quiet:
            show_table(figures_table(result.evaluation))
        output.print(f"{result.evaluation.category} report: {result.report.resolve()}")


def _correct(
    kind: "Kind",
    path: Path,
    images: list[str],
    boxes: list[str],
    listing: bool,
    undo: bool,
    by: str | None,
    out: Path,
    quiet: bool,
) -> None:
    """What `teach` and `flag` have in common: list corrections of a kind, undo some, or make new ones."""
    if not (listing or undo or images):
        raise SclviError("a picture is needed, or --list, or --undo")
    if boxes and (len(images) != 1 or listing or undo):
        raise SclviError("boxes are of one picture: give one, without --list and --undo")
    if not listing:
        _check_writable(out)
    state = _state_of(path)
    model = _load(path)
    from concurrent.futures import ThreadPoolExecutor

    from sclvi.data.boxes import parse_box
    from sclvi.memory.correction import describe
    from sclvi.model_file import save

    if listing:
        said = [describe(correction) for correction in model.corrections if correction.kind == kind]
        _say(said or [f"nothing was {kind}"])
        return
    skipped = Skipped()
    if undo:
        model, done = _undone(model, kind, _integers("--undo", ",".join(images)) if images else None)
    else:
        parsed = [parse_box(text) for text in boxes]
        model, done = _corrected(model, kind, images, parsed, by, skipped if len(images) > 1 else None)
    if out == path:
        _refuse_changed(path, state)
    with ThreadPoolExecutor(1) as pool:
        saving = pool.submit(save, model, out) if done else None
        said = [f"undone: {describe(one)}" for one in done] if undo else _verdicts(model, done)
        if saving:
            saving.result()
    if not quiet:
        _say(said)
        if said and kind == "flagged" and not undo:
            output.print("good parts may be rejected more often than promised; 'sclvi calibrate' renews the promise")
    _exit_if_skipped(skipped)


def _corrected(
    model: "Model", kind: "Kind", images: list[str], boxes: list["Box"], by: str | None, on_skip: OnSkip | None
) -> tuple["Model", list["Correction"]]:
    """The model told of each picture, and what was said."""
    said = []
    for image in images:
        try:
            model = model.teach(image, boxes, by) if kind == "taught" else model.flag(image, boxes, by)
        except SclviError as error:
            leave_out(image, error, on_skip)
            continue
        said.append(model.corrections[-1])
    return model, said


def _verdicts(model: "Model", said: list["Correction"]) -> list[str]:
    """A line for each correction: what the model says of its picture now."""
    from sclvi.memory.correction import describe

    flagged = any(correction.kind == "flagged" for correction in model.corrections)
    inspections = model.inspect([correction.picture.name for correction in said])
    lines = []
    for correction, now in zip(said, inspections, strict=True):
        line = f"{describe(correction)}; now {now.verdict}: score {now.score:.3f}, threshold {now.threshold:.3f}"
        if flagged and correction.kind == "taught" and now.verdict == "defective":
            line += "; what was flagged counts all the same, 'sclvi flag MODEL --undo N' takes it back"
        lines.append(line)
    return lines


def _undone(model: "Model", kind: "Kind", numbers: list[int] | None) -> tuple["Model", list["Correction"]]:
    """The model without some corrections of a kind, None: without the last, and these."""
    known = {correction.number: correction for correction in model.corrections if correction.kind == kind}
    if not known:
        raise SclviError(f"nothing was {kind}, nothing to undo")
    numbers = numbers or [max(known)]
    for number in numbers:
        if number not in known:
            raise SclviError(f"nothing {kind} has number {number}; see --list")
        model = model.undo(number)
    return model, [known[number] for number in numbers]


def _load(path: Path) -> "Model":
    """Read a model. Its file is read while torch is being imported, which takes about as long."""
    import gc
    from concurrent.futures import ThreadPoolExecutor

    from sclvi.tensor_file import read_tensors

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read_tensors, path)
        gc.disable()  # it would look through all that torch makes, in vain, several times
        from sclvi.model_file import load

        gc.freeze()  # nor at the end, which takes a third of a second
        gc.enable()
        return load(reading.result())


def _size_options(size: str | None) -> dict[str, object]:
    """The settings that `--size` means."""
    from sclvi.data.preparing import parse_size

    if size is None:
        return {}
    parsed = parse_size(size)
    return {"size": None, "short_side": parsed} if isinstance(parsed, int) else {"size": parsed}


def _say(lines: list[str]) -> None:
    for line in lines:
        output.print(line)


def _say_cost(good: Path, settings: "Settings") -> None:
    """The paper's encoder takes days on a CPU: say so before it starts."""
    from sclvi.evaluation.reproduce.cost import count_pictures, measure_cost, spoken

    cost = measure_cost(good, settings, lambda name, error: None)  # training tells of bad pictures
    seconds = cost.cell(settings.steps, count_pictures(good)[0])
    errors.print(f"{settings.steps} steps: about {spoken(seconds)} on this machine; --steps N makes it shorter")


def _check_writable(path: Path) -> None:
    """Say now, not after minutes of training, that the result cannot be written."""
    folder = path.absolute().parent
    if os.path.isdir(path):  # noqa: PTH112  # Path's raises where a folder above may not be read
        raise SclviError(f"{path}: is a folder, a file name is needed")
    if not os.path.isdir(folder):  # noqa: PTH112
        raise SclviError(f"{folder}: no such folder")
    changed = path if path.exists() else folder
    if not os.access(changed, os.W_OK):
        raise SclviError(f"{changed}: not writable")


def _state_of(path: Path) -> tuple[int, int, int] | None:
    """By which it is noticed that a file was written anew; None: it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _refuse_changed(path: Path, state: tuple[int, int, int] | None) -> None:
    """What another command wrote into the model meanwhile would be lost."""
    if _state_of(path) != state:
        raise SclviError(f"{path}: another command changed it meanwhile; nothing was written, say it again")


def _exit_if_skipped(skipped: Skipped) -> None:
    if skipped.names:
        raise typer.Exit(Exit.SKIPPED)


def run() -> None:
    """Entry point of the `sclvi` command: errors meant for the user become one line and an exit code."""
    show_all_names()
    try:
        app()
    except SclviError as error:
        errors.print(f"sclvi: {error}")
        sys.exit(Exit.ERROR)
    except ValidationError as error:
        place, _, message = complaint(error)
        setting = place.partition(".")[0]
        option = {"": "", "short_side": "--size: "}.get(setting, f"--{setting.replace('_', '-')}: ")
        errors.print(f"sclvi: {option}{message}")
        sys.exit(Exit.ERROR)
    except OSError as error:  # such as a folder that may not be read
        name = f"{error.filename}: " if error.filename else ""
        errors.print(f"sclvi: {name}{error.strerror or error}")
        sys.exit(Exit.ERROR)
    except SystemExit as exit_:
        if exit_.code == Exit.INTERRUPTED:  # typer's answer to Ctrl-C
            errors.print("sclvi: stopped; nothing half-written is left")
        raise
