"""The network that says of each pixel whether it looks like a defect: a small U-Net (Ronneberger et al. 2015)."""

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_WIDTH = 16  # channels at half resolution
_GROWTH = (1, 2, 4, 6, 6)  # channels of each level, in widths; each level has half the resolution of that before


class _Block(nn.Module):
    """Convolution, normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2)
        self.norm: nn.Module = nn.BatchNorm2d(outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        return F.relu(self.norm(self.convolution(inputs)), inplace=True)

    def fold(self) -> None:
        if isinstance(self.norm, nn.BatchNorm2d):
            self.convolution = nn.utils.fuse_conv_bn_eval(self.convolution.eval(), self.norm.eval())
            self.norm = nn.Identity()


class SegmentationNetwork(nn.Module):
    """Pictures B x C x H x W, prepared by `Light` -> logits B x 1 x H / 2 x W / 2 (rounded up)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        widths = [_WIDTH * growth for growth in _GROWTH]
        inputs = [channels, *widths[:-1]]
        self.down = nn.ModuleList(
            nn.Sequential(_Block(before, after, 3 if level else 5, 2), _Block(after, after))
            for level, (before, after) in enumerate(zip(inputs, widths, strict=True))
        )
        self.up = nn.ModuleList(
            _Block(below + here, here) for below, here in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.head = nn.Conv2d(widths[0], 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        levels = []
        for down in self.down:
            images = down(images)
            levels.append(images)
        wide = levels.pop()
        for up in self.up:
            fine = levels.pop()
            wide = up(torch.cat([F.interpolate(wide, size=fine.shape[2:]), fine], 1))
        return cast(Tensor, self.head(wide))

    def folded(self) -> "SegmentationNetwork":
        """Itself, as it inspects: normalisation becomes part of the convolutions."""
        for module in self.modules():
            if isinstance(module, _Block):
                module.fold()
        return self.eval()


def halved(images: Tensor) -> Tensor:
    """Half as high and wide, rounded up, each pixel the mean of its area; B x C x H x W -> B x C x h x w."""
    size = (halved_side(images.shape[2]), halved_side(images.shape[3]))
    return F.interpolate(images, size=size, mode="area")


def halved_side(side: int) -> int:
    """Of an image whose side is this many px."""
    return math.ceil(side / 2)
