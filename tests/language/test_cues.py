"""Cues by hand: what the decoder is told of acts, and when."""

import numpy as np
import pytest

from tdmm_jax.language import acts, cues, lexicon, placing, understanding


def placed(*told, seconds=4.0):
  return lexicon.attributes_of(list(told), seconds) | {"placed": True}


def test_cues_by_hand():
  nod = acts.Act("nod", start_s=1.0, end_s=2.6, count=2, size=5)
  wink = acts.Act("wink", start_s=3.0, end_s=3.8, side="left", tempo="quick")
  rows = cues.of(placed(nod, wink))
  names = [cues.CHANNELS[int(row[cues.CHANNEL])] for row in rows]
  assert ("nod", "", False) in names and ("wink", "left", False) in names
  row = rows[names.index(("nod", "", False))]
  # Place 0 writes <som>: a second is 25 frames, and frame 25 is written at place 26.
  assert row[cues.FIRST] == 0 and row[cues.START] == 26 and row[cues.END] == 66
  assert row[cues.LEVEL] == pytest.approx(5 / 3) and row[cues.COUNT] == 2
  assert row[cues.RISE] == pytest.approx(0.36 * 0.8 * 25)
  quick = rows[names.index(("wink", "left", False))]
  assert quick[cues.RISE] == pytest.approx(0.125 * 25) and quick[cues.COUNT] == 0
  assert quick[cues.TEMPO] == quick[cues.SIDE] == 1 and not row[cues.TEMPO]
  # In a row it knows where its example begins and is over.
  (packed,) = cues.packed(row[None], 10, 113)
  assert packed[[cues.FIRST, cues.LAST, cues.START, cues.END]].tolist() == [
    *(10, 113, 36, 76)
  ]


def test_emotions_rise_as_the_tempo_says_and_what_lasts_has_no_end():
  told = placed(
    acts.Act("happy", True, 0.0, 2.0, tempo="slow"),
    acts.Act("sad", True, 2.0, 4.0, when="then"),
    acts.Act("jaw_drop", start_s=1.0, end_s=3.95, hold="held"),
  )
  rows = cues.of(told)
  assert rows[0, cues.RISE] == pytest.approx(0.45 * 2 * 25)
  assert rows[0, cues.END] == 51 and (rows[1:, cues.END] > 1000).all()


def test_a_window_that_begins_later_has_its_cues_earlier():
  told = placed(acts.Act("nod", start_s=1.0, end_s=2.6, count=2))
  (whole,), (later,) = (cues.of(told, ["nod"], first_frame=first) for first in (0, 30))
  np.testing.assert_allclose(whole - later, [0, 0, 0, 30, 30, *[0] * 5])


def test_what_is_absent_has_a_channel_of_its_own_and_no_count():
  told = placed(acts.Act("blink", absent=True), acts.Act("smiling", True, absent=True))
  rows = cues.of(told)
  names = [cues.CHANNELS[int(row[cues.CHANNEL])] for row in rows]
  assert ("blink", "", True) in names and ("happiness", "", True) in names
  assert not rows[:, cues.COUNT].any()


def test_what_is_denied_is_guided_away_from_as_its_opposite():
  nod = acts.Act("nod", start_s=1.0, end_s=2.6)
  absent = [acts.Act("brow_raise", absent=True), acts.Act("smiling", True, absent=True)]
  rows = cues.unguided(cues.of(placed(nod, *absent, acts.Act("blink", absent=True))))
  names = {cues.CHANNELS[int(row[cues.CHANNEL])] for row in rows}
  assert names == {
    *(("brow_raise", "", False), ("happiness", "", False), ("blink", "", True))
  }
  assert not len(cues.unguided(cues.of(placed(nod))))


@pytest.mark.parametrize(
  ("prompt", "which"),
  [
    ("She winks.", {"left", "right"}),
    ("He raises one eyebrow.", {"left", "right"}),
    ("He raises his eyebrows.", {"", "both"}),
    ("She tilts her head.", {"left", "right"}),
    ("She winks with her left eye.", {"left"}),
    ("He leans.", {"forward"}),
  ],
)
def test_a_side_that_is_not_said_is_chosen_where_there_must_be_one(prompt, which):
  found = set()
  for seed in range(40):
    (act,) = acts.acts_of(understanding.placed(prompt, 4.0, (seed,)))
    found.add(act.side or act.direction)
  assert found <= which and found & {"left", "right"} == which & {"left", "right"}


def test_every_act_that_can_be_said_has_a_channel():
  for name, kind in acts.KINDS.items():
    for which in ("", *(acts.SIDES if kind.sided else kind.directions)):
      how = {"side" if kind.sided else "direction": which}
      act = acts.Act(name, start_s=0.5, end_s=2.0, **how)
      (row,) = cues.of(placed(act), [name])
      assert cues.CHANNELS[int(row[cues.CHANNEL])] == (name, which, False)
      assert row[cues.SIDE] == {"left": 1, "right": -1}[placing.lateral(act)]
  assert len(set(cues.CHANNELS)) == len(cues.CHANNELS)


def test_padding_is_silent_and_too_many_are_refused():
  rows = cues.of(placed(acts.Act("nod", start_s=1.0, end_s=2.6)), ["nod"])
  assert not cues.padded(rows, 3)[1:].any()
  with pytest.raises(ValueError, match="1 cues, there is room for 0"):
    cues.padded(rows, 0)
