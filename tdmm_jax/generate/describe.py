"""Motion tokens to sentences, and to answers to questions."""

from collections.abc import Sequence

import jax
import numpy as np

from tdmm_jax.data import tasks
from tdmm_jax.decoding import beam, constraints, sample
from tdmm_jax.errors import UserError
from tdmm_jax.face import at_rest
from tdmm_jax.face.motion import FaceMotion
from tdmm_jax.generate import emotions, inputs
from tdmm_jax.language import instructions, lexicon, questions, subjects, unanswerable

MAX_BEAMS = 64


def sentences(
  face,
  codes: Sequence[np.ndarray],
  question: str | None,
  num_beams: int,
  begins: Sequence[int] = (),
) -> list[str]:
  """What a run says, motion by motion; see `Face.describe_codes`.

  Args:
    begins: piece ids that every sentence begins with.
  """
  if not 1 <= num_beams <= MAX_BEAMS:
    raise UserError(
      f"num_beams {num_beams}: out of range; give 1 (greedy) to {MAX_BEAMS}"
    )
  if refusal := unanswerable.answer(question):
    return [refusal] * len(codes)
  answers = _answers(face, question)
  ask, words = tasks.m2l_encoder, face.caption_words
  if answers:
    ask, words = tasks.qa_encoder, None
  encoders = [ask(face.vocab, c, question) for c in codes]
  longest = max(len(encoder) for encoder in encoders)
  texts = []
  for start in range(0, len(encoders), inputs.BATCH):
    group = encoders[start : start + inputs.BATCH]
    if len(encoders) > 1:
      group = group + group[-1:] * (inputs.BATCH - len(group))
    limits = constraints.text_only(
      face.vocab, len(group), face.config.max_caption_pieces, begins
    )
    given = (face.model, face.params, inputs.padded(group, longest), *limits)
    if num_beams == 1:
      shared = face.shared_params if len(group) > 1 else None
      key = jax.random.key(0)
      tokens = sample.decode(*given, key, shared_params=shared, words=words)
    else:
      tokens, _ = beam.decode(*given, words, num_beams=num_beams)
    texts += [face.vocab.decode_text(row) for row in np.asarray(tokens)]
  return texts[: len(codes)]


def about(
  face,
  motions: Sequence[FaceMotion],
  question: str | None,
  num_beams: int,
  subject: str,
  where: str = "motion",
) -> list[str]:
  """`sentences` for people: about this subject, and of one mind.

  What is asked about an emotion is answered from the caption, so that the two agree.

  Args:
    motions: each no longer than the run reads at once.
    where: what an error calls them.
  """
  motions = [at_rest.before_camera(motion) for motion in motions]
  codes = face.codec.encode(motions, where)
  answers = _answers(face, question)
  kind = questions.about_emotion(question) if answers else None
  texts = sentences(face, codes, None if kind else question, num_beams)
  if kind or not (answers or unanswerable.answer(question)):
    texts = [
      _agreed(face, *seen, num_beams)
      for seen in zip(motions, codes, texts, strict=True)
    ]
  if kind:
    texts = [questions.answer(kind, lexicon.parse(text)) for text in texts]
  return [subjects.addressed(text, subject) for text in texts]


def _agreed(face, motion, codes, text: str, num_beams: int) -> str:
  """The caption, or another one if it says no emotion that coders would see."""
  if not emotions.read_by_coders(face, motion):
    return text
  family = next(iter(emotions.probabilities(face, motion, codes)))
  if family in {segment["family"] for segment in lexicon.parse(text)["segments"]}:
    return text
  begins = face.vocab.encode_text(emotions.beginning(face, codes, family))
  begins = begins[: face.config.max_caption_pieces - 1]
  return sentences(face, [codes], None, num_beams, begins)[0]


def _answers(face, question: str | None) -> bool:
  """Whether it is a question that the run was trained to answer.

  A request for a caption, and any question to a run that was trained without
  questions, is an instruction of Motion2Language.
  """
  asked = question and not instructions.captions_asked_for(question)
  return bool(asked) and face.answers_questions
