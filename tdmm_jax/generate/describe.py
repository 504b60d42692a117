"""Motion tokens to sentences, and to answers to questions."""

from collections.abc import Sequence

import jax
import numpy as np

from tdmm_jax.data import tasks
from tdmm_jax.decoding import beam, constraints, sample
from tdmm_jax.errors import UserError
from tdmm_jax.face import at_rest, motion_vector
from tdmm_jax.face.motion import FaceMotion
from tdmm_jax.generate import counting, emotions, inputs, reading
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
  face,
  codes: Sequence[np.ndarray],
  question: str | None,
  num_beams: int,
  motions: Sequence[FaceMotion] | None = None,
) -> list[str]:
  """What a run says, motion by motion; see `Face.describe_codes`.

  A run that reads acts is told what it reads before it writes, and a caption that does
  not say it is told again in plain words (language/retelling.py). A question whose kind
  its words tell is answered from the caption, so that the two agree; the model answers
  the others.

  Args:
    motions: what the codes were made of, in which acts are counted.
  """
  if not 1 <= num_beams <= MAX_BEAMS:
    raise UserError(
      f"num_beams {num_beams}: out of range; give 1 (greedy) to {MAX_BEAMS}"
    )
  if refusal := unanswerable.answer(question):
    return [refusal] * len(codes)
  answers = _answers(face, question)
  kind = questions.kind_of(question) if answers else None
  if kind in questions.OF_EMOTIONS or (kind and tasks.tells_acts(face.config)):
    captions = _written(face, codes, None, num_beams, motions)
    return [questions.answer(kind, lexicon.parse(text)) for text in captions]
  return _written(face, codes, question, num_beams, motions, answers)


def _written(
  face, codes, text: str | None, num_beams: int, motions, answers: bool = False
) -> list[str]:
  """What the model writes, by an instruction or in answer to a question."""
  ask, words = tasks.m2l_encoder, face.caption_words
  if answers:
    ask, words = tasks.qa_encoder, None
  encoders = [ask(face.vocab, c, text) for c in codes]
  longest = max(len(encoder) for encoder in encoders)
  texts = []
  for start in range(0, len(encoders), inputs.BATCH):
    group = encoders[start : start + inputs.BATCH]
    if len(encoders) > 1:
      group = group + group[-1:] * (inputs.BATCH - len(group))
    tokens = inputs.padded(group, longest)
    shared = face.shared_params if len(group) > 1 else None
    encoded = sample.encode(face.model, face.params, tokens, shared)
    read = _read(face, tokens, encoded, (motions or [])[start : start + inputs.BATCH])
    told = [tasks.told_acts(face.vocab, row)[-_MOST_TOLD:] for row in read]
    limits = constraints.text_only(
      face.vocab, len(group), face.config.max_caption_pieces + _MOST_TOLD, told
    )
    given = (face.model, face.params, tokens, *limits)
    if num_beams == 1:
      known = {"shared_params": shared, "words": words, "encoded_BMD": encoded}
      tokens = sample.decode(*given, jax.random.key(0), **known)
    else:
      tokens, _ = beam.decode(*given, words, num_beams=num_beams)
    for row, first, seen in zip(np.asarray(tokens), told, read, strict=True):
      said = face.vocab.decode_text(row[len(first) :])
      texts.append(said if answers or not seen else retelling.retold(said, seen))
  return texts[: len(codes)]


def _read(
  face, tokens_BM, encoded_BMD, motions: Sequence[FaceMotion]
) -> list[dict | None]:
  """The acts that are read in each motion; None of a run that reads none."""
  shares = reading.shares(face, tokens_BM, encoded_BMD)
  if shares is None:
    return [None] * len(tokens_BM)
  read = [act_reading.acts_read(shares_TR) for shares_TR in shares]
  for i, motion in enumerate(motions):
    read[i] = emotions.agreed(face, motion, shares[i], read[i])
    read[i] = counting.counted(read[i], motion_vector.from_motion(motion))
  return read


def about(
  face,
  motions: Sequence[FaceMotion],
  question: str | None,
  num_beams: int,
  subject: str,
  where: str = "motion",
) -> list[str]:
  """`sentences` for people: about this subject.

  Args:
    motions: each no longer than the run reads at once.
    where: what an error calls them.
  """
  motions = [at_rest.before_camera(motion) for motion in motions]
  codes = face.codec.encode(motions, where)
  texts = sentences(face, codes, question, num_beams, motions)
  if face.heard_simulation and not _answers(face, question):
    texts = [retelling.plain(text) for text in texts]
  return [subjects.addressed(text, subject) for text in texts]


def _answers(face, question: str | None) -> bool:
  """Whether it is a question that the run was trained to answer.

  A request for a caption, and any question to a run that was trained without
  questions, is an instruction of Motion2Language.
  """
  asked = question and not instructions.captions_asked_for(question)
  return bool(asked) and face.answers_questions
