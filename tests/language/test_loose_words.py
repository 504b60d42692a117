"""What people write of acts in words that the lexicon lacks."""

import pytest

from benchmarks import control
from tdmm_jax.language import lexicon, loose_words, understanding


@pytest.mark.parametrize(
  "prompt, terms",
  [
    ("She looks to the viewer's left.", "gaze shift right"),
    ("She turns to camera left.", "turn right"),
    ("stage left: she glances to stage left", "gaze shift left"),
    ("She looks left and right.", "gaze shift left; gaze shift right then"),
    (
      "eyes dart left, right, left",
      "gaze shift left; gaze shift right then; gaze shift left then",
    ),
    ("She winks left, then right.", "wink left; wink right then"),
    (
      "raises her left eyebrow, then her right one",
      "brow raise left; brow raise right then",
    ),
    ("nods 2x", "nod x2"),
    ("She nods zero times.", "no nod"),
    ("He blinks a dozen times.", "blink x10"),
    ("two seconds in, she gasps", "surprise gasping after 2"),
    ("He stops crying and laughs.", "sadness crying; happiness laughing then"),
    ("He can't stop smiling.", "happiness smiling"),
    ("Her smile fades into a frown.", "happiness smiling; sadness frowning then"),
    ("She shakes her head no and looks hurt.", "shake; pain pained"),
    ("She moves the head up and down.", "nod"),
    ("She frowns angrily.", "anger angry; brow furrow"),
    ("She is trying not to laugh.", "happiness amused; lip press"),
    ("He is trying very hard not to laugh.", "happiness amused; lip press"),
    ("She bites back a smile.", "happiness amused; lip press"),
    ("He can barely contain his laughter.", "happiness amused; lip press"),
    ("eyes slowly close", "eyes closed slow"),
    ("blinking with eye left for three times", "wink x3 left"),
    ("smile but only little bit", "happiness smiling slightly"),
    ("His jaw fell.", "surprise surprised; jaw drop"),
    ("right brow lifted", "brow raise right"),
    ("chin up", "pride proud; look up"),
    ("She looks over to her right, surprised.", "turn right; surprise surprised"),
    (
      "They grin, then look away to the left.",
      "happiness grinning; gaze shift left then",
    ),
  ],
)
def test_they_are_read_as_its_own(prompt, terms):
  assert understanding.terms_of(prompt) == terms


def test_what_is_asked_for_and_read_by_the_lexicon_itself_is_still_read():
  names = lambda text: {act["name"] for act in lexicon.parse(text)["acts"]}
  for text, acts in control.written():
    asked = {act.name for act in acts}
    assert names(text) & asked <= names(loose_words.plain(text))


@pytest.mark.parametrize(
  "text, english",
  [
    ("The exam results are in and he failed.", True),
    ("gobsmacked", True),
    ("he make laugh but is not relax", True),
    ("Une femme sourit doucement", False),
    ("O homem est\u00e1 triste", False),
    ("Wanita itu tersenyum", False),
  ],
)
def test_other_languages_are_told_from_english(text, english):
  assert loose_words.is_english(text) == english
