"""Linear layers whose weights are packed integers, for PyTorch.

Four bits lie as PyTorch's own CPU kernel wants them: of every 64 outputs, one byte an input for
outputs n and n + 32, the first in its low half. For few rows that kernel multiplies without
unpacking; for many, unpacking once and a plain product are faster. Where the kernel is absent, or
packs otherwise, all products unpack.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import Module

from moyin.backend.protocol import GROUP
from moyin.backend.torch import ops

BLOCK = 64
# PyTorch's kernel for eight bits reads past rows that are not so many bytes long.
WIDTH = 32
# Up to so many rows the kernel is faster than unpacking (measured with 4096 inputs).
ROWS = 8


class PackedLinear(Module):
    """x [..., inputs] → [..., outputs]; see `backend.protocol`."""

    values: Tensor
    scales: Tensor
    bias: Tensor | None

    def __init__(
        self, values: Tensor, scales: Tensor, zeros: Tensor | None, bias: Tensor | None
    ) -> None:
        super().__init__()
        self.outputs, self.inputs = values.shape
        self.bits = 8 if zeros is None else 4
        self.multiple = WIDTH if zeros is None else GROUP
        if zeros is None:
            values = _padded(values, BLOCK, WIDTH)
            scales = _padded(scales, BLOCK, 1)[:, 0]
        else:
            values, scales = _pack(values), _side_by_side(scales, zeros)
        self.register_buffer("values", values.contiguous())
        self.register_buffer("scales", scales.contiguous())
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        rows = _padded(x.reshape(-1, self.inputs), 1, self.multiple)
        y = self._eight(rows) if self.bits == 8 else self._four(rows)
        y = y[:, : self.outputs].view(*x.shape[:-1], self.outputs)
        return y if self.bias is None else y + self.bias.to(x.dtype)

    def _eight(self, rows: Tensor) -> Tensor:
        scales = self.scales.to(rows.dtype)
        if _few(rows):
            y: Tensor = torch.ops.aten._weight_int8pack_mm(rows, self.values, scales)
            return y
        return ops.linear(rows, self.values.to(rows.dtype)) * scales

    def _four(self, rows: Tensor) -> Tensor:
        if not (_few(rows) and _kernel_fits()):
            return rows @ self._unpacked(rows.dtype)
        values, scales = self.values.view(-1, rows.shape[1] // 2), self.scales.to(rows.dtype)
        y: Tensor = torch.ops.aten._weight_int4pack_mm_for_cpu(rows, values, GROUP, scales)
        return y

    def _unpacked(self, dtype: torch.dtype) -> Tensor:
        """The transposed weights [inputs, outputs], both padded; some blocks at a time, so that
        what lies between stays in the cache."""
        blocks, inputs, _ = self.values.shape
        out = torch.empty(inputs, blocks, BLOCK, dtype=dtype, device=self.values.device)
        scales, zeros = (
            self.scales[:, :, i].to(dtype).view(-1, blocks, BLOCK).transpose(0, 1)[:, :, None]
            for i in (0, 1)
        )
        for block in range(blocks):
            part = self.values[block]
            levels = torch.cat([part & 15, part >> 4], 1).sub_(8).view(torch.int8)
            grouped = levels.to(dtype).view(-1, GROUP, BLOCK)
            weights = torch.addcmul(zeros[block], grouped, scales[block])
            out[:, block] = weights.view(inputs, BLOCK)
        return out.view(inputs, -1)


def _few(rows: Tensor) -> bool:
    """Whether a kernel takes them: a few in bf16 (in fp32 it is the slowest way)."""
    return len(rows) <= ROWS and rows.dtype == torch.bfloat16 and rows.device.type == "cpu"


def _padded(x: Tensor, rows: int, columns: int) -> Tensor:
    """Zeros below and to the right, up to multiples."""
    margins = (0, -x.shape[1] % columns, 0, -x.shape[0] % rows)
    return torch.nn.functional.pad(x, margins) if any(margins) else x


def _pack(values_oi: Tensor) -> Tensor:
    """[outputs, inputs] in −8 … 7 → [blocks, inputs, 32] uint8, both padded."""
    levels = _padded((values_oi + 8).to(torch.uint8), BLOCK, GROUP)
    blocks = levels.view(-1, BLOCK, levels.shape[1])
    packed = blocks[:, : BLOCK // 2] | (blocks[:, BLOCK // 2 :] << 4)
    return packed.transpose(1, 2).contiguous()


def _side_by_side(scales_og: Tensor, zeros_og: Tensor) -> Tensor:
    """[groups, outputs, 2], the outputs padded."""
    both = torch.stack([_padded(scales_og, BLOCK, 1), _padded(zeros_og, BLOCK, 1)], 2)
    return both.transpose(0, 1)


@lru_cache(maxsize=1)
def _kernel_fits() -> bool:
    """Whether PyTorch's kernel reads what `_pack` writes: it depends on the processor."""
    values = (torch.arange(2 * BLOCK * GROUP) * 7 % 16).view(2 * BLOCK, GROUP)
    try:
        theirs = torch.ops.aten._convert_weight_to_int4pack_for_cpu(values.to(torch.int32), 1)
    except RuntimeError:
        return False
    return bool(torch.equal(theirs.flatten(), _pack((values - 8).to(torch.int8)).flatten()))
