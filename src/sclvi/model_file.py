"""The model file: one safetensors file with JSON metadata; nothing in it is executed."""

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from sclvi.data.alignment import Alignment, Template
from sclvi.data.box import Box
from sclvi.data.good import TrainingPicture
from sclvi.data.levels import Levels
from sclvi.data.light import Light
from sclvi.data.regions import RegionOfInterest, Regions
from sclvi.decision.threshold import Threshold
from sclvi.encoders.compute import pick_device, to_device
from sclvi.encoders.dense import DenseEncoder
from sclvi.encoders.interface import Encoder
from sclvi.encoders.making import empty_inspecting_encoder
from sclvi.errors import SclviError
from sclvi.memory.bank import MemoryBank
from sclvi.memory.codespace import CodeSpace
from sclvi.memory.correction import Correction
from sclvi.memory.exemplars import Exemplars, Taught, exemplars_of
from sclvi.memory.gaussian import Gaussian
from sclvi.memory.scale import ScaleMemory
from sclvi.memory.surface import LEVELS, Surface, limits_of
from sclvi.model import Calibration, Model
from sclvi.scoring.inspector import Inspector
from sclvi.scoring.maps import Usual
from sclvi.settings import Settings
from sclvi.synthetic.detector import Detector, looks_of
from sclvi.synthetic.network import SegmentationNetwork
from sclvi.tensor_file import Arrays, TensorFile, read_tensors, sums_of, write_arrays

FORMAT_VERSION = 14
_MIRRORED = np.array([2, 3])  # axes, see `View`


def fingerprint_of(model: Model) -> str:
    """Sixteen hexadecimal digits that change with anything but corrections that changes a score or a verdict."""
    inspector = model.inspector
    arrays = {**_arrays(inspector, model.alignment, model.levels, model.light), **_region_arrays(model.regions)}
    content = _digest(
        arrays,
        sums_of(arrays, _known_sums(inspector)),
        {
            "calibration": asdict(model.calibration),
            "settings": _settings_json(inspector),
            "regions": _regions_json(model.regions),
        },
    )
    return content[:16]


def corrected_fingerprint(uncorrected: str, inspector: Inspector) -> str:
    """That of the model with what people corrected, from that of the model without; the same where there is nothing."""
    arrays = _correction_arrays(inspector)
    return _digest(arrays, sums_of(arrays), {"uncorrected": uncorrected})[:16] if arrays else uncorrected


def save(model: Model, path: str | Path) -> None:
    """Write the model atomically.

    Raises:
        SclviError: the file cannot be written; an older file of that name is left as it was.
    """
    arrays = _arrays(model.inspector, model.alignment, model.levels, model.light)
    arrays |= _region_arrays(model.regions) | _correction_arrays(model.inspector)
    pictures = model.all_pictures
    arrays["poses"] = np.stack([picture.pose for picture in pictures])
    thumbnails = [picture.thumbnail for picture in pictures]
    arrays["thumbnails"] = np.frombuffer(b"".join(thumbnails), np.uint8)
    arrays["thumbnails.ends"] = np.cumsum([len(thumbnail) for thumbnail in thumbnails], dtype=np.int64)
    content = {
        "format_version": FORMAT_VERSION,
        "fingerprint": model.fingerprint,
        "uncorrected": model.uncorrected,
        "size": model.alignment.size,
        "upright": model.alignment.upright,
        "aligned": model.alignment.aligned,
        "channels": model.channels,
        "float_levels": model.levels is not None and model.levels.floating,
        "settings": _settings_json(model.inspector),
        "calibration": asdict(model.calibration),
        "regions": _regions_json(model.regions),
        "memories": [
            {
                "patch": memory.patch,
                "stride": memory.stride,
                "length": memory.space and memory.space.length,
                "grid": memory.grid,
                "nearness": memory.nearness,
            }
            for memory in model.inspector.memories
        ],
        "pictures": [
            {
                "name": picture.name,
                "size": picture.size,
                "appearance": picture.appearance,
                "digest": picture.digest,
            }
            for picture in pictures
        ],
        "corrections": [_correction_json(correction) for correction in model.corrections],
        "metadata": model.metadata,
    }
    digest = _digest(arrays, sums_of(arrays, _known_sums(model.inspector)), content)
    write_arrays(Path(path), arrays, {"sclvi": json.dumps(content, sort_keys=True), "sha256": digest})


