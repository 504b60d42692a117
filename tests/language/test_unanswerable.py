import pytest

from tdmm_jax.language import instructions, question_wordings, unanswerable

UNANSWERABLE = (
  "What colour are her eyes?",
  "What is the color of his eyes?",
  "What's his eye color?",
  "Is she wearing glasses?",
  "Does he have a beard?",
  "How old is this person?",
  "What is her name?",
  "Who is this?",
  "Is it a man or a woman?",
  "Why is she sad?",
  "What is he saying?",
  "What does the man say?",
  "What is in the background?",
  "Is she lying?",
  "What does her voice sound like?",
  "What are they thinking?",
)


@pytest.mark.parametrize("question", UNANSWERABLE)
def test_what_no_motion_tells_is_said_so(question):
  assert unanswerable.answer(question) == unanswerable.ANSWER


def test_every_wording_that_a_run_is_trained_or_scored_with_goes_to_the_model():
  asked = [
    text
    for kind in question_wordings.QUESTION_KINDS
    for split in question_wordings.SPLITS
    for text in question_wordings.questions(kind, split)
  ]
  captions = [text for split in instructions._WORDINGS["m2l"] for text in split]
  assert len(asked) > 500
  assert [text for text in asked + captions if unanswerable.answer(text)] == []


@pytest.mark.parametrize(
  "question",
  [
    *(None, "", "Is he saying anything?", "Is the person singing?", "Is she angry?"),
    *("Does the head move?", "Which eye winks?", "How often does he blink?"),
    *("Which way does she look?", "Are the teeth clenched?", "Where does he look?"),
    *("Which expression is she wearing?", "What emotion does his face wear?"),
  ],
)
def test_what_a_motion_tells_is_asked_of_the_model(question):
  assert unanswerable.answer(question) is None
