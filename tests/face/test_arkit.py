"""ARKit's shapes that only mean something together, both ways."""

import functools

import numpy as np
import pytest

from tdmm_jax.face import arkit, face_model, load_model, motion

_INNER_LIPS = ((13, 14), (82, 87), (312, 317), (81, 178), (311, 402), (80, 88))
_INNER_LIPS += ((310, 318), (191, 95), (415, 324))
_LIDS = ((159, 145), (386, 374))


@pytest.fixture(scope="module")
def head():
  return load_model.default_head()


def curves_of(*frames):
  weights = np.zeros((len(frames), 52), np.float32)
  for t, frame in enumerate(frames):
    for name, value in frame.items():
      weights[t, arkit.SHAPES.index(name)] = value
  still = np.zeros((len(frames), 3), np.float32)
  return arkit.ArkitCurves(weights, still, np.repeat(still, 2, axis=1), 25.0)


def gaps_mm(head, clip, pairs):
  """float[T, P], upper above lower; the height between two landmarks of a pair."""
  rows = {number: row for row, number in enumerate(head.landmark_ids)}
  vertices = face_model.motion_vertices(head, clip, head_fixed=True, identity=False)
  points = np.asarray(face_model.landmarks(head, vertices)) * 1e3
  upper, lower = ([rows[pair[i]] for pair in pairs] for i in (0, 1))
  return points[:, upper, 1] - points[:, lower, 1]


TOGETHER = [
  *({"JawOpen": w, "MouthClose": w} for w in (0.1, 0.3, 0.6, 1.0)),
  {"JawOpen": 0.2, "MouthClose": 0.4},  # phones do say so
  {"JawOpen": 0.5, "MouthClose": 0.5, "MouthPucker": 0.6},
]


def test_lips_meet_where_mouth_close_is_as_large_as_jaw_open(head):
  made = arkit.to_motion(curves_of(*TOGETHER))
  assert made.jaw_pose[:, 0].min() >= 0
  # A pucker moves the lips by itself; the jaw and the close must add nothing to it.
  alone = [{k: v for k, v in f.items() if k == "MouthPucker"} for f in TOGETHER]
  rest = gaps_mm(head, arkit.to_motion(curves_of(*alone)), _INNER_LIPS)
  assert np.abs(gaps_mm(head, made, _INNER_LIPS) - rest).max() < 1.0
  opened = arkit.to_motion(curves_of({"JawOpen": 0.5}, {"JawOpen": 1.0}))
  assert gaps_mm(head, opened, _INNER_LIPS).min() > 7.0
  # Half closed is half open.
  half = arkit.to_motion(curves_of({"JawOpen": 0.6, "MouthClose": 0.3}))
  assert 5.0 < gaps_mm(head, half, _INNER_LIPS[:1])[0, 0] < 12.0


def test_the_fit_back_keeps_the_lips_together(head):
  frames = [*TOGETHER, {"JawOpen": 0.6, "MouthClose": 0.3}, {"JawOpen": 0.6}]
  frames += [{"JawOpen": 0.4, "MouthFunnel": 0.7}, {"JawOpen": 0.4, "MouthPucker": 0.7}]
  frames += [{"MouthSmileLeft": 0.8, "MouthStretchLeft": 0.5}]
  made = arkit.to_motion(curves_of(*frames))
  fitted, fit = arkit.from_motion(head, made)
  assert fit["residual_mm"] < 0.3 < fit["motion_mm"]
  back = arkit.to_motion(fitted)
  error = gaps_mm(head, back, _INNER_LIPS) - gaps_mm(head, made, _INNER_LIPS)
  assert np.abs(error[: len(TOGETHER)]).max() < 1.0
  assert np.abs(error[len(TOGETHER) :]).max() < 2.0  # the jaw's turn is no line
  jaw, close = (
    fitted.weights_TA[:, arkit.SHAPES.index(n)] for n in ("JawOpen", "MouthClose")
  )
  assert (close <= jaw + 1e-6).all()


