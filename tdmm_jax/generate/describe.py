"""Motion tokens to sentences, and to answers to questions."""

from collections.abc import Sequence

import jax
import numpy as np

from tdmm_jax.data import tasks
from tdmm_jax.decoding import beam, constraints, sample
from tdmm_jax.errors import UserError
from tdmm_jax.generate import inputs
from tdmm_jax.language import instructions, lexicon, questions, subjects, unanswerable

MAX_BEAMS = 64


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
    limits = constraints.text_only(
      face.vocab, len(group), face.config.max_caption_pieces
    )
    given = (face.model, face.params, inputs.padded(group, longest), *limits)
    if num_beams == 1:
      shared = face.shared_params if len(group) > 1 else None
      tokens = sample.decode(*given, jax.random.key(0), shared_params=shared)
    else:
      tokens, _ = beam.decode(*given, num_beams=num_beams)
    texts += [face.vocab.decode_text(row) for row in np.asarray(tokens)]
  return texts[: len(codes)]


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
