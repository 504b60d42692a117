"""New frames that know what comes after them; motions that are joined by some."""

import copy

import ml_collections
import numpy as np
import pytest
import tiny
from scipy.spatial.transform import Rotation

from tdmm_jax import vocab as vocab_lib
from tdmm_jax.data import tasks
from tdmm_jax.decoding import constraints, streaming
from tdmm_jax.errors import UserError
from tdmm_jax.face import motion as motion_lib
from tdmm_jax.generate import editing, inputs, windows

LEAST, MOST = tasks.ENDING


@pytest.fixture
def leading(loaded_run):
  """The run, as if it had been taught to lead into what comes after."""
  face = copy.copy(loaded_run)
  face.config = ml_collections.ConfigDict(loaded_run.config.to_dict())
  face.config.told_ending = 0.15
  return face


@pytest.fixture
def asked(monkeypatch):
  """The encoder tokens that the language model is given, a call each."""
  calls = []

  def token_stream(model, params, encoder, low, high, keys, sampling, stops, told):
    calls.append(encoder)
    return real(model, params, encoder, low, high, keys, sampling, stops, told)

  real = streaming.token_stream
  monkeypatch.setattr(streaming, "token_stream", token_stream)
  return calls


def told(face, encoder_row) -> list[int]:
  """The codes of the ending that encoder tokens tell."""
  row = encoder_row[encoder_row > 0].tolist()
  assert row[-1] == vocab_lib.EOS_ID
  sentinel = face.vocab.extra_id(0)
  if sentinel not in row:
    return []
  shown = row[row.index(sentinel) + 1 : -1]
  return face.vocab.ids_to_motion(shown).tolist()


def wave(num_frames, seed=0, **changes):
  rng = np.random.default_rng(seed)
  make = lambda width, size: (
    np.sin(np.linspace(0, 9, num_frames)[:, None] + rng.normal(size=width)) * size
  ).astype(np.float32)
  motion = motion_lib.zeros(num_frames, num_shape=10)
  return motion.replace(
    expression=make(motion.num_expression, 1.0),
    jaw_pose=make(3, 0.1),
    head_pose=make(3, 0.3),
    neck_pose=make(3, 0.2),
    eyelids=np.abs(make(2, 0.5)),
    eye_pose=make(6, 0.1),
    translation=make(3, 0.05),
    shape=rng.normal(size=10).astype(np.float32),
    **changes,
  )


# The run sees 40 frames at once, of which ten or more are those before the edit.
@pytest.mark.parametrize("stop, shown", [(30, 22), (50, 10), (57, 0), (60, 0)])
def test_an_edit_is_told_the_frames_after_it(leading, asked, stop, shown):
  motion = wave(60)
  leading.edit(motion, "She smiles.", 22, stop, guidance=2.0)
  codes = leading.codec.encode([motion])[0]
  encoder = asked[-1]
  assert len(encoder) == 2
  # Guidance leads away from no words, not from no ending.
  for row in encoder:
    assert told(leading, row) == codes[stop : stop + shown].tolist()


def test_a_run_that_was_not_taught_to_is_told_nothing(loaded_run, asked):
  assert not loaded_run.knows_endings
  loaded_run.edit(wave(60), "She smiles.", 22, 30)
  assert [told(loaded_run, row) for row in asked[-1]] == [[], []]


def test_a_long_edit_is_told_its_ending_in_the_last_window(leading, asked):
  most = leading.config.max_frames
  motion = wave(4 * most)
  edited = leading.edit(motion, "She smiles.", 20, 20 + 2 * most)
  codes = leading.codec.encode([motion])[0]
  endings = [told(leading, encoder[0]) for encoder in asked]
  assert len(endings) > 2 and not any(endings[:-1])
  last = endings[-1]
  assert len(last) >= LEAST
  assert last == codes[20 + 2 * most :][: len(last)].tolist()
  np.testing.assert_array_equal(edited.expression[:20], motion.expression[:20])


