"""Attention as ONNX's own operators, which runtimes compute in one step each.

Taken apart into products, transpositions and rolls, as PyTorch traces it, it takes longer, in int8 above all: there the
copies weigh most beside the products.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from skyweave.backbone.transformer import Attention, RotaryFactors

FIRST_OPSET = 23  # that has the operators Attention and RotaryEmbedding


class OnnxAttention(Attention):
    """Another attention's layers, around ONNX's operators; their sequences stay (batch, length, channels).

    Queries, keys and values are a product each: runtimes split the result of a joint one on one core, while the others
    wait.

    Args:
        attention: whose layers they are.
    """

    def __init__(self, attention: Attention) -> None:
        nn.Module.__init__(self)
        self.heads, self.proj = attention.heads, attention.proj
        parts = zip(attention.qkv.weight.chunk(3), attention.qkv.bias.chunk(3), strict=True)
        self.query, self.key, self.value = (_linear(weight, bias) for weight, bias in parts)

    def forward(self, tokens: Tensor, mask: Tensor | None = None, rotary: RotaryFactors | None = None) -> Tensor:
        """Return tokens of the same shape.

        Args:
            tokens: (batch, length, width).
            mask: of `attention_mask`.
            rotary: of `rotary_factors`.
        """
        query, key, value = self.query(tokens), self.key(tokens), self.value(tokens)
        if rotary is not None:
            query, key = (_rotate(vectors, rotary, self.heads) for vectors in (query, key))
        mixed = torch.onnx.ops.attention(query, key, value, mask, q_num_heads=self.heads, kv_num_heads=self.heads)
        result: Tensor = self.proj(mixed[0])
        return result


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """A layer with the given weights."""
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(bias)
    return layer


def _rotate(vectors: Tensor, rotary: RotaryFactors, heads: int) -> Tensor:
    """RotaryEmbedding: the operator takes the cosines and sines of half of a head, of all batches."""
    half = rotary[0].shape[-1] // 2
    cosine, sine = rotary[0][:, 0, :, :half], rotary[1][:, 0, :, half:]
    return torch.onnx.ops.rotary_embedding(vectors, cosine, sine, num_heads=heads)


@contextmanager
def onnx_attention(module: nn.Module) -> Iterator[None]:
    """Let a module compute its attention by ONNX's operators.

    Args:
        module: of which every `Attention` is replaced for the time.
    """
    parents = [
        (parent, name, part)
        for parent in module.modules()
        for name, part in parent.named_children()
        if type(part) is Attention
    ]
    for parent, name, part in parents:
        setattr(parent, name, OnnxAttention(part))
    try:
        yield
    finally:
        for parent, name, part in parents:
            setattr(parent, name, part)
