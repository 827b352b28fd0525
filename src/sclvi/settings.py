"""Everything that can be set, in one value that travels inside the model and on every result row."""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from sclvi.context.losses import ALPHA
from sclvi.context.pretexts import PRETEXTS
from sclvi.encoders.interface import PATCH_SIZES
from sclvi.memory.bank import Search
from sclvi.scoring.affinity import LAMBDA, Fusion

_SCORING_FIELDS = frozenset(
    (
        *("memory_strides", "memory_mib", "search", "fusion", "eta", "affinity_limit", "softness", "query_step"),
        *("closer", "nearness", "surface", "raised", "synthetic_steps", "smoothing"),
    )
)
# Settings that came later, at the value that is as before: rows measured then keep their fingerprint.
_OFF: Mapping[str, Any] = {
    "align": False,
    "audit": "off",
    "closer": 1.0,
    "crop": None,
    "nearness": 0.0,
    "surface": False,
    "raised": False,
    "synthetic_steps": 0,
    "tile": None,
    "overlap": 64,
}
_SHOWN_FIELDS = frozenset(("thumbnails_kib",))  # change what is shown, no figure
Side = Annotated[int, Field(ge=64, le=4096)]
Share = Annotated[float, Field(gt=0, lt=1)]


def _known_pretext(name: str) -> str:
    if name not in PRETEXTS:
        raise ValueError(f"{name!r} is none of {', '.join(PRETEXTS)}")
    return name


def _on_every_map(strides: tuple[int, int]) -> tuple[int, int]:
    if any(stride < 4 or stride > 32 or stride % 4 for stride in strides):
        raise ValueError("strides must be multiples of 4 px from 4 to 32")
    return strides


