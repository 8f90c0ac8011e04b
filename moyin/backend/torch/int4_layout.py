"""The memory layout of packed four-bit weights.

It is the layout of PyTorch's CPU kernel: of every 64 outputs, one byte per input holds outputs n
(low half) and n + 32 (high half).
"""

from __future__ import annotations

import torch
from torch import Tensor

from moyin.backend.protocol import GROUP

BLOCK = 64  # outputs


def pad_to(x: Tensor, rows: int, columns: int) -> Tensor:
    """Zeros below and to the right, up to multiples of `rows` and `columns`."""
    margins = (0, -x.shape[1] % columns, 0, -x.shape[0] % rows)
    return torch.nn.functional.pad(x, margins) if any(margins) else x


def pack(values_oi: Tensor) -> Tensor:
    """[outputs, inputs] in −8 … 7 → [blocks, inputs, 32] uint8, both padded."""
    levels = pad_to((values_oi + 8).to(torch.uint8), BLOCK, GROUP)
    blocks = levels.view(-1, BLOCK, levels.shape[1])
    packed = blocks[:, : BLOCK // 2] | (blocks[:, BLOCK // 2 :] << 4)
    return packed.transpose(1, 2).contiguous()


def scales_and_zeros(scales_og: Tensor, zeros_og: Tensor) -> Tensor:
    """[groups, outputs, 2], the outputs padded."""
    both = torch.stack([pad_to(scales_og, BLOCK, 1), pad_to(zeros_og, BLOCK, 1)], 2)
    return both.transpose(0, 1)


def unpack(values: Tensor, scales: Tensor, dtype: torch.dtype) -> Tensor:
    """The transposed weights [inputs, outputs], both padded, from `pack` and `scales_and_zeros`.

    Block by block, so that temporaries stay in the cache.
    """
    blocks, inputs, _ = values.shape
    out = torch.empty(inputs, blocks, BLOCK, dtype=dtype, device=values.device)
    scale, zero = (
        scales[:, :, i].to(dtype).view(-1, blocks, BLOCK).transpose(0, 1)[:, :, None]
        for i in (0, 1)
    )
    for block in range(blocks):
        both = values[block]
        levels = torch.cat([both & 15, both >> 4], 1).sub_(8).view(torch.int8)
        grouped = levels.to(dtype).view(-1, GROUP, BLOCK)
        weights = torch.addcmul(zero[block], grouped, scale[block])
        out[:, block] = weights.view(inputs, BLOCK)
    return out.view(inputs, -1)
