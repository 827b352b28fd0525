"""3 x 3 convolutions with a quarter of the multiplications (Winograd's F(4 x 4, 3 x 3); Lavin and Gray 2016).

An output tile of 4 x 4 pixels needs 144 multiplications by the definition. With input tile, kernel and output tile
brought to other bases it needs 36, one for each place of the 6 x 6 input tile, and over the channels these are 36
matrix products. What torch computes convolutions with on a CPU (oneDNN) multiplies by the definition. Results differ
from those by rounding, a few times 1e-5 of their deviation.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_TILE, _SEEN = 4, 6  # px, of an output tile and of the input that it sees

# A, G and B of the paper, section 4.1: output = A^T [(G kernel G^T) * (B^T input B)] A
_INPUT = torch.tensor(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    dtype=torch.float32,
)
_KERNEL = torch.tensor(
    [[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]], dtype=torch.float32
).div(24)
_OUTPUT = torch.tensor(
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], dtype=torch.float32
)
_INPUT_BOTH, _OUTPUT_BOTH = torch.kron(_INPUT, _INPUT), torch.kron(_OUTPUT, _OUTPUT)  # along rows and columns at once


def transform_kernels(kernels: Tensor) -> Tensor:
    """O x I x 3 x 3 float -> 36 x I x O."""
    outputs, inputs = kernels.shape[:2]
    both = torch.einsum("pa,qb,oiab->pqio", _KERNEL, _KERNEL, kernels)
    return both.reshape(_SEEN**2, inputs, outputs).contiguous()


def winograd(images: Tensor, transformed: Tensor, bias: Tensor) -> Tensor:
    """Valid convolution with stride 1; images go one by one, as the tiles of several do not fit into a cache.

    Args:
        images: B x I x H x W float32 on the CPU, H, W >= 3; fastest in `channels_last`.
        transformed: see `transform_kernels`.
        bias: O.

    Returns:
        B x O x (H - 2) x (W - 2) float32, in `channels_last`.
    """
    one_by_one = images.permute(0, 2, 3, 1).split(1)
    return torch.cat([_of_one(one, transformed, bias) for one in one_by_one]).permute(0, 3, 1, 2)


def _of_one(image: Tensor, transformed: Tensor, bias: Tensor) -> Tensor:
    """1 x H x W x I -> 1 x (H - 2) x (W - 2) x O."""
    _, height, width, inputs = image.shape
    rows, columns = (-(-(side - 2) // _TILE) for side in (height, width))
    bottom, right = (_TILE * tiles + 2 - side for tiles, side in ((rows, height), (columns, width)))
    padded = F.pad(image, (0, 0, 0, right, 0, bottom))
    tiles = padded.unfold(1, _SEEN, _TILE).unfold(2, _SEEN, _TILE)  # 1 x rows x columns x I x 6 x 6
    seen = tiles.permute(4, 5, 0, 1, 2, 3).reshape(_SEEN**2, -1)
    products = torch.bmm((_INPUT_BOTH @ seen).view(_SEEN**2, -1, inputs), transformed)
    drawn = (_OUTPUT_BOTH @ products.view(_SEEN**2, -1)).view(_TILE, _TILE, rows, columns, -1)
    whole = drawn.permute(2, 0, 3, 1, 4).reshape(1, _TILE * rows, _TILE * columns, -1)
    return whole[:, : height - 2, : width - 2].add_(bias)


class WinogradConvolution(nn.Conv2d):
    """A 3 x 3 convolution without padding, for inspection: on the CPU in float32 by `winograd`, else by torch's own."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3)
        self._transformed: Tensor | None = None
        self.register_load_state_dict_post_hook(_forget_transformed)  # type: ignore[no-untyped-call]  # torch's

    @classmethod
    def like(cls, convolution: nn.Conv2d) -> "WinogradConvolution":
        """The same convolution; its kernel is 3 x 3, its stride and dilation 1, and it pads nothing."""
        made = cls(convolution.in_channels, convolution.out_channels)
        made.load_state_dict(convolution.state_dict())
        return made

    def forward(self, images: Tensor) -> Tensor:
        if images.device.type != "cpu" or torch.is_grad_enabled() or torch.is_autocast_enabled("cpu"):
            return super().forward(images)
        assert self.bias is not None
        if self._transformed is None:
            self._transformed = transform_kernels(self.weight)
        return winograd(images, self._transformed, self.bias)


def _forget_transformed(layer: WinogradConvolution, _: object) -> None:
    layer._transformed = None
