"""What a decoder is told of the acts that are on at each place of a motion.

Attention finds which acts a prompt asks for, but hardly when: of a small T5 that read
their times in its encoder, half of the acts came at another one. Here each place is
given the sum of the vectors of its own acts, at the stage that each has reached.

An encoder that reads a motion is asked for the same: which acts are on at each place of
it (`ActReading`).

Shape letters: B batch, L places, N cues, K features, C channels, D embedding.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from tdmm_jax import sharding
from tdmm_jax.language import cues, placing
from tdmm_jax.models import layers

# An act that is half done looks little like half of one that is done: each stage has a
# vector of its own, and what lies between two is told by both.
STAGES = (0.0, 0.15, 0.35, 0.6, 0.85, 1.1, 1.6)
FEATURES = len(STAGES) + 6
_NEAR = 4.0  # places: what "soon" and "just over" mean
_NAMES = tuple(cues.KINDS)
_SLIGHT, _STRONG = 0.85, 1.15  # levels: below is slight, above is strong


def _ramp(share):
  """0 .. 1, minimum jerk between: data_prep/envelopes.py."""
  x = jnp.clip(share, 0.0, 1.0)
  return x * x * x * (10.0 + x * (6.0 * x - 15.0))


def _hold(at, start, end, rise, fall):
  return _ramp((at - start) / rise) * (1.0 - _ramp((at - end + fall) / fall))


def course(each, since):
  """How far acts have come: (float in 0 .. 1, the same with its direction, cycle).

  The direction is -1 .. 1 of acts that go both ways; `cycle` counts from 0 to the
  number of times that an act is done.

  Args:
    each: float32[CUE_FIELDS, ...].
    since: places since their beginnings, of the same or a wider shape.
  """
  shape = jnp.asarray(cues.SHAPES)[each[cues.CHANNEL].astype(jnp.int32)]
  length = jnp.maximum(each[cues.END] - each[cues.START], 1.0)
  times = jnp.maximum(each[cues.COUNT], 1.0)
  one = length / times  # places of one of several
  cycle = jnp.clip(since, 0.0, length) / one
  at = (cycle - jnp.minimum(jnp.floor(cycle), times - 1.0)) * one
  end = jnp.where(each[cues.COUNT] > 0, placing.UP_OF_EACH * one, length)
  rise = jnp.maximum(each[cues.RISE], 1.0)
  angle = 2 * np.pi * at / one
  glance = _hold(at, 0.0, 0.42 * length, 0.18 * length, 0.18 * length)
  second = _hold(at, 0.52 * length, length, 0.09 * length, 0.2 * length)
  roll = jnp.clip(at / (0.92 * one), 1e-6, 1.0 - 1e-6)
  on = (since >= 0) & (since < length)
  shapes = {
    cues.PULSES: _hold(at, 0.0, end, rise, rise),
    cues.BLINKS: _hold(at, 0.5 * one - 3.9, 0.5 * one + 5.8, 2.75, 4.25),
    cues.CYCLES: 0.5 - 0.5 * jnp.cos(angle),
    cues.SWINGS: jnp.abs(jnp.sin(angle)),
    cues.DIPS: _ramp(at / (0.32 * one)) * (1 - _ramp((at - 0.36 * one) / (0.6 * one))),
    cues.TAKES: jnp.maximum(0.65 * glance, second),
    cues.ROLLS: jnp.sin(np.pi * roll) ** 0.8,
  }
  both_ways = {
    cues.SWINGS: jnp.sin(angle),
    cues.ROLLS: jnp.sin(np.pi * roll) ** 0.5 * jnp.cos(np.pi * roll),
  }
  pick = lambda options: jnp.select(
    [shape == number for number in options], list(options.values())
  )
  done = jnp.where(on, pick(shapes), 0.0)
  way = jnp.where(on, pick(shapes | both_ways), 0.0) * each[cues.SIDE]
  return done, way, cycle


def features(cues_BNF, places_L):
  """float32[B, L, N, FEATURES] of each cue at each place.

  While it is on: its strength; how near the act is to each of `STAGES` but the first,
  which is rest; its course with its side; how fast it comes or goes; where in its count
  it is (sine and cosine). Before and after: that it comes soon, that it is just over.
  """
  each = jnp.moveaxis(cues_BNF.astype(jnp.float32), -1, 0)[..., None, :]
  place = places_L.astype(jnp.float32)[:, None]
  since, until = place - each[cues.START], each[cues.END] - place
  number = lambda truths: truths.astype(jnp.float32)
  is_on = number((since >= 0) & (until > 0))
  comes = number((since < 0) & (place >= each[cues.FIRST]))
  is_over = number((until <= 0) & (place < each[cues.LAST]))
  level = each[cues.LEVEL]
  # All at once: XLA compiles these kernels once, not three times.
  done, way, cycle = course(each, since + np.float32([0, 1, -1]).reshape(3, 1, 1, 1))
  (done, after, before), way, cycle = done, way[0], cycle[0]
  speed = after - before
  reached = jnp.minimum(level * done, STAGES[-1])[..., None]
  below, stage, above = (np.array(STAGES + (2.0,))[i:][:6] for i in (0, 1, 2))
  rising = (reached - below) / (stage - below)
  falling = (above - reached) / (above - stage)
  stages = jnp.clip(jnp.minimum(rising, falling), 0.0, 1.0)
  fade = lambda places: jnp.exp(-jnp.maximum(places, 0.0) / _NEAR)
  angle = 2 * np.pi * cycle
  around = [
    *(is_on * level, level * way, level * speed),
    *(is_on * level * jnp.sin(angle), is_on * level * jnp.cos(angle)),
    comes * level * fade(-since),
    is_over * level * fade(-until),
  ]
  return jnp.concatenate([jnp.stack(around, axis=-1), stages], axis=-1)


class CueEmbedding(nn.Module):
  """The sum of the vectors of a place's cues, float[B, L, D]."""

  emb_dim: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, cues_BNF, places_L):
    shape = (len(cues.CHANNELS), FEATURES, self.emb_dim)
    table = self.param(
      "embedding",
      sharding.partitioned(nn.initializers.normal(0.5), "codes", "features", "embed"),
      shape,
      jnp.float32,
    )
    channels_BN = cues_BNF[..., cues.CHANNEL].astype(jnp.int32)
    vectors_BNKD = sharding.constrain(table, None, None, None)[channels_BN]
    x_BLD = jnp.einsum("blnk,bnkd->bld", features(cues_BNF, places_L), vectors_BNKD)
    return sharding.constrain(
      x_BLD.astype(self.dtype), "act_batch", "act_length", "act_embed"
    )


