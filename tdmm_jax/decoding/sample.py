"""Greedy and random decoding with a KV cache, in one jitted loop.

`decode` runs to the end; `encode`, `start` and `advance` are its parts, for callers
that want tokens while they are made (streaming.py). Both run the same compiled loop.

Shape letters: B batch, M encoder tokens, L decoder positions, V vocabulary.
"""

import dataclasses
import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from tdmm_jax import sharding
from tdmm_jax.decoding import constraints
from tdmm_jax.decoding import guidance as guidance_lib
from tdmm_jax.errors import UserError
from tdmm_jax.models import t5_layouts
from tdmm_jax.runs import kept_programs
from tdmm_jax.vocab import EOS_ID, PAD_ID

_NEVER = -jnp.inf
_STAGES, _MANY_ROWS = 4, 8  # see `_stages`
_COLDEST = 1e-6  # below it sampling is greedy in float32, and 1 / temperature overflows


class Kind(NamedTuple):
  """What of a Sampling is part of the program; other values need not be compiled."""

  greedy: bool
  top_k: int
  has_top_p: bool
  guided: bool
  sharpens: bool  # guidance above 1
  has_penalty: bool

  @property
  def num_fed(self) -> int:
    """Rows that the model is fed for a row of output: with, and without prompt."""
    return 2 if self.guided else 1


_VALUES = ("temperature", "top_p", "guidance", "repetition_penalty")


@jax.tree_util.register_pytree_node_class
@dataclasses.dataclass(frozen=True)
class Sampling:
  """How the next token is chosen.

  To JAX it is a tree of four numbers, which programs take as they take arrays, and of a
  `kind`, for each of which there is a program: so another temperature, top_p, guidance
  or penalty compiles nothing.

  Attributes:
    temperature: 0 is greedy.
    top_k: draws from this many likeliest ids only; 0 is no limit.
    top_p: draws from the likeliest ids that together have this probability.
    guidance: scale of classifier-free guidance; 1 is none (see guidance.py).
    repetition_penalty: above 1, ids that have occurred become less likely (Keskar et
      al. 2019, arXiv:1909.05858, section 4.1); 1 is none.
  """

  temperature: float = 0.0
  top_k: int = 0
  top_p: float = 1.0
  guidance: float = 1.0
  repetition_penalty: float = 1.0

  def __post_init__(self):
    penalty = self.repetition_penalty
    for name, good, values in (
      ("temperature", 0 <= self.temperature < math.inf, "0 (greedy) or more"),
      ("top_k", self.top_k >= 0, "0 (no limit) or more"),
      ("top_p", 0 < self.top_p <= 1, "more than 0, at most 1"),
      ("guidance", 0 <= self.guidance < math.inf, "0 or more; 1 is none"),
      ("repetition_penalty", 0 < penalty < math.inf, "more than 0; 1 is none"),
    ):
      if not good:
        value = getattr(self, name)
        raise UserError(f"{name} {value:g}: out of range; give {values}")

  @functools.cached_property
  def kind(self) -> Kind:
    return Kind(
      self.temperature < _COLDEST,
      self.top_k,
      self.top_p < 1.0,
      self.guidance != 1.0,
      self.guidance > 1.0,
      self.repetition_penalty != 1.0,
    )

  def tree_flatten(self):
    return tuple(getattr(self, name) for name in _VALUES), self.kind

  @classmethod
  def tree_unflatten(cls, kind: Kind, values):
    new = object.__new__(cls)  # traced values cannot be checked, nor need they be
    vars(new).update(zip(_VALUES, values), top_k=kind.top_k, kind=kind)
    return new


class State(NamedTuple):
  """A loop that stands before position `index`."""

  index: jax.Array  # int32[]
  token_B: jax.Array  # int32, the last token
  done_B: jax.Array  # bool
  tokens_BL: jax.Array  # int32, 0 where not yet decoded
  seen_BV: jax.Array | None  # bool, ids that have occurred; for the penalty alone
  cache: Any
  word_B: jax.Array  # int32, where each row is in a word; see constraints.Words


kept_programs.knows(State)


