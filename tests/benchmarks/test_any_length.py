"""Padding changes no token, but where a latent lies on a cell's boundary."""

import numpy as np

from benchmarks import any_length
from tdmm_jax.codec import motion_codec
from tdmm_jax.data import records


def test_padding_changes_tokens_at_boundaries_alone(tiny_run):
  codec = motion_codec.load(tiny_run / "tokenizer")
  clips = records.load_clips(tiny_run / "records", "train")[:8]
  vectors = [clip["vectors"][: (1, 7)[i % 2]] for i, clip in enumerate(clips)]
  counts = any_length.padding(codec, vectors)
  assert counts["frames"] == 4 * (1 + 7)
  assert counts["differ"] == counts["differ_near"] <= counts["near"] < 4


def test_the_distance_is_to_the_nearest_of_the_boundaries(tiny_run):
  """Moving a clip until a token flips moves a latent across one, and no sooner."""
  codec = motion_codec.load(tiny_run / "tokenizer")
  clip = records.load_clips(tiny_run / "records", "train")[0]["vectors"][:16]
  direction = np.random.default_rng(0).normal(size=clip.shape[1]).astype(np.float32)
  steps = np.linspace(0, 0.3, 61, dtype=np.float32)
  moved = clip + steps[:, None, None] * direction
  mask = np.ones(moved.shape[:2], np.float32)
  codes = codec.encode_window(moved, mask)
  distance = any_length.boundary_distances(codec, moved, mask)
  assert (distance >= 0).all() and (distance <= 0.5).all()
  flips = codes[1:] != codes[:-1]
  assert flips.any() and not flips.all()
  # Around a flip both sides are near; what is far from its boundary does not flip.
  either = np.maximum(distance[1:], distance[:-1])
  assert either[flips].max() < either[~flips].max()
  assert either[flips].mean() < 0.6 * either[~flips].mean()