def on_at_places(cues_BNF, places_L):
  """What an encoder should read: (float32[B, L, READINGS], the same of what is asked).

  1 where a channel is on; where the kind that is on is just being done (a beat of those
  that are counted), is slow, quick, slight or strong. Channels are asked for all over
  examples with cues; the others where their kind is on.
  """
  each = jnp.moveaxis(cues_BNF.astype(jnp.float32), -1, 0)[..., None, :]
  place = places_L.astype(jnp.float32)[:, None]
  inside = (place >= each[cues.FIRST]) & (place < each[cues.LAST])
  is_on = inside & (place >= each[cues.START]) & (place < each[cues.END])
  channel_BN = cues_BNF[..., cues.CHANNEL].astype(jnp.int32)
  number = lambda truths: truths.astype(jnp.float32)
  on_BLC = jnp.einsum(
    "bln,bnc->blc", number(is_on), jax.nn.one_hot(channel_BN, len(cues.CHANNELS))
  )
  done, way, _ = course(each, place - each[cues.START])
  # Of a shake, one beat is a swing to the left.
  swings = jnp.asarray(cues.SHAPES)[channel_BN][:, None, :] == cues.SWINGS
  level, tempo = each[cues.LEVEL], each[cues.TEMPO]
  of_kind_KBLN = [
    jnp.where(swings, way, done) > 0.5,
    *(tempo < 0, tempo > 0, level < _SLIGHT, level > _STRONG),
  ]
  kind_BNK = jax.nn.one_hot(jnp.asarray(_KINDS_OF_CHANNELS)[channel_BN], len(_NAMES))
  place_kinds = functools.partial(jnp.einsum, "bln,bnk->blk")
  asked_BLK = place_kinds(number(is_on), kind_BNK)
  shown = [place_kinds(number(is_on & row), kind_BNK) for row in of_kind_KBLN]
  of_kind = lambda rows: jnp.stack(rows, -1).reshape(*asked_BLK.shape[:2], -1)
  inside_BL1 = number(inside.any(-1))[..., None]
  on_BLR = jnp.concatenate([on_BLC, of_kind(shown)], -1)
  asked_BLR = jnp.concatenate(
    [
      jnp.broadcast_to(inside_BL1, on_BLC.shape),
      of_kind([asked_BLK] * len(cues.OF_KIND)),
    ],
    -1,
  )
  return jnp.minimum(on_BLR, 1.0), jnp.minimum(asked_BLR, 1.0)


_KINDS_OF_CHANNELS = np.array(
  [
    _NAMES.index(name) if name in _NAMES and not absent else -1
    for name, _, absent in cues.CHANNELS
  ]
)


class ActReading(nn.Module):
  """Logits float32[B, L, READINGS] of what is on at each place of an encoder."""

  @nn.compact
  def __call__(self, x_BLD):
    dense = layers.dense(cues.READINGS, None, "embed", "codes", dtype=jnp.float32)
    seldom = np.zeros(cues.READINGS, np.float32)
    seldom[: len(cues.CHANNELS)] = -5.0
    bias = self.param(
      "bias", sharding.partitioned(lambda *_: jnp.asarray(seldom), "codes")
    )
    return dense(x_BLD.astype(jnp.float32)) + bias