class Settings(BaseModel):
    """One fixed setting for all kinds of parts; what depends on the part is measured on its good pictures."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    seed: int = Field(0, ge=0, lt=2**32)
    size: tuple[Side, Side] | None = Field(None, description="(height, width) of anomaly maps, px; None: by short side")
    short_side: int = Field(320, ge=64, le=4096, description="px, where no size is given")
    tile: int | None = Field(
        None, ge=128, le=4096, description="side of the tiles that pictures are looked at in, at full size, px"
    )
    overlap: int = Field(64, ge=0, description="px that neighbouring tiles share; up to half a tile")
    align: bool = Field(
        True, description="turn parts to lie alike and cut pictures to them, where good pictures allow it"
    )
    audit: Literal["off", "warn", "drop"] = Field(
        "off", description="look for good pictures that do not belong, and leave them out"
    )
    light: Literal["picture", "mean"] = Field("picture", description="see `Light`: each picture by itself, or the mean")
    encoder: Literal["dense", "paper"] = "dense"
    start: Literal["procedural", "random"] = Field("procedural", description="weights that training starts from")
    pretext: Annotated[str, AfterValidator(_known_pretext)] = "twelve"
    steps: int = Field(20, ge=0, description="steps of context learning, each of `batch` pictures in two views")
    batch: int = Field(4, ge=1)
    crop: int | None = Field(256, ge=128, description="side of the part of a picture that a step sees, px; None: all")
    pairs: int = Field(512, ge=1, description="pairs per picture and scale in each step")
    colour_shift: float = Field(0.1, ge=0, description="deviation added to each channel of a view, in units of `light`")
    noise: float = Field(0.05, ge=0, description="deviation added to each value of a view, in units of `light`")
    encoder_rate: float = Field(2e-5, gt=0, description="learning rate of the encoder: it starts from good weights")
    classifier_rate: float = Field(1e-3, gt=0, description="learning rate of the classifiers: they start from nothing")
    schedule: Literal["cosine", "constant"] = Field("cosine", description="of both learning rates")
    weight_decay: float = Field(1e-4, ge=0)
    alpha: float = Field(ALPHA, ge=0, description="weight of the patch-SVDD loss, eq. 3")
    memory_strides: Annotated[tuple[int, int], AfterValidator(_on_every_map)] = Field(
        (4, 8), description="px between remembered patches of 32 and of 64 px"
    )
    memory_mib: float = Field(512, gt=0, le=2**20, description="what the memory may take, MiB")
    search: Search = Field("inverted", description="of the memory: inverted file, or every item")
    nearness: float = Field(
        0.03,
        ge=0,
        description="what a px between patches counts, in units of the codes, where parts show the same at a place",
    )
    fusion: Fusion = Field(
        "affinity", description="of the nearest items: eq. 4 and 5, plain mean, or the nearest alone"
    )
    eta: int = Field(10, ge=1, le=1000, description="memory items that are fused, section 4.2")
    affinity_limit: float = Field(LAMBDA, gt=0, description="lambda of eq. 4")
    softness: float | None = Field(
        0.3, ge=0, description="of the length normalisation, in median lengths of a good code; None: codes as they are"
    )
    query_step: int = Field(2, ge=1, description="every which remembered position of a new picture is scored")
    closer: float = Field(
        0.125,
        ge=0,
        le=1,
        description="share of the patches between every second one that are searched, too: where these look worst; "
        "1: all of a picture are searched at once",
    )
    surface: bool = Field(True, description="also watch the first layer's responses at each place; dense encoder only")
    synthetic_steps: int = Field(
        4000, ge=0, description="steps at most in which a network learns to see synthetic defects; 0: without"
    )
    raised: bool = Field(True, description="raise the map where single kinds of map are surprised")
    smoothing: float = Field(
        1.5, ge=0, description="sigma of the Gaussian filter of all maps but the synthetic defects', px"
    )
    set_aside: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of good pictures that sets the threshold and that the encoder does not learn from; 0: all "
        "set it, which takes an encoder that learns little, as the default does",
    )
    false_reject_rate: Share = Field(0.01, description="share of good parts that may be rejected")
    thumbnails_kib: float = Field(
        4096, ge=0, le=2**20, description="what thumbnails of the training pictures may take in the model, KiB; 0: none"
    )

    @model_validator(mode="after")
    def _patches_cover_the_picture(self) -> Self:
        for patch, stride in zip(PATCH_SIZES, self.memory_strides, strict=True):
            if self.query_step * stride > patch:
                raise ValueError(
                    f"query_step {self.query_step} leaves gaps between {patch}-px patches {stride} px apart"
                )
        return self

    @model_validator(mode="after")
    def _tiles_are_of_pictures_as_they_are(self) -> Self:
        if self.tile is None:
            return self
        if self.size is not None:
            raise ValueError("tiles are cut from pictures at their own size; give tile or size, not both")
        if self.light == "mean":
            raise ValueError("tiles have no mean picture; set light to picture")
        if 2 * self.overlap > self.tile:
            raise ValueError(f"tiles of {self.tile} px can overlap by {self.tile // 2} px at most, not {self.overlap}")
        return self

    @model_validator(mode="after")
    def _surface_needs_the_dense_encoder(self) -> Self:
        if self.surface and self.encoder != "dense":
            raise ValueError(f"the {self.encoder} encoder has no layer over the whole picture; set surface to false")
        return self

    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that change with any setting that can change a figure."""
        return self._fingerprint_without(frozenset())

    def training_fingerprint(self) -> str:
        """The same, but only of the settings that change what the encoder learns."""
        return self._fingerprint_without(_SCORING_FIELDS)

    def _fingerprint_without(self, fields: frozenset[str]) -> str:
        off = {name for name, value in _OFF.items() if getattr(self, name) == value}
        return hashlib.sha256(self.model_dump_json(exclude=off | fields | _SHOWN_FIELDS).encode()).hexdigest()[:12]


Preset = Literal["default", "paper"]

# What the paper says, and the authors' code where the paper is silent (docs/paper.md). The length is theirs: 400 epochs
# of 100 passes over some 200 pictures in batches of 64; days on a CPU, so `--steps` shortens it and the result says so.
_PAPER: Mapping[str, Any] = {
    "size": (256, 256),
    "short_side": 256,
    "align": False,
    "light": "mean",
    "encoder": "paper",
    "start": "random",
    "steps": 125_000,
    "batch": 64,
    "crop": None,
    "pairs": 1,
    "colour_shift": 0.02,
    "noise": 0.02,
    "encoder_rate": 1e-4,
    "classifier_rate": 1e-4,
    "schedule": "constant",
    "weight_decay": 0.0,
    "memory_strides": (4, 16),
    "memory_mib": 4096,
    "search": "exact",
    "softness": None,
    "query_step": 1,
    "closer": 1.0,
    "nearness": 0.0,
    "surface": False,
    "raised": False,
    "synthetic_steps": 0,
    "smoothing": 0.0,
    "set_aside": 0.2,
}
PRESETS: Mapping[Preset, Mapping[str, Any]] = {"default": {}, "paper": _PAPER}


def preset(name: Preset, **changes: Any) -> Settings:  # noqa: ANN401  # pydantic checks the values
    """The settings of a preset, with changes."""
    return Settings(**{**PRESETS[name], **changes})
