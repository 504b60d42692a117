"""Which ids may follow, position by position: constraints that cannot be broken.

A constraint is a pair of int32[B, L] arrays, `low` and `high`: at position l only ids
in [low, high) may be drawn. Fixed tokens are ranges of one.
"""

import numpy as np

from tdmm_jax.vocab import EOS_ID, PAD_ID, Vocab


def exact_motion(
  vocab: Vocab, num_frames: list[int], max_decode_length: int, num_phases: int = 1
):
  """<som>, exactly num_frames[b] motion tokens, <eom>, eos, then padding.

  Frame t draws from the codes of its phase, t mod num_phases.
  """
  per_phase = vocab.num_codes // num_phases
  shape = (len(num_frames), max_decode_length)
  low, high = np.full(shape, PAD_ID, np.int32), np.full(shape, PAD_ID + 1, np.int32)

  def fix(row, position, token):
    low[row, position], high[row, position] = token, token + 1

  for row, frames in enumerate(num_frames):
    if frames + 3 > max_decode_length:
      raise ValueError(f"{frames} frames do not fit {max_decode_length} positions")
    fix(row, 0, vocab.som_id)
    phase = np.arange(frames) % num_phases
    low[row, 1 : frames + 1] = vocab.motion_offset + phase * per_phase
    high[row, 1 : frames + 1] = vocab.motion_offset + (phase + 1) * per_phase
    fix(row, frames + 1, vocab.eom_id)
    fix(row, frames + 2, EOS_ID)
  return low, high


def text_only(vocab: Vocab, batch_size: int, max_decode_length: int):
  """Text pieces and eos; the last position must be eos."""
  shape = (batch_size, max_decode_length)
  low, high = np.full(shape, EOS_ID, np.int32), np.full(shape, vocab.num_pieces)
  high[:, -1] = EOS_ID + 1
  return low, high.astype(np.int32)
