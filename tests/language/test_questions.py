"""The lexicon reads an answer back as what the attributes say."""

import numpy as np
import pytest

from data_prep import attribute_sampling
from tdmm_jax.language import lexicon, question_wordings, questions

# kind -> what an answer to it must say of the attributes
SAID = {
  "emotion": lambda a: (a["emotion"], a["family"]),
  "intensity": lambda a: (a["emotion"], a["intensity"]),
  "head": lambda a: a["head_motion"],
  "blink": lambda a: "blink" in a["micro_actions"],
  "speaking": lambda a: a["speaking"],
  "micro_actions": lambda a: a["micro_actions"],
  "changes": lambda a: (
    lexicon.structure(a),
    [(s["emotion"], s["intensity"]) for s in a["segments"]],
  ),
  **{
    kind: lambda a, kind=kind: questions.asked_for(kind, a)
    for kind in ("count", "side", "nods")
  },
}


@pytest.fixture(scope="module")
def attributes():
  rng = np.random.default_rng(0)
  labels = [*lexicon.LABELS] * 3
  return [attribute_sampling.sample_attributes(label, 4.0, rng) for label in labels]


@pytest.mark.parametrize("kind", question_wordings.QUESTION_KINDS)
def test_an_answer_says_what_was_asked_for(kind, attributes):
  said = SAID[kind]
  for truth in attributes:
    answer = questions.answer(kind, truth)
    assert said(lexicon.parse(answer)) == said(truth), answer
    assert answer[0].islower() and answer.endswith(".")
  assert len({str(said(truth)) for truth in attributes}) > 1


@pytest.mark.parametrize("kind", question_wordings.QUESTION_KINDS)
def test_an_answer_says_nothing_else(kind, attributes):
  """But "intensity" and "changes", which cannot do without naming the emotion."""
  free = {"emotion": ["emotion"], "intensity": ["emotion"], "changes": ["emotion"]}
  free |= {kind: ["head_motion", "micro_actions"] for kind in ("count", "side")}
  free["nods"] = ["head_motion"]
  default = lexicon.parse("")
  for truth in attributes:
    heard = lexicon.parse(questions.answer(kind, truth))
    own = {"head": "head_motion", "blink": "micro_actions"}.get(kind, kind)
    for field in ("emotion", "head_motion", "micro_actions", "speaking"):
      if field not in (own, *free.get(kind, ())):
        assert heard[field] == default[field]


def test_answers_by_hand():
  two = lexicon.make_attributes(
    [("sad", 2, 0, 2.5), ("happy", 5, 2.5, 4)], ["blink", "squint"], ["nod"], "singing"
  )
  one = lexicon.make_attributes([("neutral", 3, 0, 4)])
  both = lexicon.make_attributes([("angry", 4, 0, 4), ("afraid", 1, 0, 4)])
  exact = lexicon.parse(
    "He nods twice, winks with his left eye and slowly turns his head to the right, "
    "without blinking."
  )
  for kind, attributes, text in (
    ("emotion", two, "sad."),
    ("intensity", two, "slightly sad."),
    ("intensity", one, "neutral."),
    ("head", two, "yes, nodding."),
    ("head", one, "no, keeping the head still."),
    ("blink", two, "yes, blinking repeatedly."),
    ("blink", one, "no."),
    ("speaking", two, "yes, singing."),
    ("speaking", one, "staying silent."),
    ("micro_actions", two, "blinking repeatedly and narrowing the eyes."),
    ("micro_actions", one, "none."),
    ("changes", two, "first slightly sad, then extremely happy."),
    ("changes", one, "nothing, it stays neutral."),
    ("count", exact, "nodding twice."),
    ("nods", exact, "nodding twice."),
    ("nods", one, "none."),
    (
      "side",
      exact,
      "winking with the left eye and turning the head to the right slowly.",
    ),
    ("head", exact, "yes, nodding twice and turning the head to the right slowly."),
    ("changes", both, "nothing, it stays very angry and barely scared."),
  ):
    assert questions.answer(kind, attributes) == text


def test_what_is_asked_for_tells_right_from_wrong(attributes):
  for kind in question_wordings.QUESTION_KINDS:
    wanted = [questions.asked_for(kind, truth) for truth in attributes]
    answers = [questions.answer(kind, truth) for truth in attributes]
    heard = [questions.asked_for(kind, lexicon.parse(answer)) for answer in answers]
    assert heard == wanted
    half = len(wanted) // 2  # neighbours are of one family
    assert sum(a == b for a, b in zip(heard[half:], wanted)) < 0.97 * half


def test_an_unknown_kind_is_refused():
  with pytest.raises(ValueError, match="'age'; choose one of"):
    questions.answer("age", lexicon.parse(""))


@pytest.mark.parametrize("split", question_wordings.SPLITS)
def test_words_tell_the_kind_of_a_question(split):
  for kind in question_wordings.QUESTION_KINDS:
    asked = question_wordings.questions(kind, split)
    right = [questions.kind_of(text) == kind for text in asked]
    if (kind, split) != ("changes", "valid"):  # "What is different at the end?"
      assert all(right), [text for text in asked if questions.kind_of(text) != kind]


@pytest.mark.parametrize(
  "text, kind",
  [
    ("Which eye does he wink with?", "side"),
    ("How many nods?", "nods"),
    ("Is she happy?", "emotion"),
    ("How happy is she, a little or very?", "intensity"),
    ("Does this person sing?", "speaking"),
    ("What is done more than once?", "count"),
    ("What is the colour of the wall?", None),
    ("", None),
    (None, None),
  ],
)
def test_the_kind_of_a_question_in_own_words(text, kind):
  assert questions.kind_of(text) == kind