def load(source: str | Path | TensorFile) -> Model:
    """Read a model.

    Args:
        source: its path, or what was read of it.

    Raises:
        SclviError: missing, not a model, of another version, truncated or altered.
    """
    file = source if isinstance(source, TensorFile) else read_tensors(Path(source))
    content, digest = _content_of(file)
    version = content.get("format_version")
    if version != FORMAT_VERSION:
        raise SclviError(
            f"{file.path}: model format {version}, this sclvi reads format {FORMAT_VERSION}; train it again or use the "
            "sclvi that wrote it"
        )
    if _digest(file.arrays, file.sums, content) != digest:
        raise SclviError(f"{file.path}: altered since it was written (checksum differs)")
    try:
        return _build(file, content)
    except (LookupError, TypeError, ValueError, RuntimeError, ValidationError) as error:
        raise SclviError(f"{file.path}: damaged model file ({type(error).__name__})") from None


def _build(file: TensorFile, content: dict[str, Any]) -> Model:
    arrays = file.arrays
    settings = Settings(**content["settings"])
    encoder = empty_inspecting_encoder(settings.encoder, content["channels"])
    encoder.load_state_dict(_build_state(arrays, "encoder."))
    encoder = to_device(encoder, pick_device())
    memories = tuple(_build_memory(file, number, known) for number, known in enumerate(content["memories"]))
    surface = _build_surface(arrays, encoder, settings)
    detector = _build_detector(arrays, content["channels"])
    calibration = _build_calibration(content["calibration"])
    pictures, corrections = _build_pictures(arrays, content)
    return Model(
        inspector=_with_corrections(Inspector(encoder, memories, surface, settings, detector), calibration, arrays),
        light=Light(torch.from_numpy(arrays["light.mean"]) if "light.mean" in arrays else None),
        alignment=_build_alignment(arrays, content),
        channels=content["channels"],
        levels=_build_levels(arrays, content["float_levels"]),
        regions=_build_regions(arrays, content["regions"]),
        calibration=calibration,
        pictures=pictures,
        fingerprint=content["fingerprint"],
        metadata=content["metadata"],
        corrections=corrections,
        uncorrected=content["uncorrected"],
    )


def _build_calibration(known: dict[str, Any]) -> Calibration:
    return Calibration(
        # a map's weight was true or false before it was a number
        usual=tuple(Usual(**{**usual, "ranks": float(usual["ranks"])}) for usual in known["usual"]),
        threshold=Threshold(**known["threshold"]),
        outline=known["outline"],
        scores=tuple(known["scores"]),
        regions=tuple(Threshold(**region) for region in known["regions"]),
    )


def _build_pictures(
    arrays: Arrays, content: dict[str, Any]
) -> tuple[tuple[TrainingPicture, ...], tuple[Correction, ...]]:
    """Those trained on, and those that people corrected the model with."""
    pictures = tuple(
        TrainingPicture(known["name"], tuple(known["size"]), pose, known["appearance"], thumbnail, known["digest"])
        for known, pose, thumbnail in zip(content["pictures"], arrays["poses"], _thumbnails(arrays), strict=True)
    )
    trained = len(pictures) - len(content["corrections"])
    corrections = tuple(
        Correction(**{**known, "boxes": tuple(Box(**box) for box in known["boxes"])}, picture=picture)
        for known, picture in zip(content["corrections"], pictures[trained:], strict=True)
    )
    return pictures[:trained], corrections


def _correction_json(correction: Correction) -> dict[str, Any]:
    """All but the picture."""
    return {
        "number": correction.number,
        "kind": correction.kind,
        "boxes": [asdict(box) for box in correction.boxes],
        "when": correction.when,
        "by": correction.by,
    }


def _with_corrections(inspector: Inspector, calibration: Calibration, arrays: Arrays) -> Inspector:
    """What people corrected, beside what was learned."""
    above = [usual.unusual for usual in calibration.usual]
    memories = tuple(
        replace(
            memory,
            taught=_build_taught(arrays, f"memory{number}.taught", above[number]),
            flagged=_build_exemplars(arrays, f"memory{number}.flagged"),
        )
        for number, memory in enumerate(inspector.memories)
    )
    surface = inspector.surface
    if surface is not None:
        limits = enumerate(limits_of(calibration.usual[len(memories) :][:2]))
        taught = tuple(_build_taught(arrays, f"surface{number}.taught", limit) for number, limit in limits)
        surface = replace(surface, taught=taught)
    detector = inspector.detector
    if detector is not None:
        detector = replace(detector, taught=looks_of(_build_exemplars(arrays, "looks.taught"), calibration.usual))
    return replace(inspector, memories=memories, surface=surface, detector=detector)


