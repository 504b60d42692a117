"""`describe` with a question: answered as one, where the run was trained with any."""

import dataclasses

import ml_collections
import numpy as np
import pytest

from tdmm_jax.data import tasks
from tdmm_jax.decoding import sample
from tdmm_jax.evaluation import motion_to_language
from tdmm_jax.face import motion as motion_lib
from tdmm_jax.generate import describe, face
from tdmm_jax.language import lexicon, question_wordings

CODES = np.arange(10, dtype=np.int32) % 2 * 12


@pytest.fixture
def asked(loaded_run, monkeypatch):
  """question -> the encoder tokens that decoding is given."""

  def ask(question, run=loaded_run):
    seen = []

    def decode(model, params, encoder, *rest, **known):
      seen.append(encoder)
      return np.ones((1, 4), np.int32)

    monkeypatch.setattr(sample, "decode", decode)
    run.describe_codes([CODES], question)
    return seen[0][0][seen[0][0] > 0]

  return ask


def test_a_question_is_asked_as_one(loaded_run, asked):
  question = "Is it raining?"  # of a kind that its words do not tell
  expected = tasks.qa_encoder(loaded_run.vocab, CODES, question)
  np.testing.assert_array_equal(asked(question), expected)


@pytest.mark.parametrize(
  "text", [None, "", "Describe the face.", "What is this face doing?"]
)
def test_what_asks_for_a_caption_gets_one(loaded_run, asked, text):
  expected = tasks.m2l_encoder(loaded_run.vocab, CODES, text)
  np.testing.assert_array_equal(asked(text), expected)


def test_answers_are_scored_by_kind(loaded_run, monkeypatch):
  said = {"head": "yes, nodding.", "blink": "no."}

  def describe(codes, question, motions):
    assert len(codes) == len(motions)
    kind = next(
      kind
      for kind in question_wordings.QUESTION_KINDS
      if question in question_wordings.questions(kind, "test")
    )
    return [said.get(kind, "happy.")] * len(codes)

  monkeypatch.setattr(loaded_run, "describe_codes", describe)
  texts = ["He nods.", "He nods.", "He nods, blinking repeatedly.", "She is sad."]
  clips = [
    {"vectors": np.zeros((8, 64), np.float32), "attributes": lexicon.parse(text)}
    for text in texts
  ]
  scores = motion_to_language.question_answering(
    loaded_run, clips, np.zeros((4, 8), np.int32), list("abcd"), "test"
  )
  assert scores["head_accuracy"] == scores["head_majority"] == 0.75
  assert scores["blink_accuracy"] == scores["blink_majority"] == 0.75
  assert scores["emotion_accuracy"] == 0 and scores["emotion_majority"] == 0.75
  assert scores["speaking_accuracy"] == 1.0


@pytest.mark.parametrize("why", ["rate 0", "a run of before there were questions"])
def test_a_run_without_questions_takes_them_as_instructions(loaded_run, asked, why):
  config = ml_collections.ConfigDict(loaded_run.config.to_dict())  # others share it
  vocab = loaded_run.vocab
  if why == "rate 0":
    config.task_rates.qa = 0.0
  else:
    del config.task_rates
    vocab = dataclasses.replace(vocab, tasks=("l2m", "m2l"))
  run = face.Face.assemble(
    config, loaded_run.codec, vocab, loaded_run.model, loaded_run.params
  )
  text = "Does the head move?"
  expected = tasks.m2l_encoder(vocab, CODES, text)
  np.testing.assert_array_equal(asked(text, run), expected)


def test_answers_agree_with_the_caption(loaded_run, monkeypatch):
  def written(face, codes, text, num_beams, motions, answers=False):
    return ["happy."] if answers else ["A man looks extremely sad, nodding twice."]

  monkeypatch.setattr(describe, "_written", written)
  motion = motion_lib.zeros(10, loaded_run.codec.face.name)
  say = lambda question: loaded_run.describe(motion, question)
  assert say(None) == "Someone looks extremely sad, nodding twice."
  assert say("How does she feel?") == "sad."
  assert say("How strong is the emotion?") == "extremely sad."
  assert say("Does the emotion change?") == "nothing, it stays extremely sad."
  assert say("Does the head move?") == "yes, nodding twice."
  assert say("How many times does she nod?") == "nodding twice."
  assert say("Is she talking?") == "staying silent."
  assert say("Is it raining?") == "happy."  # whatever the model says
  monkeypatch.setattr(tasks, "tells_acts", lambda config: False)
  assert say("Does the head move?") == "happy."  # a caption of acts that nobody read