def top_k_filter(logits_BV, top_k: int):
  """Keeps the top_k largest logits; ties with the last of them stay too."""
  if not 0 < top_k < logits_BV.shape[-1]:
    return logits_BV
  least_B1 = jax.lax.top_k(logits_BV, top_k)[0][:, -1:]
  return jnp.where(logits_BV >= least_B1, logits_BV, _NEVER)


def top_p_filter(logits_BV, top_p):
  """Keeps the smallest set of ids whose probability reaches top_p.

  Source: Holtzman et al. 2020, arXiv:1904.09751.
  """
  sorted_BV = jnp.sort(logits_BV, axis=-1, descending=True)
  probabilities_BV = jax.nn.softmax(sorted_BV)
  before_BV = jnp.cumsum(probabilities_BV, axis=-1) - probabilities_BV
  # The first id always stays: nothing lies before it.
  cutoff_BV = jnp.where(before_BV < top_p, sorted_BV, jnp.inf)
  return jnp.where(logits_BV >= cutoff_BV.min(-1, keepdims=True), logits_BV, _NEVER)


def penalize(logits_BV, seen_BV, penalty):
  """Seen ids' logits, divided by the penalty where positive, else times it."""
  lower_BV = jnp.where(logits_BV > 0, logits_BV * (1 / penalty), logits_BV * penalty)
  return jnp.where(seen_BV, lower_BV, logits_BV)


def _allowed(num_ids: int, low_B, high_B):
  """bool[B, V]: the ids in [low, high)."""
  ids_V = jnp.arange(num_ids)
  return (ids_V >= low_B[:, None]) & (ids_V < high_B[:, None])


def allow(logits_BV, low_B, high_B, words=None, place_B=None):
  """-inf for ids outside [low, high), or of no word at these places; see `Words`."""
  allowed_BV = _allowed(logits_BV.shape[-1], low_B, high_B)
  if words is not None:
    allowed_BV = words.within(place_B, allowed_BV)
  return jnp.where(allowed_BV, logits_BV, _NEVER)


def likeliest(logits_BV):
  """int32[B]: the id of the largest logit, the first of several.

  Equals argmax, which XLA compiles to a scalar loop on CPUs, ten times as slow.
  """
  ids_V = jnp.arange(logits_BV.shape[-1], dtype=jnp.int32)
  largest_B1 = logits_BV.max(axis=-1, keepdims=True)
  return jnp.where(logits_BV == largest_B1, ids_V, ids_V[-1]).min(axis=-1)


def _next_token(logits_BV, keys_B, sampling: Sampling):
  if sampling.kind.greedy:
    return likeliest(logits_BV)
  logits_BV = logits_BV * (1 / sampling.temperature)
  logits_BV = top_k_filter(logits_BV, sampling.kind.top_k)
  if sampling.kind.has_top_p:
    logits_BV = top_p_filter(logits_BV, sampling.top_p)
  # A draw from the distribution, as `jax.random.categorical` makes it.
  noise_BV = jax.vmap(lambda key: jax.random.gumbel(key, logits_BV.shape[1:]))(keys_B)
  return likeliest(logits_BV + noise_BV)


def row_keys(rng, batch_size: int):
  """A key a row: `rng` itself if it is that already, else keys made of it."""
  return rng if rng.ndim else _row_keys(rng, batch_size)


@functools.partial(jax.jit, static_argnames="batch_size")
def _row_keys(rng, batch_size: int):
  return jax.vmap(lambda row: jax.random.fold_in(rng, row))(jnp.arange(batch_size))


def encode(model, params, encoder_input_tokens_BM, shared_params=None):
  """What the decoder sees of its input, float[B, M, D].

  Args:
    encoder_input_tokens_BM: int32 NumPy array, 0 = padding.
    shared_params: what `shared` returned for params, to share the rows out, if there
      are enough.
  """
  model = t5_layouts.for_input(model, np.asarray(encoder_input_tokens_BM))
  rows = len(encoder_input_tokens_BM)
  if shared_params is not None and sharding.can_share_rows(rows, params):
    return _encode_shared(model, shared_params, encoder_input_tokens_BM)
  return _encode(model, params, encoder_input_tokens_BM)


