"""The `paper` encoder: Tables 5 and 6, each patch cut out and encoded alone.

Padded convolutions and GroupNorm over the patch make a code depend on where the patch ends, so one pass over a picture
cannot give the codes of its patches: every patch is a pass of its own. That is the price of doing as the paper does.
"""

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor, nn

from sclvi.encoders.interface import CODE_LENGTH, PATCH_SIZES, Encoder, patch_grid
from sclvi.encoders.places import CodeReader, Places

SMALL, LARGE = PATCH_SIZES
CHUNK = 256  # patches encoded at once: 256 outputs of Conv1 are 77 MB in float32, and about two such lie side by side
GROUP = 8  # channels per group of GroupNorm, everywhere: the authors' 12, 32, 48, 48, 32, 16, 8 groups


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, kernel, stride, padding), nn.GroupNorm(outputs // GROUP, outputs)]


def _block(inputs: int, outputs: int, kernel: int, padding: int = 0) -> list[nn.Module]:
    return [*_convolution(inputs, outputs, kernel, padding=padding), nn.LeakyReLU(0.1, inplace=True)]


class PaperEncoder(Encoder):
    """Main encoder (Table 5) for 32 x 32 patches; secondary encoder (Table 6) for the four quarters of a 64 x 64 patch.

    Where the paper is silent this follows the authors' code: which convolutions are padded, pool padding 1, 0, 1,
    groups of 8 channels, LeakyReLU(0.1) between the layers and tanh at both ends. It has no LocalResponseNorm, which
    the authors' code adds after the first two pools: the paper says GroupNorm after each convolution and nothing more
    (section 4.1). "Each" is taken to include Table 6. Nothing differs between training and evaluation mode.

    The main encoder costs 238 MMAC per 32 x 32 patch of 3 channels, the secondary one 0.04 MMAC per 64 x 64 patch.
    """

    name: ClassVar[str] = "paper"
    placement: ClassVar[int] = 1
    inspects_exactly: ClassVar[bool] = True  # it is the reference; in bf16 its codes differ by up to 0.07

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.main = nn.Sequential(  #              Table 5, 32 x 32 in
            *_block(channels, 96, 5),  #           28
            nn.MaxPool2d(3, 2, padding=1),  #      14
            *_block(96, 256, 5, padding=2),  #     14
            nn.MaxPool2d(3, 2),  #                  6
            *_block(256, 384, 3, padding=1),  #     6
            *_block(384, 384, 3, padding=1),  #     6
            *_block(384, 256, 3, padding=1),  #     6
            nn.MaxPool2d(3, 2, padding=1),  #       3
            *_block(256, 128, 2),  #                2
            *_convolution(128, CODE_LENGTH, 2),  #  1
            nn.Tanh(),
        )
        self.secondary = nn.Sequential(  #         Table 6, 2 x 2 in
            *_block(CODE_LENGTH, 128, 2),  #        1
            # The table's stride of 2 changes nothing here: the input is one position.
            *_convolution(128, CODE_LENGTH, 1, stride=2),
            nn.Tanh(),
        )

    def encode_grid(self, images: Tensor, strides: tuple[int, ...]) -> tuple[Tensor, ...]:
        """See `Encoder`. Without gradient, memory does not grow with the number of patches but for their codes.

        Where the quarters of all 64 x 64 patches lie on the grid of the 32 x 32 patches, their codes are taken from
        there, which is exact as a patch is encoded alone; else they are encoded too, four per 64 x 64 patch. At the
        paper's strides (4, 16) a 256 x 256 picture thus takes 3,249 passes of the main encoder and not 3,925: 774 GMAC.
        """
        small_stride, large_stride = strides
        batch, _, height, width = images.shape
        small_grid = patch_grid((height, width), SMALL, small_stride)
        large_grid = patch_grid((height, width), LARGE, large_stride)
        small = self._encode_in_chunks(images, _grid_places(batch, small_grid, small_stride, images.device))
        quarters = _quarters(_grid_places(batch, large_grid, large_stride, images.device))
        if _quarters_on_grid(small_stride, large_stride):
            quarter_codes = small[_grid_indices(quarters, small_grid, small_stride)]
        else:
            quarter_codes = self._encode_in_chunks(images, quarters)
        large = self._join(quarter_codes)
        return _as_map(small, batch, small_grid), _as_map(large, batch, large_grid)

    def read(self, views: Tensor) -> tuple[CodeReader, ...]:
        """See `Encoder`. All patches of a call are encoded at once."""

        def read_small(places: Places) -> Tensor:
            codes: Tensor = self.main(_cut(views, places, SMALL))  # N x 64 x 1 x 1
            return codes.flatten(1)

        def read_large(places: Places) -> Tensor:
            return self._join(read_small(_quarters(places)))

        return read_small, read_large

    def _encode_in_chunks(self, images: Tensor, places: Places) -> Tensor:
        """Codes of N 32 x 32 patches, N x 64."""
        read_small, _ = self.read(images)
        return torch.cat([read_small(chunk) for chunk in _split(places, CHUNK)])

    def _join(self, quarter_codes: Tensor) -> Tensor:
        """Codes of the quarters, 4N x 64 in the order of `_quarters` -> codes of the 64 x 64 patches, N x 64."""
        squares = quarter_codes.reshape(-1, 2, 2, CODE_LENGTH).permute(0, 3, 1, 2)  # N x 64 x 2 x 2
        codes: Tensor = self.secondary(squares)
        return codes.flatten(1)


def _cut(images: Tensor, places: Places, patch: int) -> Tensor:
    """Cut N patches out of images B x C x H x W -> N x C x patch x patch, channels last in memory."""
    device = images.device
    pixels = torch.arange(patch, device=device)
    views = places.views.to(device)[:, None, None]
    rows = places.tops.to(device)[:, None, None] + pixels[:, None]  # N x patch x 1
    columns = places.lefts.to(device)[:, None, None] + pixels  # N x 1 x patch
    return images[views, :, rows, columns].permute(0, 3, 1, 2)  # indexing gives N x patch x patch x C


def _quarters(places: Places) -> Places:
    """N 64 x 64 patches -> their 4N quarters of 32 x 32, the four of a patch together, row by row."""
    down = torch.tensor([0, 0, SMALL, SMALL], device=places.tops.device)
    right = torch.tensor([0, SMALL, 0, SMALL], device=places.lefts.device)
    return Places(
        places.views.repeat_interleave(4),
        (places.tops[:, None] + down).flatten(),
        (places.lefts[:, None] + right).flatten(),
    )


def _quarters_on_grid(small_stride: int, large_stride: int) -> bool:
    """Whether every quarter of every 64 x 64 patch is a patch of the 32 x 32 grid."""
    return large_stride % small_stride == 0 and SMALL % small_stride == 0


def _grid_places(batch: int, grid: tuple[int, int], stride: int, device: torch.device) -> Places:
    """All patches of a grid on all images: by image, then row, then column."""
    rows, columns = (torch.arange(steps, device=device) * stride for steps in grid)
    return Places(*torch.cartesian_prod(torch.arange(batch, device=device), rows, columns).unbind(1))


def _grid_indices(places: Places, grid: tuple[int, int], stride: int) -> Tensor:
    """Where patches that lie on a grid stand in the order of `_grid_places`, N int64."""
    return (places.views * grid[0] + places.tops // stride) * grid[1] + places.lefts // stride


def _split(places: Places, count: int) -> Iterator[Places]:
    """The same places, `count` at a time."""
    fields = (places.views, places.tops, places.lefts)
    for views, tops, lefts in zip(*(field.split(count) for field in fields), strict=True):
        yield Places(views, tops, lefts)


def _as_map(codes: Tensor, batch: int, grid: tuple[int, int]) -> Tensor:
    """N x 64 in the order of `_grid_places` -> B x 64 x h x w."""
    return codes.reshape(batch, *grid, CODE_LENGTH).permute(0, 3, 1, 2)
