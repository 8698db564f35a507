"""Attention: among the tokens of one frame, and causally among those of the frames of a clip.

B lanes, T frames, P tokens per frame, N tokens in all, D channels, h heads of d channels each.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

from world_models.networks.initialization import zeroed


def split_heads(qkv: Tensor, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values (B, h, N, d) out of qkv (B, N, 3 D)."""
    query, key, value = qkv.unflatten(2, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    return query, key, value


def merge_heads(x: Tensor) -> Tensor:
    """(B, h, N, d) -> (B, N, D)."""
    return x.transpose(1, 2).flatten(2)


def attend(qkv: Tensor, heads: int) -> Tensor:
    """Attention of every token to every token; qkv (B, N, 3 D) -> (B, N, D)."""
    return merge_heads(F.scaled_dot_product_attention(*split_heads(qkv, heads)))


class AttentionBlock(nn.Module):
    """Residual self-attention over the places of a feature map. (B, D, H, W) -> the same."""

    def __init__(self, width: int, heads: int, norm: nn.Module):
        super().__init__()
        self.heads, self.norm = heads, norm
        self.qkv, self.out = nn.Conv2d(width, 3 * width, 1), zeroed(nn.Conv2d(width, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(self.norm(x)).permute(0, 2, 3, 1).flatten(1, 2)
        y = attend(qkv, self.heads).unflatten(1, x.shape[2:])
        return x + self.out(y.permute(0, 3, 1, 2))


def visible(query: Tensor, key: Tensor, window: int) -> Tensor:
    """Whether tokens of the frames `query` attend to those of the frames `key`: of their own frame
    and of the `window` - 1 before it. Frame numbers int64 that broadcast -> bool.
    """
    return (query >= key) & (query - key < window)


@lru_cache(8)
def dense_mask(frames: int, tokens: int, window: int, device: torch.device) -> Tensor:
    """(N, N) bool, see `visible`."""
    with torch.inference_mode(False):  # it is cached, and training needs it too
        number = torch.arange(frames * tokens, device=device) // tokens
        return visible(number[:, None], number, window)


@lru_cache(8)
def block_mask(frames: int, tokens: int, window: int, device: torch.device):
    """The same for FlexAttention (Dong et al. 2024, arXiv:2412.05496)."""

    def rule(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return visible(query // tokens, key // tokens, window)

    with torch.inference_mode(False):
        return create_block_mask(rule, None, None, frames * tokens, frames * tokens, str(device))


def attend_dense(query: Tensor, key: Tensor, value: Tensor, tokens: int, window: int) -> Tensor:
    """See `attend_causally`; with a mask of all pairs."""
    mask = dense_mask(query.shape[2] // tokens, tokens, window, query.device)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)


def attend_flex(query: Tensor, key: Tensor, value: Tensor, tokens: int, window: int) -> Tensor:
    """See `attend_causally`; what is masked is skipped. Fused on CUDA, elsewhere plain and slow."""
    mask = block_mask(query.shape[2] // tokens, tokens, window, query.device)
    kernel = fused_flex() if query.is_cuda else flex_attention
    return kernel(query, key, value, block_mask=mask)


@lru_cache(1)
def fused_flex():
    """FlexAttention as one kernel."""
    return torch.compile(flex_attention)


def attend_causally(query: Tensor, key: Tensor, value: Tensor, tokens: int, window: int) -> Tensor:
    """Block-causal attention within clips of `tokens` per frame: whole within a frame, causal from
    frame to frame, never further back than the window.

    query, key, value (B, h, N, d) -> (B, h, N, d).
    """
    return (attend_flex if query.is_cuda else attend_dense)(query, key, value, tokens, window)
