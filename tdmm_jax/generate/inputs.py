"""What the language model is given for prompts: tokens, limits, and cues of when."""

from collections.abc import Sequence

import jax
import numpy as np

from tdmm_jax.data import tasks
from tdmm_jax.decoding import constraints, sample
from tdmm_jax.language import acts as acts_lib
from tdmm_jax.language import cues, free_words, understanding, wording
from tdmm_jax.models import bert, t5
from tdmm_jax.runs import kept_programs

BATCH = 16  # rows that are decoded at once
_LEAST_WIDTH = 64  # of the encoder's tokens; wider ones are twice, four times as wide
_CUES_MULTIPLE = 16
_WORDS_MULTIPLE = 16
_sentence_vectors = kept_programs.jit(bert.sentence_vectors, ("sizes",))


def guess(face, prompt: str) -> free_words.Guess | None:
  """What a prompt that names no emotion asks for, if the run's text encoder can tell.

  None leaves it to the prompt's words alone (language/free_words.py).
  """
  if face.text_encoder != free_words.encoder() or understanding.names_emotion(prompt):
    return None
  words = face.vocab.wordpieces.encode(prompt)
  width = -(-len(words) // _WORDS_MULTIPLE) * _WORDS_MULTIPLE
  words_1S = np.full((1, width), -1, np.int32)
  words_1S[0, : len(words)] = words
  params = face.params[t5.TEXT_ENCODER]
  vectors_1D = _sentence_vectors(
    face.model.text_sizes, params, words_1S, free_words.adapter()
  )
  return free_words.guess(prompt, np.asarray(vectors_1D[0]))


def of_prompts(
  face,
  prompts: Sequence[str],
  frames: Sequence[int],
  sampling: sample.Sampling,
  keys_B,
  fixed: Sequence[np.ndarray] | None = None,
  inside: tuple[int, int] | None = None,
):
  """What `sample.decode` is given: encoder tokens [B or 2B, M], low, high [B, L] ...

  ... and cues [B or 2B, N, F], None for a model that hears none.

  Args:
    face: generate.face.Face.
    keys_B: PRNG keys of the requests, which choose when acts happen.
    fixed: codes int[T] of each request, constraints.FREE where one is to be drawn; a
      run that knows endings is told those that are known at the end.
    inside: (frames of the whole that a prompt is for, which of them comes first), if
      it is for more, or for fewer, than its frames here.
  """
  rows, told, unguided, untold = [], [], [], []
  seeds = map(tuple, np.asarray(jax.random.key_data(keys_B)).tolist())
  for row, (prompt, n, seed) in enumerate(zip(prompts, frames, seeds, strict=True)):
    total, first = inside or (n, 0)
    whole = inside == (n, 0) or fixed is None
    felt, seconds, terms = guess(face, prompt), total / tasks.FPS, ""
    placed = understanding.placed(prompt, seconds, seed, felt, at_ease=True)
    if face.vocab.read_acts and whole:
      terms = wording.terms(placed, timed=True)
    elif face.vocab.read_acts:
      terms = understanding.terms_of(prompt, seconds, None, felt)
    rows.append(tasks.l2m_encoder(face.vocab, prompt, n, terms=terms))
    other = tasks.l2m_encoder(face.vocab, "", n)
    after = ending(fixed[row]) if face.knows_endings and fixed is not None else ()
    if len(after):
      rows[-1] = tasks.with_ending(face.vocab, rows[-1], after)
      other = tasks.with_ending(face.vocab, other, after)
    unguided.append(other)
    # Codes that are fixed here and there know better when something happens.
    if face.vocab.read_acts and (whole or inside):
      told.append(cues.of(placed, first_frame=first))
    else:
      told.append(tasks.prompt_cues(face.vocab, "", total))
    untold.append(cues.unguided(told[-1]))
  if sampling.guidance != 1.0:
    rows += unguided
    told += untold
  length = face.config.max_frames + tasks.NUM_MOTION_SPECIALS
  limits = constraints.exact_motion(
    face.vocab, frames, length, face.codec.num_phases, fixed
  )
  if not face.model.motion_cues:
    return padded(rows), *limits, None
  most = -(-max(map(len, told)) // _CUES_MULTIPLE) * _CUES_MULTIPLE
  cues_BNF = np.stack([cues.padded(each, max(most, 1)) for each in told])
  return padded(rows), *limits, cues_BNF


def acts_of(face, span, seed: int, number: int = 0) -> list[acts_lib.Act]:
  """The acts of a span's prompt at the times that its cues were given.

  Args:
    face: generate.face.Face.
    span: windows.Span; times count from its start.
    seed, number: of the request.
  """
  key = jax.random.fold_in(jax.random.key(seed), number)
  felt, seconds = guess(face, span.prompt), (span.stop - span.start) / tasks.FPS
  told = understanding.placed(
    span.prompt, seconds, placing_seed(key), felt, at_ease=True
  )
  return acts_lib.acts_of(told)


def placing_seed(key) -> tuple[int, ...]:
  """What `understanding.placed` is seeded with for the request of a PRNG key."""
  return tuple(jax.random.key_data(key).tolist())


def ending(codes) -> np.ndarray:
  """The known codes that a motion ends in, as many as a model is told: int[k].

  None where there are too few of them, or none to draw before them.

  Args:
    codes: int[T], constraints.FREE where one is to be drawn.
  """
  codes, (least, most) = np.asarray(codes), tasks.ENDING
  drawn = np.flatnonzero(codes == constraints.FREE)
  first = drawn[-1] + 1 if len(drawn) else len(codes)
  if len(codes) - first < least:
    first = len(codes)
  return codes[max(first, len(codes) - most) :]


def padded(rows: Sequence[np.ndarray], longest: int = 0) -> np.ndarray:
  """int32[rows, width], 0 = padding; few widths, so that little is compiled."""
  width, longest = _LEAST_WIDTH, max(longest, *map(len, rows))
  while width < longest:
    width *= 2
  tokens = np.zeros((len(rows), width), np.int32)
  for row, encoder in zip(tokens, rows, strict=True):
    row[: len(encoder)] = encoder
  return tokens
