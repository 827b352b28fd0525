"""The network that says of each pixel whether it looks like a defect: a small U-Net (Ronneberger et al. 2015)."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_WIDTH = 16  # channels at half resolution
_GROWTH = (1, 2, 4, 6, 6)  # channels of each level, in widths; each level has half the resolution of that before


class _ExactNorm(nn.BatchNorm2d):
    """In single precision: with means and gradients rounded to bf16 the network learns less (docs/experiments.md)."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.float())


class _Block(nn.Module):
    """Convolution, normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2)
        self.norm: nn.Module = _ExactNorm(outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        return F.relu(self.norm(self.convolution(inputs)), inplace=True)

    def fold(self) -> None:
        if isinstance(self.norm, nn.BatchNorm2d):
            self.convolution = nn.utils.fuse_conv_bn_eval(self.convolution.eval(), self.norm.eval())
            self.norm = nn.Identity()


class _Up(_Block):
    """A block on what the coarser level says, each pixel doubled, beside what its own level holds."""

    def __init__(self, below: int, here: int) -> None:
        super().__init__(below + here, here)
        self._below = below

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:  # type: ignore[override]  # it joins two levels
        kernels = self.convolution.weight
        below = convolved_doubled(coarse, kernels_for_doubled(kernels[:, : self._below]), _size(fine))
        here = F.conv2d(fine, kernels[:, self._below :], self.convolution.bias, padding=1)
        return F.relu(self.norm(here.float() + below), inplace=True)

    def folded(self) -> "_FoldedUp":
        self.fold()
        return _FoldedUp(self.convolution, self._below)


class _FoldedUp(nn.Module):
    """The same for inspection, its kernels parted once and for all."""

    def __init__(self, convolution: nn.Conv2d, below: int) -> None:
        super().__init__()
        kernels = convolution.weight.detach()
        self.coarse = nn.Parameter(kernels_for_doubled(kernels[:, :below]))
        self.fine = nn.Parameter(kernels[:, below:].contiguous())
        self.bias = convolution.bias

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        below = convolved_doubled(coarse, self.coarse, _size(fine))
        return F.relu_(F.conv2d(fine, self.fine, self.bias, padding=1).add_(below))


def kernels_for_doubled(kernels: Tensor) -> Tensor:
    """For `convolved_doubled`: O x I x 3 x 3 float -> 4 O x I x 2 x 2."""
    halves = _taps_on_halves(_taps_on_halves(kernels, 2), 4)  # O x I x 2 x half of a row x 2 x half of a column
    return halves.permute(0, 3, 5, 1, 2, 4).reshape(-1, kernels.shape[1], 2, 2)


def _taps_on_halves(kernels: Tensor, axis: int) -> Tensor:
    """What three taps see of two neighbouring pixels that are doubled: the axis of 3 -> 2 pixels and 2 halves.

    The halves on which the middle tap may lie: the second one of the first pixel, and the first one of the second.
    """
    first, middle, last = kernels.unbind(axis)
    return torch.stack([torch.stack([first + middle, first], axis), torch.stack([last, middle + last], axis)], axis)


def convolved_doubled(images: Tensor, kernels: Tensor, size: tuple[int, int]) -> Tensor:
    """A 3 x 3 convolution, padded by a pixel, of images whose rows and columns are doubled first.

    Of nine doubled pixels under a kernel at most four differ, so four ninths of the multiplications do.

    Args:
        images: B x I x h x w float.
        kernels: see `kernels_for_doubled`.
        size: (H, W) of what is wanted; 2 h x 2 w, or a row or a column less, which is cut off afterwards.

    Returns:
        B x O x H x W float.
    """
    parted = kernels.unflatten(0, (-1, 4)).transpose(0, 1).flatten(0, 1)  # all outputs for each of the four pixels
    seen = F.conv2d(images, parted, padding=1).permute(0, 2, 3, 1).unflatten(3, (2, 2, -1))
    # rows of pixels lie together in `channels_last`, so that this copies runs, where `pixel_shuffle` picks numbers
    drawn = seen.transpose(2, 3).flatten(1, 2).flatten(2, 3).permute(0, 3, 1, 2)
    return drawn[:, :, 1 : 1 + size[0], 1 : 1 + size[1]]


def _size(images: Tensor) -> tuple[int, int]:
    return images.shape[2], images.shape[3]


class SegmentationNetwork(nn.Module):
    """Pictures B x C x H x W, prepared by `Light` -> logits B x 1 x H / 2 x W / 2 (rounded up), float32."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        widths = [_WIDTH * growth for growth in _GROWTH]
        inputs = [channels, *widths[:-1]]
        self.down = nn.ModuleList(
            nn.Sequential(_Block(before, after, 3 if level else 5, 2), _Block(after, after))
            for level, (before, after) in enumerate(zip(inputs, widths, strict=True))
        )
        self.up = nn.ModuleList(_Up(below, here) for below, here in zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.head = nn.Conv2d(widths[0], 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        levels = []
        for down in self.down:
            images = down(images)
            levels.append(images)
        wide = levels.pop()
        for up in self.up:
            wide = up(wide, levels.pop())
        with torch.autocast(wide.device.type, enabled=False):
            return cast(Tensor, self.head(wide.float()))

    def folded(self) -> "SegmentationNetwork":
        """Itself, as it inspects: normalisation becomes part of the convolutions."""
        for module in self.down.modules():
            if isinstance(module, _Block):
                module.fold()
        self.up = nn.ModuleList(up.folded() if isinstance(up, _Up) else up for up in self.up)
        return self.eval()
