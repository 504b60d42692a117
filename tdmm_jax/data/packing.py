"""Packing: several short examples share one row, told apart by segment ids.

A plan is made per chunk of clips from the examples' lengths alone, so that row N is a
pure function of (seed, N): hosts slice it, and the iterator's state is the step.
"""

from collections.abc import Sequence

import numpy as np

from tdmm_jax.language import cues

# encoder_tokens int[M], decoder_targets int[L]; maybe decoder_cues float32[N, F] of
# what is written, or encoder_cues of what is read, and how many `motion_tokens` it has;
# maybe told_tokens, how many targets the decoder is told first, which are not learnt
Example = dict[str, np.ndarray]


def plan_rows(
  lengths: Sequence[tuple[int, int]],
  encoder_length: int,
  decoder_length: int,
  order: Sequence[int],
  num_open: int = 64,
) -> list[list[int]]:
  """First-fit packing of examples into rows.

  Args:
    lengths: (encoder, decoder) tokens of each example.
    encoder_length, decoder_length: room in a row.
    order: the order in which examples are placed.
    num_open: rows kept open at a time; bounds the cost, not the result's validity.

  Returns:
    rows of example indices; each example in exactly one row.

  Raises:
    ValueError: an example longer than a row.
  """
  rows, open_rows = [], []  # an open row: [encoder room, decoder room, members]
  for index in order:
    encoder, decoder = lengths[index]
    if encoder > encoder_length or decoder > decoder_length:
      raise ValueError(
        f"example {index} needs {encoder} + {decoder} tokens, a row has "
        f"{encoder_length} + {decoder_length}; raise config.encoder_length or "
        "config.decoder_length"
      )
    for row in open_rows:
      if row[0] >= encoder and row[1] >= decoder:
        break
    else:
      if len(open_rows) == num_open:
        rows.append(open_rows.pop(0)[2])
      row = [encoder_length, decoder_length, []]
      open_rows.append(row)
    row[0] -= encoder
    row[1] -= decoder
    row[2].append(index)
  return rows + [row[2] for row in open_rows]


def with_num_rows(
  rows: Sequence[Sequence[int]], num_rows: int
) -> tuple[list[list[int]], list[int]]:
  """A plan with exactly `num_rows` rows, and the examples that find no place in it.

  Where the plan has fewer, rows of several examples give some away; where it has more,
  those that `plan_rows` opened last are left out.
  """
  plan = [list(row) for row in rows[:num_rows]]
  left_out = [index for row in rows[num_rows:] for index in row]
  while len(plan) < num_rows:
    fullest = max(plan, key=len, default=[])
    half = len(fullest) // 2
    plan.append(fullest[len(fullest) - half :])
    del fullest[len(fullest) - half :]
  return plan, left_out


def pack_row(
  examples: Sequence[Example],
  encoder_length: int,
  decoder_length: int,
  num_cues: int = 0,
) -> dict[str, np.ndarray]:
  """One row of T5X's batch keys: tokens, segment ids (from 1), positions, weights.

  And decoder_cues and encoder_cues float32[num_cues, CUE_FIELDS], if there are to be
  any.

  Raises:
    ValueError: the examples have more cues.
  """
  row = {
    "encoder_input_tokens": np.zeros(encoder_length, np.int32),
    "encoder_segment_ids": np.zeros(encoder_length, np.int32),
    "encoder_positions": np.zeros(encoder_length, np.int32),
    "decoder_input_tokens": np.zeros(decoder_length, np.int32),
    "decoder_target_tokens": np.zeros(decoder_length, np.int32),
    "decoder_segment_ids": np.zeros(decoder_length, np.int32),
    "decoder_loss_weights": np.zeros(decoder_length, np.float32),
  }
  encoder_at = decoder_at = 0
  none = np.zeros((0, cues.CUE_FIELDS), np.float32)
  told = {"decoder_cues": [none], "encoder_cues": [none]}
  for segment, example in enumerate(examples, start=1):
    tokens, targets = example["encoder_tokens"], example["decoder_targets"]
    span = slice(encoder_at, encoder_at + len(tokens))
    row["encoder_input_tokens"][span] = tokens
    row["encoder_segment_ids"][span] = segment
    row["encoder_positions"][span] = np.arange(len(tokens))
    encoder_at = span.stop
    if "encoder_cues" in example:
      first = encoder_at - example["motion_tokens"]
      moved = cues.packed(example["encoder_cues"], first, encoder_at)
      told["encoder_cues"].append(moved)
    span = slice(decoder_at, decoder_at + len(targets))
    if "decoder_cues" in example:
      moved = cues.packed(example["decoder_cues"], span.start, span.stop)
      told["decoder_cues"].append(moved)
    row["decoder_target_tokens"][span] = targets
    row["decoder_input_tokens"][span] = np.concatenate([[0], targets[:-1]])
    row["decoder_segment_ids"][span] = segment
    learnt = slice(span.start + example.get("told_tokens", 0), span.stop)
    row["decoder_loss_weights"][learnt] = example.get("weight", 1.0)
    decoder_at = span.stop
  if num_cues:
    row |= {key: cues.padded(np.concatenate(r), num_cues) for key, r in told.items()}
  return row
