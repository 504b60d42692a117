"""Acts that are read off a motion, place by place."""

import jax.numpy as jnp
import numpy as np
import pytest

from tdmm_jax.language import act_reading, acts, cues, lexicon, placing, wording
from tdmm_jax.models import cue_embedding

FRAMES = 150


def placed(text, seed=0):
  attributes = lexicon.parse(text, FRAMES / 25)
  return placing.placed(attributes, FRAMES / 25, np.random.default_rng(seed))


def terms(attributes):
  return wording.terms(attributes, labels=False)


def spans(attributes):
  return [(act.start_s, act.end_s) for act in acts.acts_of(attributes)]


def read_back(attributes):
  rows = cues.packed(cues.of(attributes), 0, FRAMES + 3)
  on, asked = cue_embedding.on_at_places(
    jnp.asarray(cues.padded(rows, 16))[None], jnp.arange(FRAMES + 3)
  )
  return act_reading.acts_read(np.asarray(on * asked)[0, 1 : FRAMES + 1])


@pytest.mark.parametrize(
  "text",
  [
    "She nods twice, then winks with her left eye.",
    "He turns his head slowly to the right and raises his left eyebrow slightly.",
    "She shakes her head three times while speaking softly.",
    "He looks sad, then angry, and glances up strongly.",
    "She blinks four times. She sings.",
    "A man keeps a neutral face.",
    "She glances to the left, then glances to the right.",
    "He raises his eyebrows three times.",
  ],
)
def test_what_is_fully_read_is_what_was_visible(text):
  attributes = placed(text)
  read, visible = read_back(attributes), act_reading.visible(attributes)
  assert terms(read) == terms(visible)
  np.testing.assert_allclose(spans(read), spans(visible), atol=0.13)


def test_what_cannot_be_seen_is_not_told():
  attributes = placed("She smiles broadly without blinking, keeping her head still.")
  (act,) = acts.acts_of(act_reading.visible(attributes))
  assert act.emotion and act.size == acts.USUAL_SIZE
  assert terms(act_reading.visible(attributes)) == "happiness"


def test_mistakes_are_seldom_and_of_every_kind():
  attributes = act_reading.visible(placed("He looks sad. He nods twice."))
  said = lambda row: [(a.name, a.count, a.side) for a in acts.acts_of(row)]
  rng = np.random.default_rng(0)
  drawn = [said(act_reading.misread(attributes, rng)) for _ in range(600)]
  right = np.mean([row == said(attributes) for row in drawn])
  assert 0.7 < right < 0.9
  dropped = np.mean(["nod" not in [name for name, *_ in row] for row in drawn])
  added = np.mean([len(row) > 2 for row in drawn])
  assert 0.02 < dropped < 0.12 and 0.02 < added < 0.12
  assert any(count == 3 for row in drawn for name, count, _ in row if name == "nod")


def test_nothing_read_is_a_silent_neutral_face():
  read = act_reading.acts_read(np.zeros((20, cues.READINGS)))
  assert len(acts.acts_of(read)) == 1 and read["speaking"] == "silent"


def test_of_two_acts_of_one_part_at_a_time_the_likelier_is_told():
  shares = np.zeros((50, cues.READINGS))
  shares[10:30, cues.channel("nod")] = 0.9
  shares[12:28, cues.channel("dip")] = 0.6
  shares[12:28, cues.channel("eyes_closed", "left")] = 0.6
  read = [act.name for act in acts.acts_of(act_reading.acts_read(shares))]
  assert read[1:] == ["nod", "eyes_closed"]