@functools.partial(kept_programs.jit, static_argnames=("model",))
def _encode(model, params, tokens_BM):
  segments_BM = (tokens_BM > 0).astype(jnp.int32)
  return model.apply({"params": params}, tokens_BM, segments_BM, method="encode")


@functools.partial(jax.jit, static_argnames="model")
def _encode_shared(model, params, tokens_BM):
  mine = functools.partial(_encode, model)
  return sharding.share_rows(mine, (params,), (tokens_BM,))


@functools.partial(kept_programs.jit, static_argnames=("model", "length"))
def start(
  model, params, encoded_BMD, cues_BNF=None, *, length: int, sampling: Sampling
):
  """The State before the first of `length` positions, of what `encode` gave.

  Cues: see `decode`.
  """
  apply = functools.partial(model.apply, {"params": params})
  cache = apply(encoded_BMD, length, cues_BNF, method="init_cache")
  batch_size = len(encoded_BMD) // sampling.kind.num_fed
  start_B = jnp.zeros((batch_size,), jnp.int32)  # the decoder starts with 0
  tokens_BL = jnp.zeros((batch_size, length), jnp.int32)
  seen_BV = None
  if sampling.kind.has_penalty:
    seen_BV = jnp.zeros((batch_size, model.vocab_size), bool).at[:, PAD_ID].set(True)
  index = jnp.zeros((), jnp.int32)
  return State(index, start_B, start_B > 0, tokens_BL, seen_BV, cache, start_B)


