"""Linear layers whose weights are packed integers, for PyTorch."""

from __future__ import annotations

from torch import Tensor
from torch.nn import Module

from moyin.backend.protocol import GROUP
from moyin.backend.torch import fast, int4_layout, ops
from moyin.backend.torch.int4_layout import BLOCK, pad_to

# PyTorch's kernel for eight bits reads past rows whose length is no multiple of this many bytes.
WIDTH = 32


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
            values = pad_to(values, BLOCK, WIDTH)
            scales = pad_to(scales, BLOCK, 1)[:, 0]
        else:
            values, scales = int4_layout.pack(values), int4_layout.scales_and_zeros(scales, zeros)
        self.register_buffer("values", values.contiguous())
        self.register_buffer("scales", scales.contiguous())
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        rows = pad_to(x.reshape(-1, self.inputs), 1, self.multiple)
        product = int8_product if self.bits == 8 else int4_product
        y = product(rows, self.values, self.scales)
        y = y[:, : self.outputs].view(*x.shape[:-1], self.outputs)
        return y if self.bias is None else y + self.bias.to(x.dtype)


@fast.with_variants
def int8_product(rows_ri: Tensor, values_oi: Tensor, scales_o: Tensor) -> Tensor:
    """rows · (values · scales)ᵀ: [R, outputs], the outputs padded."""
    scales = scales_o.to(rows_ri.dtype)
    return ops.linear(rows_ri, values_oi.to(rows_ri.dtype)) * scales


@fast.with_variants
def int4_product(rows_ri: Tensor, values: Tensor, scales: Tensor) -> Tensor:
    """The product with weights in the layout of `int4_layout`: [R, outputs], the outputs padded."""
    return rows_ri @ int4_layout.unpack(values, scales, rows_ri.dtype)
