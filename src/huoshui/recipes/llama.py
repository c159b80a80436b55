"""A Llama language model in JAX: small, plain, and the same numbers as llama.cpp.

Pre-norm blocks of attention with rotary positions on neighbouring pairs (as GGUF's `llama` architecture has them) and a
gated SiLU network; 32-bit floats throughout. Parameters are a flat dictionary under the names that GGUF uses, each
matrix as [rows out, columns in], so reading and writing a model is a loop.
"""

from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Weights = dict[str, Any]
EPSILON = 1e-5
ROTARY_BASE = 10_000.0
HEAD_WIDTH = 32


@dataclass(frozen=True)
class Shape:
    """What a model is made of. `width` is a multiple of HEAD_WIDTH."""

    vocabulary: int
    context: int
    width: int
    layers: int

    @property
    def heads(self) -> int:
        return self.width // HEAD_WIDTH

    @property
    def hidden(self) -> int:
        """Width of the gated network: 8/3 of the model's, rounded up to a multiple of 32."""
        return -(-self.width * 8 // 3 // 32) * 32

    def parts(self) -> dict[str, tuple[int, ...]]:
        """Every tensor and its shape."""
        wide, hidden = self.width, self.hidden
        parts: dict[str, tuple[int, ...]] = {
            "token_embd.weight": (self.vocabulary, wide), "output_norm.weight": (wide,),
            "output.weight": (self.vocabulary, wide),
        }  # fmt: skip
        for layer in range(self.layers):
            block = {
                "attn_norm": (wide,), "attn_q": (wide, wide), "attn_k": (wide, wide), "attn_v": (wide, wide),
                "attn_output": (wide, wide), "ffn_norm": (wide,), "ffn_gate": (hidden, wide),
                "ffn_up": (hidden, wide), "ffn_down": (wide, hidden),
            }  # fmt: skip
            parts |= {f"blk.{layer}.{name}.weight": size for name, size in block.items()}
        return parts

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


def start(shape: Shape, seed: int) -> Weights:
    """Fresh weights: norms 1, matrices normal with variance 1 / columns."""
    random = np.random.default_rng(seed)
    weights: Weights = {}
    for name, size in shape.parts().items():
        if len(size) == 1:
            weights[name] = np.ones(size, np.float32)
        else:
            scale = 0.02 if name == "token_embd.weight" else size[1] ** -0.5
            weights[name] = (random.standard_normal(size) * scale).astype(np.float32)
    return weights


def _norm(x: Any, weight: Any) -> Any:
    return x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + EPSILON) * weight


def _rotate(x: Any) -> Any:
    """Rotary positions: the pair (2i, 2i+1) of each head turns by position × base^(-2i / width)."""
    length, width = x.shape[-3], x.shape[-1]
    angle = jnp.arange(length)[:, None] * ROTARY_BASE ** (-jnp.arange(0, width, 2) / width)
    sine, cosine = jnp.sin(angle)[:, None, :], jnp.cos(angle)[:, None, :]
    even, odd = x[..., ::2], x[..., 1::2]
    turned = jnp.stack([even * cosine - odd * sine, even * sine + odd * cosine], -1)
    return turned.reshape(x.shape)


def logits(shape: Shape, weights: Weights, tokens: Any) -> Any:
    """Scores of the next token at every place: float32[batch, length, vocabulary] from int32[batch, length]."""
    batch, length = tokens.shape
    x = weights["token_embd.weight"][tokens]
    mask = jnp.where(jnp.tril(jnp.ones((length, length), bool)), 0.0, -jnp.inf)
    split = (batch, length, shape.heads, HEAD_WIDTH)
    for layer in range(shape.layers):
        part = {name: weights[f"blk.{layer}.{name}.weight"] for name in _BLOCK}
        inner = _norm(x, part["attn_norm"])
        query = _rotate((inner @ part["attn_q"].T).reshape(split))
        key = _rotate((inner @ part["attn_k"].T).reshape(split))
        value = (inner @ part["attn_v"].T).reshape(split)
        scores = jnp.einsum("bqhd,bkhd->bhqk", query, key) * HEAD_WIDTH**-0.5 + mask
        mixed = jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores, -1), value)
        x = x + mixed.reshape(batch, length, shape.width) @ part["attn_output"].T
        inner = _norm(x, part["ffn_norm"])
        x = x + (jax.nn.silu(inner @ part["ffn_gate"].T) * (inner @ part["ffn_up"].T)) @ part["ffn_down"].T
    return _norm(x, weights["output_norm.weight"]) @ weights["output.weight"].T


_BLOCK = ("attn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_norm", "ffn_gate", "ffn_up", "ffn_down")


@partial(jax.jit, static_argnums=0)
def losses(shape: Shape, weights: Weights, tokens: Any) -> Any:
    """Cross-entropy in nats of every next token: float32[batch, length - 1]."""
    scores = jax.nn.log_softmax(logits(shape, weights, tokens[:, :-1]), -1)
    return -jnp.take_along_axis(scores, tokens[:, 1:, None], -1)[..., 0]


@partial(jax.jit, static_argnums=0)
def _next(shape: Shape, weights: Weights, window: Any, length: Any) -> Any:
    return jnp.argmax(logits(shape, weights, window[None])[0, length - 1])


def greedy(shape: Shape, weights: Weights, prompt: list[int], count: int, end: int) -> list[int]:
    """The likeliest continuation, token by token, up to `end`, `count` tokens or the end of the context."""
    window = np.zeros(shape.context, np.int32)
    window[: len(prompt)] = prompt
    made: list[int] = []
    for length in range(len(prompt), min(len(prompt) + count, shape.context)):
        token = int(_next(shape, weights, window, length))
        if token == end:
            break
        window[length] = token
        made.append(token)
    return made


# --- learning: AdamW with warm-up and cosine decay ------------------------------------------------------------------

BETA1, BETA2, DECAY, CLIP = 0.9, 0.95, 0.01, 1.0


def rate(step: int, steps: int, peak: float) -> float:
    """Learning rate of a step: linear over the first twentieth, then a cosine down to a tenth of the peak."""
    warm = max(1, steps // 20)
    if step < warm:
        return peak * (step + 1) / warm
    along = (step - warm) / max(1, steps - warm)
    return float(peak * (0.1 + 0.45 * (1 + np.cos(np.pi * along))))


@partial(jax.jit, static_argnums=0, donate_argnums=(1, 2, 3))
def learn(
    shape: Shape, weights: Weights, first: Weights, second: Weights, tokens: Any, count: Any, rate: Any
) -> tuple[Weights, Weights, Weights, Any]:
    """One step: (weights, first moments, second moments, mean loss). `count` is 1 at the first step."""
    loss, slopes = jax.value_and_grad(lambda held: losses(shape, held, tokens).mean())(weights)
    length = jnp.sqrt(sum(jnp.sum(slope * slope) for slope in slopes.values()))
    shrink = jnp.minimum(1.0, CLIP / (length + 1e-9))
    new: tuple[Weights, Weights, Weights] = ({}, {}, {})
    for name, weight in weights.items():
        slope = slopes[name] * shrink
        mean = BETA1 * first[name] + (1 - BETA1) * slope
        square = BETA2 * second[name] + (1 - BETA2) * slope * slope
        move = mean / (1 - BETA1**count) / (jnp.sqrt(square / (1 - BETA2**count)) + 1e-8)
        keep = DECAY * weight if weight.ndim > 1 else 0.0
        new[0][name], new[1][name], new[2][name] = weight - rate * (move + keep), mean, square
    return *new, loss
