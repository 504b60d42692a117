"""Motion tokens to sentences, and to answers to questions."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from tdmm_jax.data import tasks
from tdmm_jax.decoding import beam, constraints, sample
from tdmm_jax.errors import UserError
from tdmm_jax.generate import inputs
from tdmm_jax.language import (
  act_reading,
  instructions,
  lexicon,
  questions,
  retelling,
  subjects,
  unanswerable,
)

MAX_BEAMS = 64
_MOST_TOLD = 64  # pieces of the acts that are read


def sentences(
  face, codes: Sequence[np.ndarray], question: str | None, num_beams: int
) -> list[str]:
  """What a run says, motion by motion; see `Face.describe_codes`."""
  if not 1 <= num_beams <= MAX_BEAMS:
    raise UserError(
      f"num_beams {num_beams}: out of range; give 1 (greedy) to {MAX_BEAMS}"
    )
  if refusal := unanswerable.answer(question):
    return [refusal] * len(codes)
  ask = tasks.qa_encoder if _answers(face, question) else tasks.m2l_encoder
  encoders = [ask(face.vocab, c, question) for c in codes]
  longest = max(len(encoder) for encoder in encoders)
  texts = []
  for start in range(0, len(encoders), inputs.BATCH):
    group = encoders[start : start + inputs.BATCH]
    if len(encoders) > 1:
      group = group + group[-1:] * (inputs.BATCH - len(group))
    tokens = inputs.padded(group, longest)
    read = acts_read(face, tokens)
    told = [tasks.told_acts(face.vocab, row)[-_MOST_TOLD:] for row in read]
    limits = constraints.text_only(
      face.vocab, len(group), face.config.max_caption_pieces + _MOST_TOLD, told
    )
    given = (face.model, face.params, tokens, *limits)
    if num_beams == 1:
      shared = face.shared_params if len(group) > 1 else None
      tokens = sample.decode(*given, jax.random.key(0), shared_params=shared)
    else:
      tokens, _ = beam.decode(*given, num_beams=num_beams)
    said = [
      face.vocab.decode_text(row[len(first) :])
      for row, first in zip(np.asarray(tokens), told, strict=True)
    ]
    if ask is tasks.m2l_encoder:
      said = [t if r is None else retelling.retold(t, r) for t, r in zip(said, read)]
    texts += said
  return texts[: len(codes)]


def acts_read(face, tokens_BM: np.ndarray) -> list[dict | None]:
  """The acts that a run's encoder reads in each motion, as visible attributes.

  None of a run that was not asked for them in training.

  Args:
    tokens_BM: int32, of the encoder, 0 = padding.
  """
  if not tasks.tells_acts(face.config):
    return [None] * len(tokens_BM)
  shares_BMR = np.asarray(_shares_read(face.model, face.params, tokens_BM))
  found = []
  for tokens_M, shares_MR in zip(tokens_BM, shares_BMR, strict=True):
    frames = tokens_M >= face.vocab.motion_offset
    frames &= tokens_M < face.vocab.motion_offset + face.vocab.num_codes
    found.append(act_reading.acts_read(shares_MR[frames]))
  return found


@functools.partial(jax.jit, static_argnums=0)
def _shares_read(model, params, tokens_BM):
  """float32[B, M, READINGS], 0 .. 1: see models/cue_embedding.py."""
  apply = functools.partial(model.apply, {"params": params})
  segments_BM = (tokens_BM > 0).astype(jnp.int32)
  return jax.nn.sigmoid(apply(tokens_BM, segments_BM, method="read_acts"))


def about(
  face, codes: Sequence[np.ndarray], question: str | None, num_beams: int, subject: str
) -> list[str]:
  """`sentences` for people: about this subject, and of one mind.

  What is asked about an emotion is answered from the caption, so that the two agree.
  """
  kind = questions.about_emotion(question) if _answers(face, question) else None
  texts = sentences(face, codes, None if kind else question, num_beams)
  if kind:
    texts = [questions.answer(kind, lexicon.parse(text)) for text in texts]
  return [subjects.addressed(text, subject) for text in texts]


def _answers(face, question: str | None) -> bool:
  """Whether it is a question that the run was trained to answer.

  A request for a caption, and any question to a run that was trained without
  questions, is an instruction of Motion2Language.
  """
  asked = question and not instructions.captions_asked_for(question)
  return bool(asked) and face.answers_questions
