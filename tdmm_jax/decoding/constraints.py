"""Which ids may follow: constraints that cannot be broken.

A constraint is a pair of int32[B, L] arrays, `low` and `high`: at position l only ids
in [low, high) may be drawn. Fixed tokens are ranges of one. Text may be limited to
`Words`, too.

Shape letters: B batch, L positions, V vocabulary, N nodes, C pieces of words.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from tdmm_jax.language import caption_words
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


class Words(NamedTuple):
  """The words that text may consist of, as a trie of their pieces.

  A place in it is an int: 0 where a word may begin or the text end, else within a word.

  Attributes:
    column_V: int32, the column of each id; ids without one share column 0.
    next_NC: int32, the place after a piece; below 0 the piece must not follow.
  """

  column_V: jax.Array
  next_NC: jax.Array

  def within(self, place_B, allowed_BV):
    """Those of the ids allowed that may follow, bool[B, V]; if none does, all.

    So a text that ends at its last position may end within a word.
    """
    columns = jnp.pad(self.column_V, (0, allowed_BV.shape[-1] - len(self.column_V)))
    both_BV = allowed_BV & (self.next_NC[place_B] >= 0)[:, columns]
    return jnp.where(both_BV.any(-1, keepdims=True), both_BV, allowed_BV)

  def after(self, place_B, token_B):
    """int32[B]: the places after these tokens; 0 after one that is not allowed."""
    size = len(self.column_V)
    column_B = jnp.where(
      token_B < size, self.column_V[jnp.minimum(token_B, size - 1)], 0
    )
    return jnp.maximum(self.next_NC[place_B, column_B], 0)


def words_of(vocab: Vocab, words: Iterable[str]) -> Words:
  """Text of these words, each as the vocabulary spells it, and marks behind them.

  Args:
    words: without the marks that may follow any of them (caption_words.MARKS).
  """
  trie: list[dict[int, int]] = [{}]
  ends = set()
  for word in words:
    node = 0
    for piece in vocab.encode_text(word):
      if piece not in trie[node]:
        trie[node][piece] = len(trie)
        trie.append({})
      node = trie[node][piece]
    ends.add(node)
  ends.discard(0)
  # A mark is what a word has more with it than without: no piece joins the two.
  bare = len(vocab.encode_text("a"))
  marks = [vocab.encode_text(f"a{mark}")[bare:] for mark in caption_words.MARKS]
  marks = {pieces[0] for pieces in marks if len(pieces) == 1}
  used = sorted({piece for node in trie for piece in node} | marks | {EOS_ID})
  column_V = np.zeros(vocab.num_pieces, np.int32)
  column_V[used] = 1 + np.arange(len(used))
  next_NC = np.full((len(trie), 1 + len(used)), -1, np.int32)
  begins = column_V[[*trie[0], EOS_ID]]
  begun = [*trie[0].values(), 0]
  for place, node in enumerate(trie):
    if place == 0 or place in ends:
      next_NC[place, begins] = begun
    if place in ends:
      next_NC[place, column_V[list(marks)]] = 0
    for piece, child in node.items():
      next_NC[place, column_V[piece]] = child
  return Words(jnp.asarray(column_V), jnp.asarray(next_NC))