def _build_taught(arrays: Arrays, name: str, above: float) -> Taught | None:
    return Taught.of(_build_exemplars(arrays, name), above)


def _build_exemplars(arrays: Arrays, name: str) -> Exemplars | None:
    if f"{name}.codes" not in arrays:
        return None
    return Exemplars(torch.from_numpy(arrays[f"{name}.codes"]), torch.from_numpy(arrays[f"{name}.origins"]))


def _exemplar_arrays(exemplars: Exemplars | None, name: str) -> Arrays:
    if exemplars is None:
        return {}
    return {f"{name}.codes": exemplars.codes.numpy(), f"{name}.origins": exemplars.origins.numpy()}


def _thumbnails(arrays: Arrays) -> list[bytes]:
    encoded, ends = arrays["thumbnails"].tobytes(), arrays["thumbnails.ends"].tolist()
    return [encoded[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def _build_alignment(arrays: Arrays, content: dict[str, Any]) -> Alignment:
    size, upright, aligned = ((content[name][0], content[name][1]) for name in ("size", "upright", "aligned"))
    scale = float(arrays["alignment.scale"]) if "alignment.scale" in arrays else None
    template = None
    if "alignment.picture" in arrays:
        may_turn = bool(arrays["alignment.may_turn"])
        template = Template(arrays.get("alignment.polar"), arrays["alignment.picture"], may_turn)
    return Alignment(size, upright, aligned, template, arrays["alignment.frame"], scale)


def _build_levels(arrays: Arrays, floating: bool) -> Levels | None:
    if "levels.black" not in arrays:
        return None
    return Levels(arrays["levels.black"], arrays["levels.white"], floating)


def _build_regions(arrays: Arrays, known: list[dict[str, Any]]) -> Regions:
    return Regions(tuple(_build_region(arrays, number, one) for number, one in enumerate(known)))


def _build_region(arrays: Arrays, number: int, known: dict[str, Any]) -> RegionOfInterest:
    height, width = known["size"]
    if known["corners"] is None:
        bits = np.unpackbits(arrays[f"region{number}.mask"], count=height * width)
        return RegionOfInterest(
            known["name"], known["kind"], (height, width), bits.reshape(height, width).astype(bool), known["rate"]
        )
    corners = tuple((x, y) for x, y in known["corners"])
    return RegionOfInterest(known["name"], known["kind"], (height, width), corners, known["rate"])


def _regions_json(regions: Regions) -> list[dict[str, Any]]:
    """All but the masks, which are `_region_arrays`."""
    return [
        {
            "name": item.name,
            "kind": item.kind,
            "size": item.size,
            "corners": None if isinstance(item.outline, np.ndarray) else item.outline,
            "rate": item.false_reject_rate,
        }
        for item in regions.items
    ]


def _region_arrays(regions: Regions) -> Arrays:
    """The masks, eight pixels a byte."""
    return {
        f"region{number}.mask": np.packbits(item.outline)
        for number, item in enumerate(regions.items)
        if isinstance(item.outline, np.ndarray)
    }


def _build_memory(file: TensorFile, number: int, known: dict[str, Any]) -> ScaleMemory:
    arrays, index = file.arrays, f"memory{number}.index"
    space = None
    if known["length"] is not None:
        space = CodeSpace(torch.from_numpy(arrays[f"memory{number}.centre"]), known["length"])
    bank = MemoryBank.from_bytes(arrays[index], arrays[f"memory{number}.origins"], file.sums[index])
    grid = (known["grid"][0], known["grid"][1])
    return ScaleMemory(known["patch"], known["stride"], space, bank, grid, known["nearness"])


def _build_surface(arrays: Arrays, encoder: Encoder, settings: Settings) -> Surface | None:
    if not (settings.surface and isinstance(encoder, DenseEncoder)):
        return None
    return Surface(encoder.first_layer(), tuple(_build_gaussian(arrays, number) for number in range(LEVELS)))


def _build_gaussian(arrays: Arrays, number: int) -> Gaussian:
    means, whiteners = (torch.from_numpy(arrays[f"surface{number}.{part}"]) for part in ("means", "whiteners"))
    if means.ndim != 3 or whiteners.shape != (*means.shape, means.shape[2]) or means.dtype != torch.float32:
        raise ValueError("surface arrays do not fit each other")
    return Gaussian(means.to(pick_device()), whiteners.to(pick_device()))


def _build_detector(arrays: Arrays, channels: int) -> Detector | None:
    state = _build_state(arrays, "detector.")
    if not state:
        return None
    network = SegmentationNetwork(channels).folded()
    network.load_state_dict(state)
    views = tuple(tuple(_MIRRORED[row > 0].tolist()) for row in arrays["views"])
    return Detector(to_device(network, pick_device()), views=views)


def _build_state(arrays: Arrays, prefix: str) -> dict[str, Tensor]:
    """Of a module; empty where none was written under this prefix."""
    named = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
    return {name: torch.from_numpy(array) for name, array in named.items()}


def _state_arrays(module: nn.Module, prefix: str) -> Arrays:
    return {f"{prefix}{name}": value.cpu().contiguous().numpy() for name, value in module.state_dict().items()}


def _arrays(inspector: Inspector, alignment: Alignment, levels: Levels | None, light: Light) -> Arrays:
    arrays = _state_arrays(inspector.encoder, "encoder.")
    arrays["alignment.frame"] = alignment.frame
    if alignment.template is not None:
        arrays["alignment.picture"] = alignment.template.picture
        arrays["alignment.may_turn"] = np.array(alignment.template.may_turn, np.uint8)
        if alignment.template.polar is not None:
            arrays["alignment.polar"] = alignment.template.polar
    if alignment.scale is not None:
        arrays["alignment.scale"] = np.array(alignment.scale)
    if levels is not None:
        arrays["levels.black"], arrays["levels.white"] = levels.black, levels.white
    if light.mean is not None:
        arrays["light.mean"] = light.mean.numpy()
    for number, memory in enumerate(inspector.memories):
        if memory.space is not None:
            arrays[f"memory{number}.centre"] = memory.space.centre.numpy()
        arrays[f"memory{number}.index"] = memory.bank.to_bytes()
        arrays[f"memory{number}.origins"] = memory.bank.origins
    for number, level in enumerate(inspector.surface.levels if inspector.surface is not None else ()):
        arrays[f"surface{number}.means"] = level.means.cpu().numpy()
        arrays[f"surface{number}.whiteners"] = level.whiteners.cpu().numpy()
    if inspector.detector is not None:
        arrays |= _state_arrays(inspector.detector.network, "detector.")
        arrays["views"] = np.stack([np.isin(_MIRRORED, view) for view in inspector.detector.views]).astype(np.uint8)
    return arrays


def _known_sums(inspector: Inspector) -> dict[str, str]:
    """Of the arrays that are nearly all of a file, where they were read from one."""
    sums = {f"memory{number}.index": memory.bank.sum for number, memory in enumerate(inspector.memories)}
    return {name: known for name, known in sums.items() if known is not None}


def _correction_arrays(inspector: Inspector) -> Arrays:
    arrays: Arrays = {}
    for number, memory in enumerate(inspector.memories):
        arrays |= _exemplar_arrays(exemplars_of(memory.taught), f"memory{number}.taught")
        arrays |= _exemplar_arrays(memory.flagged, f"memory{number}.flagged")
    for number, taught in enumerate(inspector.surface.taught if inspector.surface is not None else ()):
        arrays |= _exemplar_arrays(exemplars_of(taught), f"surface{number}.taught")
    if inspector.detector is not None:
        arrays |= _exemplar_arrays(inspector.detector.exemplars, "looks.taught")
    return arrays


def _settings_json(inspector: Inspector) -> dict[str, Any]:
    return inspector.settings.model_dump(mode="json")


def _digest(arrays: Arrays, sums: dict[str, str], content: dict[str, Any]) -> str:
    """SHA-256 over everything the file says; floats survive JSON exactly, so a read file gives the written digest."""
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape} {sums[name]}".encode())
    return digest.hexdigest()


def _content_of(file: TensorFile) -> tuple[dict[str, Any], str]:
    """Our content and its digest."""
    try:
        return dict(json.loads(file.metadata["sclvi"])), str(file.metadata["sha256"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise SclviError(f"{file.path}: not an sclvi model, or a truncated one") from None