def _stages(length: int, num_rows: int) -> list[int]:
  """The positions up to which a cache of each length is read; `length` is the last.

  A step reads its whole cache, filled or not. With few rows that costs little beside
  the weights, and each stage is a loop to compile.
  """
  num_stages = _STAGES if num_rows >= _MANY_ROWS else 1
  return sorted({-(-length * n // num_stages) for n in range(1, num_stages + 1)})


@functools.partial(
  kept_programs.jit, static_argnames=("model",), donate_argnames=("state",)
)
def advance(
  model,
  params,
  encoder_input_tokens_BM,
  low_BL,
  high_BL,
  keys_B,
  state: State,
  stop,
  words: constraints.Words | None = None,
  *,
  sampling: Sampling,
) -> State:
  """Decodes up to position `stop`, or until every row is done. `state` is used up.

  Args:
    keys_B: a PRNG key a row, so that a row does not depend on its neighbours.
    stop: int, at most L; not part of the program, so any value runs the same one.
    words: what text may be written in; see `decode`.
  """
  model, params = t5_layouts.untied(model, params)
  segments_BM = (encoder_input_tokens_BM > 0).astype(jnp.int32)
  apply = functools.partial(model.apply, {"params": params})
  rows_B, kind = jnp.arange(low_BL.shape[0]), sampling.kind

  def unfinished(end, state):
    return (state.index < jnp.minimum(stop, end)) & ~jnp.all(state.done_B)

  def body(state):
    index, seen_BV = state.index, state.seen_BV
    fed_B = jnp.tile(state.token_B, kind.num_fed)
    logits_BV, cache = apply(fed_B, state.cache, segments_BM, method="decode_step")
    allowed_BV = _allowed(logits_BV.shape[-1], low_BL[:, index], high_BL[:, index])
    if words is not None:
      allowed_BV = words.within(state.word_B, allowed_BV)
    if kind.guided:
      logits_BV = guidance_lib.combine(
        logits_BV, sampling.guidance, allowed_BV, kind.sharpens
      )
    if seen_BV is not None:
      logits_BV = penalize(logits_BV, seen_BV, sampling.repetition_penalty)
    logits_BV = jnp.where(allowed_BV, logits_BV, _NEVER)
    step_keys_B = jax.vmap(jax.random.fold_in, (0, None))(keys_B, index)
    token_B = _next_token(logits_BV, step_keys_B, sampling)
    token_B = jnp.where(state.done_B, PAD_ID, token_B).astype(jnp.int32)
    if seen_BV is not None:
      seen_BV = seen_BV.at[rows_B, token_B].set(True)
    tokens_BL = state.tokens_BL.at[:, index].set(token_B)
    done_B = state.done_B | (token_B == EOS_ID)
    word_B = state.word_B if words is None else words.after(state.word_B, token_B)
    return State(index + 1, token_B, done_B, tokens_BL, seen_BV, cache, word_B)

  for end in _stages(low_BL.shape[1], segments_BM.shape[0]):
    cache = state.cache
    state = state._replace(cache=t5_layouts.first_positions(cache, end))
    state = jax.lax.while_loop(functools.partial(unfinished, end), body, state)
    state = state._replace(cache=t5_layouts.with_first_positions(cache, state.cache))
  return state


def shared(params):
  """The parameters where `decode` needs them, if devices share the rows; else None."""
  if sharding.can_share_rows(jax.local_device_count(), params):
    return sharding.on_every_device(params)
  return None


def decode(
  model,
  params,
  encoder_input_tokens_BM,
  low_BL,
  high_BL,
  rng,
  sampling: Sampling = Sampling(),
  shared_params=None,
  cues_BNF=None,
  words: constraints.Words | None = None,
  encoded_BMD=None,
):
  """Decodes autoregressively within a constraint (see constraints.py).

  Args:
    model: models.t5.T5.
    encoder_input_tokens_BM: int32, one prompt a row, 0 = padding. With guidance other
      than 1 there are 2B rows: the prompts, then the same requests without a prompt.
    low_BL, high_BL: int32, the allowed id range of each position.
    rng: one key, or a key for each row.
    sampling: greedy by default.
    shared_params: what `shared` returned for params; saves placing them again at each
      call.
    cues_BNF: float32, when acts are on (language/cues.py), for as many rows as there
      are encoder tokens; none by default.
    words: the only ones that text may be written in; None: any.
    encoded_BMD: what `encode` made of the tokens, where that is known; not with
      guidance.

  Returns:
    int32[B, L] tokens; everything after a row's first eos is padding.
  """
  batch_size = len(low_BL)
  inputs = (low_BL, high_BL, row_keys(rng, batch_size))
  tokens_BM = np.asarray(encoder_input_tokens_BM)
  if sharding.can_share_rows(batch_size, params):
    tokens_BM = _by_request(tokens_BM, batch_size)
    cues = () if cues_BNF is None else (_by_request(cues_BNF, batch_size),)
    shared_params = shared_params or sharding.on_every_device(params)
    if encoded_BMD is None:
      encoded_BMD = encode(model, params, tokens_BM, shared_params)
    rows = (encoded_BMD, tokens_BM, *inputs, *cues)
    return _decode_shared(model, shared_params, words, *rows, sampling=sampling)
  if encoded_BMD is None:
    encoded_BMD = encode(model, params, tokens_BM)
  inputs = (words, encoded_BMD, tokens_BM, *inputs, cues_BNF)
  return _decode(model, params, *inputs, sampling=sampling)


def _by_request(rows, batch_size: int) -> np.ndarray:
  """Rows with and then without prompts, those of a request brought together."""
  each = np.reshape(rows, (-1, batch_size, *rows.shape[1:]))
  return np.swapaxes(each, 0, 1).reshape(rows.shape)


def _decode(
  model,
  params,
  words,
  encoded_BMD,
  tokens_BM,
  low_BL,
  high_BL,
  keys_B,
  cues_BNF,
  *,
  sampling,
):
  length = low_BL.shape[1]
  state = start(model, params, encoded_BMD, cues_BNF, length=length, sampling=sampling)
  inputs = (model, params, tokens_BM, low_BL, high_BL, keys_B)
  return advance(*inputs, state, length, words, sampling=sampling).tokens_BL


@functools.partial(jax.jit, static_argnames="model")
def _decode_shared(model, params, words, *rows, sampling):
  """`_decode`, each device of this process with its rows: none waits for another."""
  fed = sampling.kind.num_fed

  def apart(x):
    return jnp.swapaxes(x.reshape(-1, fed, *x.shape[1:]), 0, 1).reshape(x.shape)

  def mine(
    params, words, sampling, encoded, tokens, low_BL, high_BL, keys_B, cues=None
  ):
    cues = None if cues is None else apart(cues)
    inputs = (words, apart(encoded), apart(tokens), low_BL, high_BL, keys_B, cues)
    return _decode(model, params, *inputs, sampling=sampling)

  return sharding.share_rows(mine, (params, words, sampling), rows)
