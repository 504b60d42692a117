"""Which ids may follow, position by position: constraints that cannot be broken.

A constraint is a pair of int32[B, L] arrays, `low` and `high`: at position l only ids
in [low, high) may be drawn. Fixed tokens are ranges of one.
"""

from collections.abc import Sequence

import numpy as np

from tdmm_jax.vocab import EOS_ID, PAD_ID, Vocab

FREE = -1  # a frame whose code is to be drawn


def exact_motion(
  vocab: Vocab,
  num_frames: Sequence[int],
  max_decode_length: int,
  num_phases: int = 1,
  fixed: Sequence[np.ndarray] | None = None,
):
  """<som>, exactly num_frames[b] motion tokens, <eom>, eos, then padding.

  Frame t draws from the codes of its phase, t mod num_phases.

  Args:
    fixed: codes int[num_frames[b]] of each row, FREE where they are to be drawn; by
      default all are.
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
    first, last = phase * per_phase, (phase + 1) * per_phase
    if fixed is not None:
      codes = np.asarray(fixed[row])
      if codes.shape != (frames,) or codes.max(initial=0) >= vocab.num_codes:
        raise ValueError(f"fixed codes of row {row}: not {frames} codes or FREE")
      first = np.where(codes == FREE, first, codes)
      last = np.where(codes == FREE, last, codes + 1)
    low[row, 1 : frames + 1] = vocab.motion_offset + first
    high[row, 1 : frames + 1] = vocab.motion_offset + last
    fix(row, frames + 1, vocab.eom_id)
    fix(row, frames + 2, EOS_ID)
  return low, high


def text_only(
  vocab: Vocab,
  batch_size: int,
  max_decode_length: int,
  first: Sequence[np.ndarray] | None = None,
):
  """Text pieces and eos; the last position must be eos.

  Args:
    first: ids int[n] that each row begins with.
  """
  shape = (batch_size, max_decode_length)
  low, high = np.full(shape, EOS_ID, np.int32), np.full(shape, vocab.num_pieces)
  for row, ids in enumerate(first or ()):
    low[row, : len(ids)], high[row, : len(ids)] = ids, np.add(ids, 1)
  high[:, -1] = EOS_ID + 1
  return low, high.astype(np.int32)