@pytest.mark.parametrize("length", [1, 30, 60, 80, 100, 111, 112, 113, 126, 150, 400])
def test_the_ending_finds_room_in_a_releases_window(length):
  span = windows.between(200, 200 + length, 700, "p", knows_endings=True)
  planned = windows.plan([span], 150, 4)
  assert planned[-1].end == span.end == 200 + length + MOST
  assert planned[-1].stop == span.stop
  assert all(w.end - w.start <= 150 and w.free < w.stop for w in planned)


def test_known_codes_at_the_end_are_an_ending():
  free, known = windows.free(9), np.arange(40, dtype=np.int32)
  found = lambda *parts: inputs.ending(np.concatenate(parts)).tolist()
  assert found(known[:5], free, known[:MOST]) == known[:MOST].tolist()
  assert found(known[:5], free, known) == known[-MOST:].tolist()
  assert found(known[:5], free, known[: LEAST - 1]) == []
  assert found(known) == found(known, free) == []
  assert constraints.FREE not in known


def test_two_motions_are_copied_and_joined(leading, asked):
  first = wave(21, seed=1)
  second = wave(33, seed=2)
  whole = leading.inbetween(first, second, 0.56, "He frowns.", seed=3)
  assert whole.num_frames == 21 + 14 + 33
  for name in (*motion_lib.TRACKS, "valid"):
    track = getattr(whole, name)
    np.testing.assert_array_equal(track[:21], getattr(first, name), err_msg=name)
    np.testing.assert_array_equal(track[35:], getattr(second, name), err_msg=name)
    assert np.isfinite(track[21:35]).all()
  np.testing.assert_array_equal(whole.shape, first.shape)
  # The second motion's codes are those at its place in the whole, of their own phase.
  ending = np.array(told(leading, asked[-1][0]))
  assert LEAST <= len(ending) <= MOST
  codec = leading.codec
  phases = (35 + np.arange(len(ending))) % codec.num_phases
  np.testing.assert_array_equal(ending // (codec.num_codes // codec.num_phases), phases)
  alone = codec.encode([second])[0]
  assert ending.tolist() != alone[: len(ending)].tolist()


def test_a_run_that_knows_no_endings_joins_motions_too(loaded_run, tiny_run):
  motion = tiny.first_motion(tiny_run)
  whole = loaded_run.inbetween(motion, motion, 0.4, "He frowns.")
  assert whole.num_frames == 2 * motion.num_frames + 10


def test_a_bridge_goes_straight_from_one_motion_to_the_other():
  camera = np.ones((4, 3), np.float32)
  first = wave(4, seed=1, camera=camera, valid=np.zeros(4, bool))
  second = wave(5, seed=2)
  bridged = editing.bridge(first, second, 3)
  assert bridged.num_frames == 12 and bridged.camera is None and bridged.fps == 25
  for name in ("expression", "eyelids", "translation"):
    steps = np.diff(getattr(bridged, name)[3:8], axis=0)
    np.testing.assert_allclose(steps, np.broadcast_to(steps[0], steps.shape), atol=1e-6)
  turns = Rotation.from_rotvec(bridged.head_pose[3:8])
  angles = (turns[1:] * turns[:-1].inv()).magnitude()
  np.testing.assert_allclose(angles, angles[0], rtol=1e-4)
  assert not bridged.valid[:4].any() and bridged.valid[4:].all()
  both = editing.bridge(first, first, 1)
  np.testing.assert_array_equal(both.camera, np.ones((9, 3)))


@pytest.mark.parametrize("wrong, name", [(0, "a.npz"), (1, "b.npz")])
def test_motions_of_another_face_model_are_named(loaded_run, wrong, name):
  motions = [wave(10), wave(10)]
  motions[wrong] = motions[wrong].replace(face_model="flame2020")
  with pytest.raises(UserError, match=f"^{name}: .*'flame2020'"):
    loaded_run.inbetween(*motions, 1.0, "He frowns.", where=("a.npz", "b.npz"))
