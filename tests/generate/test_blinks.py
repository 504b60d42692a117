"""Blinks: lids close in motions longer than 4 s whose prompt says nothing of eyes."""

import json
import pathlib

import numpy as np
import pytest

from tdmm_jax.face import (
  action_units,
  face_model,
  head_file,
  load_model,
  motion,
  motion_vector,
)
from tdmm_jax.generate import blinks
from tdmm_jax.generate.windows import Span

_SENTENCES = pathlib.Path(__file__).parents[2] / "benchmarks" / "exact_words.jsonl"
_LIDS = ((159, 145), (386, 374))  # mediapipe's, upper above lower
FRAMES = 101  # the first length above 4 s


def still(num_frames=FRAMES, **activations):
  clip = motion.zeros(num_frames)
  acted = np.zeros(len(action_units.ACTION_UNITS))
  for name, value in activations.items():
    acted[action_units.ACTION_UNITS.index(name)] = value
  row = action_units.activations_to_expression(acted)
  return clip.replace(expression=np.repeat(row[None], num_frames, 0))


def span(prompt="She smiles.", start=0, stop=FRAMES):
  return [Span(start, stop, stop, prompt)]


def gaps_mm(clip):
  head = load_model.default_head()
  rows = {number: row for row, number in enumerate(head.landmark_ids)}
  vertices = face_model.motion_vertices(head, clip, head_fixed=True, identity=False)
  points = np.asarray(face_model.landmarks(head, vertices))[..., 1] * 1e3
  return np.stack([points[:, rows[a]] - points[:, rows[b]] for a, b in _LIDS], 1)


def test_every_prompt_that_does_not_speak_of_the_eyes_blinks():
  texts = [json.loads(line)["text"] for line in _SENTENCES.read_text().splitlines()]
  texts = [text for text in texts if not blinks.speaks_of_eyes(text)][:50]
  assert len(texts) == 50
  onsets = []
  for number, text in enumerate(texts):
    made = blinks.added(still(), span(text), (3, number))
    closed = np.flatnonzero((made.eyelids == 1.0).all(axis=1))
    assert len(closed) and made.eyelids[-1].max() < 0.2
    assert made.eyelids[: closed[0] - 1].max() == 0.0
    onsets.append(closed[0])
  assert len(set(onsets)) > 20  # not all faces at once


@pytest.mark.parametrize(
  "prompt",
  [
    *("He stares ahead.", "She closes her eyes.", "He blinks twice.", "A wink."),
    *("Her eyelids droop.", "He gazes out.", "Unblinking, she smiles.", "He squints."),
  ],
)
def test_eyes_that_are_spoken_of_are_left_alone(prompt):
  made = blinks.added(still(500), span(prompt, stop=500), (0, 0))
  assert not made.eyelids.any()


def test_eyebrows_are_no_eyes():
  assert not blinks.speaks_of_eyes("She raises her eyebrows, a lidless start.")


def test_wide_eyes_close_fully_and_nothing_else_moves():
  wide = still(upper_lid_raiser_l=1.0, upper_lid_raiser_r=0.8, jaw_thrust=0.5)
  assert gaps_mm(wide.replace(eyelids=np.ones((FRAMES, 2), np.float32))).max() > 1.5
  made = blinks.added(wide, span(), (0, 1))
  closed = (made.eyelids == 1.0).all(axis=1)
  assert closed.any() and gaps_mm(made)[closed].max() < 0.2
  at_rest = made.eyelids.max(axis=1) == 0
  np.testing.assert_array_equal(made.expression[at_rest], wide.expression[at_rest])
  matrix = np.linalg.pinv(
    action_units.activations_to_expression(np.eye(len(action_units.ACTION_UNITS)))
  )
  activations = made.expression @ matrix
  thrust = activations[:, action_units.ACTION_UNITS.index("jaw_thrust")]
  np.testing.assert_allclose(thrust, 0.5, atol=1e-3)


def test_a_blink_that_is_begun_is_carried_through_on_its_side():
  lids = np.zeros((20, 2), np.float32)
  lids[8:12, 0] = 0.3, 0.5, 0.4, 0.1
  half = still(20).replace(eyelids=lids)
  made = blinks.added(half, span(stop=20), (0, 0))
  assert made.eyelids[:, 0].max() == 1.0 and not made.eyelids[:, 1].any()
  np.testing.assert_array_equal(
    blinks.added(half, span("A wink.", stop=20), (0, 0)).eyelids, lids
  )


def test_only_the_spans_blink_and_no_blink_is_cut_off():
  spans = [*span("He stares.", 0, 200), *span("He smiles.", 200, 330)]
  made = blinks.added(still(400), spans, (0, 2))
  moved = np.flatnonzero(made.eyelids.any(axis=1))
  assert 200 <= moved[0] < 210 and moved[-1] < 330
  assert made.eyelids[moved[-1]].max() == pytest.approx(blinks.CLOSURE[-1])


def test_pieces_give_the_same_blinks():
  vectors = motion_vector.from_motion(still(300, upper_lid_raiser_l=0.4))
  spans = span(stop=300)
  whole = np.concatenate([*blinks.follow([vectors], spans, head_file.DEFAULT, (7, 0))])
  cut = np.split(vectors, [1, 5, 80, 82, 200])
  pieces = np.concatenate([*blinks.follow(cut, spans, head_file.DEFAULT, (7, 0))])
  np.testing.assert_array_equal(pieces, whole)
  assert (whole != vectors).any(axis=1).sum() >= 3 * len(blinks.CLOSURE) - 2
  clip = blinks.added(still(300, upper_lid_raiser_l=0.4), spans, (7, 0))
  np.testing.assert_array_equal(motion_vector.from_motion(clip), whole)
