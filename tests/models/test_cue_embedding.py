"""What a place of a motion is told of the acts that are on there."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_prep import acting, expressions, eyes
from tdmm_jax.language import acts, cues, lexicon, placing
from tdmm_jax.models import cue_embedding, t5

MODEL = t5.T5(
  *(90, 16, 2, 8, 24, 1, 2), motion_history=2, motion_offset=50, motion_cues=4
)
# channel, first, last, start, end, level, count, rise, side, tempo
ROW = np.float32([3, 0, 18, 5, 13, 1.2, 2, 1, -1, 1])


COURSE = jax.jit(cue_embedding.course)


def shown(row, places=20):
  values = cue_embedding.features(jnp.asarray(row)[None, None], jnp.arange(places))
  return np.asarray(values)[0, :, 0].T


def test_features_by_hand():
  on, way, speed, sine, cosine, soon, over, *stages = shown(ROW)
  assert np.flatnonzero(on).tolist() == list(range(5, 13))
  np.testing.assert_allclose(on[5:13], 1.2, rtol=1e-6)
  # Two cycles in eight places, each up for 3.36 of four.
  np.testing.assert_allclose(sine[5:9], [0, 1.2, 0, -1.2], atol=1e-5)
  np.testing.assert_allclose(cosine[5:9], [1.2, 0, -1.2, 0], atol=1e-5)
  np.testing.assert_allclose(way[5:9], [0, -1.2, -1.2, -0.301], atol=1e-3)
  assert speed[5] > 1 and abs(speed[6] - 1.2) < 0.1 and speed[8] < 0
  # 1.2 is a fifth of the way from the stage 1.1 to 1.6.
  np.testing.assert_allclose(np.array(stages)[:, 6], [0, 0, 0, 0, 0.8, 0.2], atol=1e-5)
  assert not np.array(stages)[:, [0, 4, 5, 13, 18]].any()
  assert soon[4] > soon[3] > soon[0] > 0 and not soon[5:].any()
  assert over[13] == np.float32(1.2) > over[14] > over[17] > 0
  assert not over[:13].any() and not over[18:].any()


@pytest.mark.parametrize("name", list(acts.KINDS))
@pytest.mark.parametrize("tempo", ["", "slow", "quick"])
def test_the_course_is_what_the_simulator_acts_out(name, tempo):
  kind = acts.KINDS[name]
  act = acts.Act(name, tempo=tempo, count=2 if kind.counted else 0)
  seconds = 6.0
  told = placing.placed(
    lexicon.attributes_of([act], seconds), seconds, np.random.default_rng(3)
  )
  (row,) = cues.of(told, [name])
  times_T = np.arange(150) / 25
  moved_TC, rng = np.zeros((150, len(expressions.CHANNELS))), np.random.default_rng(0)
  if name == "blink":
    moved = eyes.asked_blinks(times_T, acts.acts_of(told)[-1], rng)
  else:
    head_T3 = acting.add(moved_TC, told, times_T, rng)
    channels = np.concatenate([moved_TC, head_T3], 1)
    moved = channels[:, np.abs(channels).max(0).argmax()]
    if name == "double_take":  # brows take part in the second look alone
      moved = moved_TC[:, acting.YAW]
  each = jnp.asarray(row)[:, None]
  since = jnp.arange(1, 151) - row[cues.START]
  done, way, _ = COURSE(each, since)
  best = max(abs(np.corrcoef(moved, option)[0, 1]) for option in (done, way))
  assert best > 0.97
  if name in ("shake", "eye_roll"):  # to the side that the cue says
    yaw_T = head_T3[:, 1] + moved_TC[:, acting.GAZE_YAW]
    assert np.corrcoef(yaw_T, way)[0, 1] > 0.97


def test_a_place_of_a_motion_is_asked_for_kind_beats_and_tempo():
  wink = cues.channel("wink", "left")
  row = np.float32([wink, 2, 20, 4, 14, 0.6, 2, 1, 1, -1])
  on, asked = (
    np.asarray(values[0])
    for values in cue_embedding.on_at_places(
      jnp.asarray(row)[None, None], jnp.arange(22)
    )
  )
  of_kind = lambda what: on[:, cues.reading_of_kind("wink", what)]
  assert np.flatnonzero(on[:, wink]).tolist() == list(range(4, 14))
  assert np.flatnonzero(of_kind("slow")).tolist() == list(range(4, 14))
  assert np.flatnonzero(of_kind("slight")).tolist() == list(range(4, 14))
  beats = np.flatnonzero(of_kind("beat"))
  assert np.sum(np.diff(beats) > 1) == 1 and beats[0] >= 4  # two of them
  assert not of_kind("quick").any() and not of_kind("strong").any()
  # Channels are asked for all over the motion, the rest where the kind is on.
  assert np.flatnonzero(asked[:, 0]).tolist() == list(range(2, 20))
  slow = asked[:, cues.reading_of_kind("wink", "slow")]
  assert np.flatnonzero(slow).tolist() == list(range(4, 14))
  assert not asked[:, cues.reading_of_kind("nod", "slow")].any()


def test_outside_of_its_example_nothing_is_told():
  row = cues.packed(ROW[None], 3, 18)[0]
  values = shown(row)
  assert not values[:, :3].any() and not values[:, 18:].any()
  np.testing.assert_allclose(values[:, 3:18], shown(ROW)[:, :15], atol=1e-6)


def test_a_silent_cue_says_nothing():
  assert not shown(np.zeros(cues.CUE_FIELDS, np.float32)).any()


@pytest.fixture(scope="module")
def variables():
  one = jnp.ones((1, 4), jnp.int32)
  return MODEL.init(jax.random.key(0), one, one, one, one)


def test_a_step_hears_what_teacher_forcing_hears(variables):
  encoder = jnp.asarray([[5, 6, 7], [8, 9, 4]])
  tokens = jnp.asarray([[0, 60, 61, 62, 63, 64], [0, 71, 50, 52, 80, 66]])
  told = jnp.asarray([cues.padded(ROW[None] - [0, 0, 0, 3, 8, *[0] * 5], 4)] * 2)
  told = told.at[1].set(0.0)
  ones = lambda x: jnp.ones_like(x)
  forced = lambda **more: MODEL.apply(
    variables, encoder, tokens, ones(encoder), ones(tokens), **more
  )
  whole = forced(decoder_cues_BNF=told)
  np.testing.assert_allclose(whole[1], forced()[1], atol=1e-5)
  assert np.abs(whole[0] - forced()[0])[2:5].max(-1).min() > 1e-3
  encoded = MODEL.apply(variables, encoder, ones(encoder), method="encode")
  cache = MODEL.apply(variables, encoded, 6, told, method="init_cache")
  for place in range(6):
    step = (tokens[:, place], cache, ones(encoder))
    logits, cache = MODEL.apply(variables, *step, method="decode_step")
    np.testing.assert_allclose(logits, whole[:, place], atol=2e-5)