def test_lids_meet_and_do_not_pass_each_other(head):
  frames = [{}]
  for blink, squint in ((1.0, 0.0), (1.0, 0.5), (1.0, 1.0), (0.8, 0.8)):
    sides = ("Left", "Right")
    frame = {f"EyeBlink{side}": blink for side in sides}
    frames.append(frame | {f"EyeSquint{side}": squint for side in sides})
  gaps = gaps_mm(head, arkit.to_motion(curves_of(*frames)), _LIDS)
  assert gaps[0].min() > 8.0 and np.abs(gaps[1:]).max() < 1.0


def test_a_gap_of_the_recording_is_not_valid():
  curves = curves_of({}, {"JawOpen": 1.0}, {})
  seen = np.array([True, False, True])
  made = arkit.to_motion(arkit.ArkitCurves(*vars(curves).values()))
  assert made.valid.all()
  fields = {**vars(curves), "valid_T": seen}
  np.testing.assert_array_equal(
    arkit.to_motion(arkit.ArkitCurves(**fields)).valid, seen
  )
  assert motion.zeros(3).valid.all()


def test_a_long_motion_is_fitted_in_pieces(head, monkeypatch):
  frames = [{"JawOpen": t / 9, "MouthSmileLeft": 1 - t / 9} for t in range(10)]
  clip = arkit.to_motion(curves_of(*frames))
  whole, fit = arkit.from_motion(head, clip)
  pieces = functools.partial(motion.pieces, length=4)
  assert [piece.num_frames for piece in pieces(clip)] == [4, 4, 2]
  monkeypatch.setattr(motion, "pieces", pieces)
  again, fit_again = arkit.from_motion(head, clip)
  np.testing.assert_allclose(again.weights_TA, whole.weights_TA, atol=1e-6)
  np.testing.assert_array_equal(again.head_T3, whole.head_T3)
  assert fit_again == pytest.approx(fit)


def test_the_quick_fit_is_the_fit(head):
  """Also where jaw, lids and expression move at once, and turn what the others do."""
  rng = np.random.default_rng(0)
  weights_TA = rng.uniform(0, 0.5, (40, 52)) * (rng.random((40, 52)) < 0.2)
  weights_TA[:, arkit.SHAPES.index("JawOpen")] = np.linspace(0, 1, 40)
  weights_TA[:, arkit.SHAPES.index("EyeBlinkLeft")] = np.linspace(0, 1, 40)
  turns_T3 = rng.normal(0, 0.2, (40, 3))
  clip = arkit.to_motion(
    arkit.ArkitCurves(weights_TA, turns_T3, np.repeat(turns_T3, 2, axis=1), 25.0)
  )
  whole, _ = arkit.from_motion(head, clip)
  quick = arkit.QuickFit(head)
  frames = [quick.curves(motion.take(clip, slice(t, t + 1))) for t in range(40)]
  off_TA = np.concatenate([f.weights_TA for f in frames]) - whole.weights_TA
  assert np.abs(off_TA).mean() < 0.01
  assert np.abs(off_TA).max() < 0.25  # with the jaw wide open
  for name in ("head_T3", "eyes_T6"):
    got = np.concatenate([getattr(f, name) for f in frames])
    np.testing.assert_allclose(got, getattr(whole, name), atol=1e-6)


def test_no_weight_of_the_fit_is_above_one_or_misses_for_it(head):
  """A face beyond what a weight of 1 gives; the others make up for it as they can."""
  clip = arkit.to_motion(curves_of({"MouthSmileLeft": 0.9, "JawOpen": 0.3}))
  clip = clip.replace(expression=1.5 * clip.expression)
  curves, _ = arkit.from_motion(head, clip)
  assert curves.weights_TA.max() <= 1.0
  assert curves.weights_TA[0, arkit.SHAPES.index("MouthSmileLeft")] == 1.0
  points, shapes = arkit._points_of(head), arkit._shape_displacements(head)
  problem = arkit._Problem(*shapes)
  right_TR = problem.reduce(arkit._displacements(head, clip, points))
  loss = lambda weights_A: np.sum(
    (problem._upper @ weights_A[problem._used_A] - right_TR[0]) ** 2
  )
  best_A = problem.solve(right_TR)[0]
  rng = np.random.default_rng(0)
  for _ in range(200):
    near_A = np.clip(best_A + rng.normal(0, 0.01, 52), 0, 1)
    assert loss(near_A) >= loss(best_A)
