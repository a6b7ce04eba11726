"""The shared Transformer: knows nothing but tokens."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from skyweave.core.errors import ConfigError

RotaryFactors = tuple[Tensor, Tensor]
"""Cosines and signed sines of rotary positions; see ``rotary_factors``."""


class TransformerEncoder(nn.Module):
    """Transform tokens by a pre-norm Vision Transformer (arXiv 2010.11929) with the parameter names of published ones.

    Args:
        width: channels of a token.
        depth: number of blocks.
        heads: attention heads; must divide ``width``.
        mlp_ratio: hidden channels of the feed-forward part over ``width``.
    """

    def __init__(self, width: int, depth: int, heads: int, mlp_ratio: float = 4.0) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(width, heads, mlp_ratio) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.heads = heads
        self.taps = tuple(sorted({max(1, round(depth * part / 4)) for part in (1, 2, 3, 4)}))

    def forward(
        self, tokens: Tensor, valid: Tensor | None = None, coordinates: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """Encode a batch of token sequences.

        Args:
            tokens: (batch, length, width).
            valid: (batch, length) bool; tokens that are False are seen by nobody. None when all are valid.
            coordinates: (batch, length, 2) row and column of every token, for rotary positions; None for none.

        Returns:
            The normalised last output (batch, length, width), and the outputs at the tapped depths.
        """
        mask = attention_mask(valid)
        rotary = None if coordinates is None else rotary_factors(coordinates, tokens.shape[-1] // self.heads)
        if rotary is not None and torch.is_autocast_enabled(tokens.device.type):
            dtype = torch.get_autocast_dtype(tokens.device.type)  # of what is turned: rounded once, not in each block
            rotary = rotary[0].to(dtype), rotary[1].to(dtype)
        levels = []
        for number, block in enumerate(self.blocks, start=1):
            tokens = block(tokens, mask, rotary)
            if number in self.taps:
                levels.append(tokens)
        return self.norm(tokens), levels


class Block(nn.Module):
    """Apply self-attention and a feed-forward part, each behind a norm and around a residual.

    Args:
        width: channels of a token.
        heads: attention heads.
        mlp_ratio: hidden channels of the feed-forward part over ``width``.
    """

    def __init__(self, width: int, heads: int, mlp_ratio: float = 4.0) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width, int(width * mlp_ratio))

    def forward(self, tokens: Tensor, mask: Tensor | None = None, rotary: RotaryFactors | None = None) -> Tensor:
        """Return tokens of the same shape.

        Args:
            tokens: (batch, length, width).
            mask: of `attention_mask`.
            rotary: of `rotary_factors`.
        """
        tokens = tokens + self.attn(self.norm1(tokens), mask, rotary)
        result: Tensor = tokens + self.mlp(self.norm2(tokens))
        return result


class Attention(nn.Module):
    """Apply multi-head self-attention to a sequence of tokens.

    Args:
        width: channels of a token.
        heads: attention heads; must divide ``width``.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ConfigError(f"token width {width} is not divisible by {heads} heads")
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor, mask: Tensor | None = None, rotary: RotaryFactors | None = None) -> Tensor:
        """Return tokens of the same shape.

        Args:
            tokens: (batch, length, width).
            mask: of `attention_mask`.
            rotary: of `rotary_factors`.
        """
        parts = self.qkv(tokens).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query_key, value = parts[:2], parts[2]
        if rotary is not None:
            query_key = apply_rotary(query_key, rotary)
        mixed = dot_product_attention(query_key[0], query_key[1], value, mask)
        result: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return result


class Mlp(nn.Module):
    """Apply two linear layers around a GELU.

    Args:
        width: channels of a token.
        hidden: channels between the layers.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens of the same shape.

        Args:
            tokens: (..., width).
        """
        result: Tensor = self.fc2(functional.gelu(self.fc1(tokens)))
        return result


def rotary_factors(coordinates: Tensor, width: int, longest: float = 100.0) -> RotaryFactors:
    """Return cosines and signed sines, (batch, 1, length, width) each, of rotary positions in two dimensions.

    Half of the pairs of channels turn with the row, half with the column (RoPE, arXiv 2104.09864, axial as in arXiv
    2403.13298), so attention knows where tokens lie to each other and features carry no absolute position. Channel i
    pairs with channel i + width / 2; the sines of the first half are negative.

    Args:
        coordinates: (batch, length, 2) rows and columns, in patches.
        width: channels of a head, a multiple of 4.
        longest: ratio of the slowest to the fastest rotation.
    """
    steps = torch.arange(width // 4, device=coordinates.device, dtype=torch.float32) / (width // 4)
    angles = (coordinates.float().unsqueeze(-1) * longest**-steps).flatten(2).unsqueeze(1)
    cosine, sine = angles.cos(), angles.sin()
    return torch.cat([cosine, cosine], -1), torch.cat([-sine, sine], -1)


def apply_rotary(vectors: Tensor, rotary: RotaryFactors) -> Tensor:
    """Rotate vectors pair by pair.

    Args:
        vectors: (..., batch, heads, length, width).
        rotary: of `rotary_factors`.
    """
    cosine, sine = (part.to(vectors.dtype) for part in rotary)
    others = vectors.roll(vectors.shape[-1] // 2, -1)
    return torch.addcmul(vectors * cosine, others, sine)


def dot_product_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    """Compute scaled dot-product attention, fused except where that is slower.

    On a CPU in bfloat16, the fused kernel was 3 to 5 times slower forward and backward than plain products for
    sequences up to a few hundred tokens (the products use the matrix unit, the fused kernel does not).

    Args:
        query: (batch, heads, queries, channels).
        key: (batch, heads, keys, channels).
        value: (batch, heads, keys, channels).
        mask: (batch, 1, 1 or queries, keys) bool, False where a key is not attended to; None: all are.
    """
    if query.device.type == "cpu" and query.dtype == torch.bfloat16 and key.shape[-2] <= 512:
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        result: Tensor = scores.softmax(-1) @ value
        return result
    return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)


def attention_mask(valid: Tensor | None) -> Tensor | None:
    """Return the (batch, 1, 1, length) mask of keys, or None when nothing needs masking (the fast path).

    A sequence without any valid token would attend to nothing and give NaN: it attends to everything instead, and its
    outputs are discarded by the caller.

    Args:
        valid: (batch, length) bool; None: all are valid.
    """
    if valid is None or bool(valid.all()):
        return None
    empty = ~valid.any(dim=1, keepdim=True)
    return (valid | empty)[:, None, None, :]


def pad_and_concatenate(sequences: Sequence[Tensor], valids: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return sequences of several lengths as one batch, (sum of batches, longest, width), and their validity.

    Args:
        sequences: (batch, length, width) each.
        valids: (batch, length) bool each.
    """
    longest = max(sequence.shape[1] for sequence in sequences)
    tokens = [functional.pad(s, (0, 0, 0, longest - s.shape[1])) for s in sequences]
    masks = [functional.pad(v, (0, longest - v.shape[1]), value=False) for v in valids]
    return torch.cat(tokens), torch.cat(masks)


def initialise_weights(module: nn.Module) -> None:
    """Initialise linear layers as the MAE paper does (arXiv 2111.06377): Xavier uniform weights, zero biases.

    Args:
        module: whose layers are initialised.
    """
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.xavier_uniform_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
