"""What a user is told of a prompt: what was understood, and what is doubtful."""

import re

import pytest

from benchmarks import control
from tdmm_jax.errors import UserError
from tdmm_jax.language import acts as acts_lib
from tdmm_jax.language import lexicon, understanding


@pytest.mark.parametrize(
  "prompt, understood",
  [
    ("She smiles slightly", "She smiles slightly."),
    ("he nods two times, then winks with the left eye", "winks with his left eye."),
    ("He is not smiling", "smile"),
    ("turns her head to the left slowly", "to the left"),
  ],
)
def test_it_is_told_in_the_usual_words_and_reads_back(prompt, understood):
  text, warnings = understanding.understand(prompt)
  assert understood in text and not warnings
  said = lambda words: lexicon.comparable(lexicon.parse(words))
  assert said(text) == said(prompt)


@pytest.mark.parametrize(
  "prompt, why",
  [
    ("raises his third eye", "left and a right side"),
    ("smiles without smiling", "asked for and denied"),
    ("raises all four eyebrows", "a left and a right eyebrow"),
    ("eyes closed with wide open eyes", "cannot be at once"),
    ("turns her head left and right at the same time", "cannot be at once"),
    ("he talks silently", "'silent' and 'speaking' are both asked for"),
    ("she nods nine times", "'nine times' is read as 'eight times'"),
    ("he waves his hand", "only the face and the head move"),
    ("a woman smilling broadly", "'smilling' is not known; it is read as 'smiling'"),
    ("ok", "stays neutral"),
    ("Der Mann l\u00e4chelt", "prompts are English"),
    ("Le monsieur est content", "prompts are English"),
    ("blorfs krunk", "nearest known words"),
  ],
)
def test_what_is_doubtful_is_said_and_can_be_refused(prompt, why):
  assert any(why in line for line in understanding.understand(prompt).warnings)
  with pytest.raises(UserError, match=why):
    understanding.refuse_doubtful(prompt)


def test_a_count_that_does_not_fit_its_time_is_said():
  assert not understanding.understand("She nods four times.", 4.0).warnings
  text, warnings = understanding.understand("She nods ten times.", 1.0)
  assert text == "She nods twice." and "done 2 times" in warnings[0]
  text, warnings = understanding.understand("After 5 s she smiles.", 2.0)
  assert text == "She smiles at the end." and "comes last" in warnings[0]
  chain = "She smiles, then frowns, then laughs."
  assert not understanding.understand(chain, 4.0).warnings
  assert "do not fit into 0.4 s" in understanding.understand(chain, 0.4).warnings[0]


@pytest.mark.parametrize(
  "prompt",
  ["la mujer levanta las cejas y sonr\u00ede", "Hij is boos", "Die Frau ist traurig"],
)
def test_of_another_language_nothing_is_made_up(prompt):
  assert understanding.terms_of(prompt) == ""


def test_what_is_no_part_of_a_face_is_no_hint_at_an_emotion():
  for prompt in ("She waves her hand.", "He sticks his tongue out at her."):
    assert understanding.terms_of(prompt) == ""


@pytest.mark.parametrize(
  "prompt, text",
  [
    ("He talks while raising his eyebrows.", "He raises his eyebrows. He speaks."),
    ("she whispers", "She speaks softly."),
    ("She sings happily.", "She looks happy. She sings."),
    ("She winks with both eyes.", "She winks with both eyes."),
    ("Her smile fades.", "She smiles, then looks neutral."),
  ],
)
def test_voice_and_the_return_to_rest_are_told(prompt, text):
  assert understanding.understand(prompt) == (text, [])


@pytest.mark.parametrize(
  "prompt, terms",
  [
    ("She nods twice, then winks with her left eye.", "nod x2; wink left then"),
    ("He's grinning broadly without blinking", "happiness grinning strongly; no blink"),
    ("After two seconds she raises one eyebrow.", "brow raise one after 2"),
    ("He raises an eyebrow.", "brow raise one"),
    ("An eyebrow raise.", "brow raise"),
    ("With a raised eyebrow, she smiles.", "brow raise one; happiness smiling"),
    ("She looks up with her eyes only.", "gaze shift up"),
    ("She looks up with her eyes closed.", "look up; eyes closed"),
    ("He lowers his eyes.", "gaze shift down"),
    ("He lowers his eyebrows.", "brow furrow"),
    ("He speaks calmly and keeps his head still", "calm; still; speaking"),
    ("He just found out he won the lottery.", "happiness happy"),
  ],
)
def test_terms_have_one_word_for_each_thing_said(prompt, terms):
  assert understanding.terms_of(prompt) == terms


def test_terms_tell_apart_what_readings_tell_apart():
  """Over everything that the control sentences ask for."""
  said = {}
  for text, _ in control.written():
    key = repr(lexicon.comparable(lexicon.parse(text)))
    assert said.setdefault(understanding.terms_of(text), key) == key


def test_times_are_those_said_or_the_seeds():
  timed = lambda prompt, *seed: understanding.terms_of(prompt, 4.0, seed)
  assert timed("She nods twice.", 1) == timed("She nods twice.", 1)
  assert len({timed("She nods twice.", i) for i in range(8)}) > 2
  for seed in range(8):
    said = timed("After two seconds he opens his mouth.", seed)
    assert said.startswith("jaw drop after 2 <t10>")
    first, second = re.findall(r"<t(\d+)>", timed("He nods, then winks.", seed))[1:3]
    assert int(second) >= int(first) - 1
  assert timed("He looks sad.", 1) == "sadness sad"  # throughout


@pytest.mark.parametrize(
  "prompt, more",
  [
    ("She bites her lip.", False),
    ("He puffs out both cheeks.", False),
    ("She bites her lip before the verdict.", True),
  ],
)
def test_acts_alone_leave_nothing_to_guess_from(prompt, more):
  guess = understanding.Guess("pouting", 0.95, "pained")
  assert (understanding.guessed(prompt, 4.0, guess) is not None) == more


def test_several_quick_acts_are_placed_at_ease_where_they_fit():
  def span(prompt, seconds, at_ease):
    attributes = understanding.placed(prompt, seconds, (1,), at_ease=at_ease)
    (act,) = acts_lib.acts_of(attributes)
    return act.end_s - act.start_s, act.tempo

  length, tempo = span("She gives two quick nods.", 4.0, True)
  assert length > 1.1 and not tempo
  assert span("She gives two quick nods.", 4.0, False)[1] == "quick"
  assert span("She gives two quick nods.", 1.2, True)[1] == "quick"  # no time for more
