"""The `dense` encoder: valid convolutions, so that one pass over a picture gives the code of every patch in it.

No convolution is padded and batch normalisation acts on each position alone, so the code at (row, column) of the map is
exactly the code that the patch cut out at (4 row, 4 column) would get by itself (shown in tests/test_dense.py).
"""

import math
from collections.abc import Mapping
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from sclvi.encoders.compute import to_device
from sclvi.encoders.interface import CODE_LENGTH, PATCH_SIZES, Encoder
from sclvi.encoders.places import CodeReader, Places
from sclvi.encoders.winograd import WinogradConvolution

STRIDE = 4  # px between neighbouring codes of the map
_LAYERS_OF_A_FOLDED_BLOCK = 2  # convolution and LeakyReLU
_QUARTER = PATCH_SIZES[0] // STRIDE  # positions of the map from one quarter of a 64-px patch to the next


def _block(inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, kernel, stride, dilation=dilation),
        nn.BatchNorm2d(outputs),
        nn.LeakyReLU(0.1, inplace=True),
    ]


class DenseEncoder(Encoder):
    """Main encoder for 32 x 32 patches, secondary encoder for 64 x 64 patches (section 3.1, Tables 5 and 6 in spirit).

    The secondary encoder joins the four 32 x 32 quarters of a 64 x 64 patch, as Table 6 does: a 2 x 2 convolution,
    dilated by one patch width (32 px = 8 positions of the map).
    """

    name: ClassVar[str] = "dense"
    placement: ClassVar[int] = STRIDE
    inspects_exactly: ClassVar[bool] = False

    def __init__(self, channels: int = 3) -> None:
        super().__init__(channels)
        self.main = nn.Sequential(  #                        size of a 32-px patch on its way
            *_block(channels, 32, 4, stride=2),  #           32 -> 15
            *_block(32, 64, 3, stride=2),  #                 15 -> 7
            *_block(64, 128, 3),  #                           7 -> 5
            *_block(128, 128, 3),  #                          5 -> 3
            nn.Conv2d(128, CODE_LENGTH, 3),  #                3 -> 1
            nn.Tanh(),
        )
        self.secondary = nn.Sequential(
            *_block(CODE_LENGTH, 128, 2, dilation=_QUARTER),
            nn.Conv2d(128, CODE_LENGTH, 1),
            nn.Tanh(),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=0.1)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Encode every patch of every image.

        Args:
            images: B x C x H x W float, light-normalised; H, W >= 64.

        Returns:
            Codes of the 32-px patches, B x 64 x h x w with h = (H - 32) // 4 + 1, and of the 64-px patches,
            B x 64 x h' x w' with h' = (H - 64) // 4 + 1; float in -1..1.
        """
        small = self.main(images)
        return small, self.secondary(small)

    def encode_grid(self, images: Tensor, strides: tuple[int, ...]) -> tuple[Tensor, ...]:
        steps = [stride // STRIDE for stride in strides]
        if self.training:  # batch statistics are those of all positions
            return tuple(codes[:, :, ::step, ::step] for codes, step in zip(self(images), steps, strict=True))
        # The last layers are computed only at the positions that are asked for or that the 64-px patches join.
        step = math.gcd(*steps, _QUARTER)
        small = self.main[-1](_thinned(self.main[-2], self.main[:-2](images), step))
        large = _thinned(self.secondary[0], small, steps[1] // step, _QUARTER // step)
        large = self.secondary[1:](large)
        return small[:, :, :: steps[0] // step, :: steps[0] // step], large

    def read(self, views: Tensor) -> tuple[CodeReader, ...]:
        return tuple(_reader(codes) for codes in self(views))

    def first_layer(self) -> nn.Module:
        """B x C x H x W -> B x 32 x h x w, one response every 2 px over 4 x 4 px; as it stands, once it inspects."""
        return self.main[:_LAYERS_OF_A_FOLDED_BLOCK]


def _thinned(convolution: nn.Module, inputs: Tensor, stride: int, dilation: int = 1) -> Tensor:
    """What a convolution gives at every `stride`-th position, of inputs whose positions lie as far apart as needed."""
    assert isinstance(convolution, nn.Conv2d)
    return F.conv2d(inputs, convolution.weight, convolution.bias, stride, dilation=dilation)


def _reader(codes: Tensor) -> CodeReader:
    """Reads one map, V x D x h x w."""
    height, width = codes.shape[2:]
    rows = codes.permute(0, 2, 3, 1).flatten(0, 2)  # V h w x D

    def read(places: Places) -> Tensor:
        at = (places.views * height + places.tops // STRIDE) * width + places.lefts // STRIDE
        return rows[at.to(rows.device)]

    return read


def adapt_channels(weights: Mapping[str, Tensor], channels: int) -> dict[str, Tensor]:
    """Make RGB weights fit pictures of another channel count.

    Each kernel of the first layer looks at three channels, as it has learned to, and the next kernel at the next three,
    round and round. So whatever the count, each channel is seen at full strength by as many kernels as any other, give
    or take one, and a picture whose channels are all equal gives exactly what it gives as RGB. With one channel
    a kernel is summed over RGB. (Spreading each kernel over all channels would give them all one mean picture: a defect
    in one of sixteen is then a sixteenth as strong.)
    """
    first = weights["main.0.weight"]  # K x 3 x 4 x 4
    kernels, colours = first.shape[:2]
    adapted = first.new_zeros(kernels, channels, *first.shape[2:])
    for kernel in range(kernels):
        for colour in range(colours):
            adapted[kernel, (colours * kernel + colour) % channels] += first[kernel, colour]
    return {**weights, "main.0.weight": adapted}


def fold_batch_norm(encoder: DenseEncoder) -> DenseEncoder:
    """A copy for inspection in which each batch normalisation is folded into the convolution before it."""
    folded = DenseEncoder(encoder.channels)
    folded.main, folded.secondary = _fold(encoder.main), _fold(encoder.secondary)
    return to_device(folded.eval(), next(encoder.parameters()).device)


def _fold(layers: nn.Sequential) -> nn.Sequential:
    kept: list[nn.Module] = []
    for layer in layers:
        if isinstance(layer, nn.BatchNorm2d):
            convolution = kept.pop()
            assert isinstance(convolution, nn.Conv2d)
            folded = nn.utils.fuse_conv_bn_eval(convolution.eval(), layer.eval())
            kept.append(WinogradConvolution.like(folded) if _suits_winograd(folded) else folded)
        else:
            kept.append(layer)
    return nn.Sequential(*kept)


def _suits_winograd(convolution: nn.Conv2d) -> bool:
    return (convolution.kernel_size, convolution.stride, convolution.dilation) == ((3, 3), (1, 1), (1, 1))
