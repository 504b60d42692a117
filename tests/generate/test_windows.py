"""Motions of any length: windows, streams, timelines, edits, continuations."""

import itertools

import numpy as np
import pytest
import tiny

from tdmm_jax.decoding import sample, streaming
from tdmm_jax.errors import UserError
from tdmm_jax.face import motion as motion_lib
from tdmm_jax.generate import joins
from tdmm_jax.generate import windows as long_motion
from tdmm_jax.language import timeline

COPIED = ("expression", "jaw_pose", "neck_pose", "head_pose", "eyelids", "eye_pose")
LINE = "0-1: a slight smile; 1-2.4: surprise, nodding; 2.4-4: a frown"


def spans_from(*cuts):
  return [long_motion.Span(a, b, b, "p") for a, b in itertools.pairwise(cuts)]


@pytest.mark.parametrize("max_frames, phases", [(128, 8), (40, 2), (250, 8)])
@pytest.mark.parametrize(
  "spans",
  [
    spans_from(0, 128),
    spans_from(0, 1500),
    spans_from(0, 75, 175),
    spans_from(0, 3, 7, 400, 401),
    [long_motion.Span(40, 80, 100, "edit")],
    [long_motion.Span(333, 800, 900, "edit")],
    [long_motion.Span(40, 80, 100, "edit", leads=True)],
    [long_motion.Span(333, 800, 824, "edit", leads=True)],
  ],
)
def test_windows_draw_each_frame_once_with_something_before_it(
  spans, max_frames, phases
):
  windows = long_motion.plan(spans, max_frames, phases)
  drawn = [t for w in windows for t in range(w.free, w.stop)]
  assert drawn == [t for span in spans for t in range(span.start, span.stop)]
  for w in windows:
    assert w.start % phases == 0 and 0 <= w.start <= w.free < w.stop <= w.end
    assert w.end - w.start <= max_frames
    assert w.free - w.start >= min(w.free, max_frames // 8 - phases + 1)
  if spans == spans_from(0, 75, 175) and max_frames == 128:
    assert len(windows) == 2  # a segment that fits is made in one go


def joined(motions):
  return {name: np.concatenate([getattr(m, name) for m in motions]) for name in COPIED}


def assert_same(motion, tracks):
  for name in COPIED:
    np.testing.assert_allclose(
      getattr(motion, name), tracks[name], atol=2e-5, err_msg=name
    )


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_a_stream_is_the_batch_result_and_comes_early(
  loaded_run, monkeypatch, guidance
):
  made = []

  def advance(*arguments, **options):
    made.append(arguments[7])  # the position that the loop stops at
    return real(*arguments, **options)

  real = sample.advance
  monkeypatch.setattr(sample, "advance", advance)
  stream = loaded_run.stream("She smiles.", 1.6, seed=3, guidance=guidance)
  first = next(stream)
  reach = loaded_run.codec.reach
  assert first.num_frames >= 1 and made[-1] <= 1 + reach + long_motion.PIECE < 40
  parts = [first, *stream]
  assert [p.num_frames for p in parts] == [long_motion.PIECE] * 8
  batch = loaded_run.generate("She smiles.", 1.6, seed=3, guidance=guidance)
  assert_same(batch, joined(parts))


def test_a_decoded_frame_depends_on_no_more_than_the_reach(loaded_run):
  codec = loaded_run.codec
  rng = np.random.default_rng(0)
  codes = np.arange(60) % 2 * 12 + rng.integers(0, 12, 60)
  other = codes.copy()
  other[30] = 12 * (30 % 2) + (codes[30] + 5) % 12
  a, b = codec.decode_vectors([codes, other])
  (changed,) = np.nonzero(np.abs(a - b).max(-1) > 1e-7)
  assert changed.min() >= 30 - codec.reach and changed.max() <= 30 + codec.reach
  assert len(changed) > codec.reach
  for size in (1, 7, 60):
    pieces = np.split(codes, range(size, 60, size))
    frames = list(streaming.frame_stream(codec, pieces, 4))
    np.testing.assert_allclose(np.concatenate(frames), a, atol=2e-6)


def test_a_motion_longer_than_a_window(loaded_run):
  (codes,) = loaded_run.generate_codes(["He frowns."], [6.0], seed=1)
  assert codes.shape == (150,)
  np.testing.assert_array_equal(codes // 12, np.arange(150) % 2)  # the phases
  again = loaded_run.generate_codes(["She nods.", "He frowns."], [0.4, 6.0], seed=1)
  assert [len(c) for c in again] == [10, 150]
  parts = list(loaded_run.stream("He frowns.", 6.0, seed=1))
  spans = [long_motion.Span(0, 150, 150, "He frowns.")]
  assert_same(loaded_run.decode(codes, spans, seed=1), joined(parts))


def test_a_timeline_is_one_motion_and_streams(loaded_run):
  motion = loaded_run.timeline(LINE, seed=2)
  assert motion.num_frames == 100 and np.isfinite(motion.expression).all()
  assert_same(motion, joined(list(loaded_run.stream(LINE, None, seed=2))))
  other = loaded_run.timeline(LINE.replace("frown", "grin"), seed=2)
  # What is said of the end changes nothing before what decoder and join see of it.
  same = 60 - max(loaded_run.codec.reach, joins.SMEAR)
  np.testing.assert_allclose(
    motion.expression[:same], other.expression[:same], atol=2e-5
  )


@pytest.mark.parametrize(
  "prompt",
  ["She slowly turns her head to the left.", "He does not blink, and nods twice."],
)
def test_what_is_done_as_asked_streams_too(loaded_run, prompt):
  parts = list(loaded_run.stream(prompt, 4.0, seed=5))
  assert_same(loaded_run.generate(prompt, 4.0, seed=5), joined(parts))


def test_parsing_a_timeline():
  assert timeline.parse("0-3: a slight smile; 3-7.5: surprise: nodding\n") == [
    (0.0, 3.0, "a slight smile"),
    (3.0, 7.5, "surprise: nodding"),
  ]


def performance(num_frames=60):
  """A motion with everything that an edit must keep."""
  rng = np.random.default_rng(0)
  wave = lambda width, size: (
    np.sin(np.linspace(0, 9, num_frames)[:, None] + rng.normal(size=width)) * size
  ).astype(np.float32)
  return motion_lib.zeros(num_frames, num_shape=10).replace(
    expression=wave(50, 1.0),
    jaw_pose=wave(3, 0.1),
    neck_pose=wave(3, 0.2),
    head_pose=wave(3, 0.3),
    eyelids=np.abs(wave(2, 0.5)),
    eye_pose=wave(6, 0.1),
    translation=wave(3, 0.05),
    shape=np.arange(10, dtype=np.float32),
    camera=wave(3, 5.0),
    valid=np.arange(num_frames) % 7 > 0,
  )


@pytest.mark.parametrize("start, stop", [(20, 45), (0, 10), (50, 60), (0, 60), (7, 8)])
def test_an_edit_copies_all_other_frames(loaded_run, start, stop):
  motion = performance()
  edited = loaded_run.edit(motion, "She smiles.", start, stop, seed=1)
  others = np.r_[0:start, stop:60]
  for name in (*COPIED, "valid"):
    np.testing.assert_array_equal(
      getattr(edited, name)[others], getattr(motion, name)[others], err_msg=name
    )
  assert (edited.expression[start:stop] != motion.expression[start:stop]).any()
  assert edited.valid[start:stop].all()
  for name in ("shape", "translation", "camera", "neck_pose"):
    np.testing.assert_array_equal(getattr(edited, name), getattr(motion, name))


def test_a_continuation_copies_what_is_there(loaded_run, tiny_run):
  motion = tiny.first_motion(tiny_run)
  length = motion.num_frames
  longer = loaded_run.extend(motion, 2.0, "He frowns.", seed=4)
  assert longer.num_frames == length + 50
  for name in COPIED:
    np.testing.assert_array_equal(getattr(longer, name)[:length], getattr(motion, name))
  assert longer.valid[length:].all()
  said = loaded_run.extend(motion, 0.4, seed=4)  # goes on with its own description
  assert said.num_frames == length + 10


@pytest.mark.parametrize("start, stop", [(-1, 5), (5, 5), (9, 3), (50, 61)])
def test_frames_outside_the_motion_are_refused(loaded_run, start, stop):
  with pytest.raises(UserError, match=f"frames {start}-{stop}: outside the motion"):
    loaded_run.edit(performance(), "She smiles.", start, stop)
