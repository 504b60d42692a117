import functools
import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tdmm_jax.errors import UserError
from tdmm_jax.face import face_model, load_model, motion
from tdmm_jax.face.fit import fit_landmarks, landmarks, projection, solver

NUM_LANDMARKS = 60


@functools.cache
def smooth_head():
  """A bulging plate with smooth random bases, a jaw below and two eyes."""
  rng = np.random.default_rng(0)
  grid = np.stack(np.meshgrid(np.linspace(-1, 1, 17), np.linspace(-1, 1, 17)), -1)
  grid = grid.reshape(-1, 2)
  V = len(grid)
  radius = (grid**2).sum(axis=1)
  depth = 0.06 * np.exp(-radius) + 0.03 * np.exp(-12 * radius)
  template = np.stack([0.08 * grid[:, 0], 0.1 * grid[:, 1], depth], axis=1)

  def smooth(count, size, width):
    centers = rng.uniform(-1, 1, (count, 4, 2))
    bumps = np.exp(-((grid[:, None, None] - centers) ** 2).sum(-1) / width**2)
    return np.einsum("vkc,kca->vak", bumps, rng.normal(size=(count, 4, 3))) * size

  near = lambda x, y, width: np.exp(-((grid - [x, y]) ** 2).sum(axis=1) / width**2)
  weights = np.zeros((V, 5))
  weights[:, 2] = 0.9 / (1 + np.exp(12 * (grid[:, 1] + 0.4)))
  weights[:, 3], weights[:, 4] = 0.8 * near(0.4, 0.4, 0.2), 0.8 * near(-0.4, 0.4, 0.2)
  weights[:, 1] = 1 - weights.sum(axis=1)
  lids = np.zeros((V, 3, 2))
  lids[:, 1, 0], lids[:, 1, 1] = (
    -0.01 * near(0.4, 0.5, 0.15),
    -0.01 * near(-0.4, 0.5, 0.15),
  )
  at = lambda x, y: np.eye(V)[np.argmin(((grid - [x, y]) ** 2).sum(axis=1))]
  joints = [at(0, -1), at(0, -1), at(0, -0.3), at(0.4, 0.4), at(-0.4, 0.4)]
  points = rng.choice(V, (NUM_LANDMARKS, 3))
  return face_model.from_arrays(
    v_template=template,
    shapedirs=smooth(4, 0.004, 0.5),
    exprdirs=smooth(6, 0.003, 0.4),
    eyelid_dirs=lids,
    posedirs=rng.normal(size=(36, V, 3)) * 1e-3,
    lbs_weights=weights,
    J_regressor=np.stack(joints),
    faces=np.zeros((0, 3)),
    regions={},
    landmark_ids=np.arange(100, 100 + NUM_LANDMARKS),
    landmark_triangles=points,
    landmark_barycentric=rng.dirichlet([1, 1, 1], NUM_LANDMARKS),
    name="smooth",
  )


@functools.cache
def acted_clip(num_frames=40):
  """A known motion, and its landmarks as a camera would see them."""
  rng = np.random.default_rng(1)
  time = np.arange(num_frames) / 25

  def wave(width, size):
    phase, speed = rng.uniform(0, 6, width), rng.uniform(2, 5, width)
    return (size * np.sin(speed * time[:, None] + phase)).astype(np.float32)

  truth = motion.zeros(num_frames, "smooth", 6).replace(
    expression=wave(6, 0.8),
    jaw_pose=np.abs(wave(3, 0.2)) * np.float32([1, 0, 0]),
    eyelids=np.clip(wave(2, 1.0), 0, 1),
    head_pose=wave(3, 0.3),
    shape=rng.normal(size=4).astype(np.float32),
  )
  model = smooth_head()
  vertices = face_model.motion_vertices(model, truth)
  seen = np.asarray(face_model.landmarks(model, vertices))[..., :2]
  points = np.zeros((num_frames, 478, 3), np.float32)
  ids = model.landmark_ids
  points[:, ids, :2] = seen * [1500, -1500] + [400, 240]
  points[:, 33, :2], points[:, 263, :2] = [330, 180], [470, 180]
  return truth, points


def fitted(detected=None, **options):
  truth, points = acted_clip()
  detected = np.ones(len(points), bool) if detected is None else detected
  points = np.where(detected[:, None, None], points, np.nan)
  size = {"width": 800, "height": 480}
  result = fit_landmarks.fit_landmarks(
    smooth_head(), points, detected, 25.0, **size, **options
  )
  return truth, *result


@functools.cache
def full_fit():
  return fitted()


def test_known_motion_is_recovered():
  truth, found, diagnostics = full_fit()
  assert diagnostics["landmark_error"] < 0.003
  assert np.abs(np.degrees(found.head_pose - truth.head_pose)).mean() < 1.5
  assert np.abs(found.jaw_pose - truth.jaw_pose).mean() < 0.03
  for name, at_least in (("expression", 0.9), ("eyelids", 0.9)):
    a, b = getattr(found, name), getattr(truth, name)
    assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > at_least, name
  assert found.eyelids.min() >= 0 and found.eyelids.max() <= 1
  assert found.face_model == "smooth" and not found.neck_pose.any()


def test_camera_and_motion_project_to_the_reported_pixels():
  _, found, diagnostics = full_fit()
  model = smooth_head()
  points = face_model.landmarks(model, face_model.motion_vertices(model, found))
  scale, offset = found.camera[:, None, :1], found.camera[:, None, 1:]
  pixels = np.asarray(points)[..., :2] * scale * [1, -1] + offset
  np.testing.assert_allclose(pixels, diagnostics["projected_px"], atol=0.05)


def test_frozen_fit_has_constant_expression_and_a_larger_error():
  _, moving, full = full_fit()
  _, frozen, diagnostics = fitted(freeze_expression=True)
  for name in ("expression", "jaw_pose", "eyelids"):
    assert np.ptp(getattr(frozen, name), axis=0).max() < 1e-5
    mean = getattr(moving, name).mean(axis=0)
    np.testing.assert_allclose(getattr(frozen, name)[0], mean, atol=1e-3)
  assert np.ptp(frozen.head_pose, axis=0).max() > 0.1
  per_frame = diagnostics["landmark_error_per_frame"]
  assert per_frame.mean() == pytest.approx(full["frozen_landmark_error"], rel=1e-3)
  assert full["frozen_landmark_error"] > 3 * full["landmark_error"]


def test_undetected_frames_are_interpolated_and_not_valid():
  detected = np.ones(40, bool)
  detected[[0, 20, 21, 22, 39]] = False
  _, found, diagnostics = fitted(detected)
  np.testing.assert_array_equal(found.valid, detected)
  assert diagnostics["landmark_error"] < 0.003
  assert np.isnan(diagnostics["landmark_error_per_frame"][~detected]).all()
  line = np.linspace(found.expression[19], found.expression[23], 5)
  np.testing.assert_allclose(found.expression[19:24], line, atol=1e-5)
  np.testing.assert_array_equal(found.eyelids[39], found.eyelids[38])


def test_another_frame_rate_becomes_25():
  _, points = acted_clip()
  calls = []
  found, _ = fit_landmarks.fit_landmarks(
    smooth_head(),
    points[:25],
    np.ones(25, bool),
    fps=24.0,
    width=800,
    height=480,
    progress=lambda done, total: calls.append((done, total)),
  )
  assert (found.num_frames, found.fps) == (26, 25.0)
  assert found.camera.shape == (26, 3)
  assert calls == sorted(calls) and 0 < calls[-1][0] <= calls[-1][1]


def test_written_out_jacobian_equals_automatic_differentiation():
  model = smooth_head()
  corners = np.unique(model.landmark_triangles)
  small = face_model.vertex_subset(model, corners)
  rng = np.random.default_rng(2)
  frames = jnp.float32(rng.normal(size=(3, 6 + 17)) * 0.2)
  shape = jnp.float32(rng.normal(size=4))
  offsets = jnp.float32(rng.normal(size=(NUM_LANDMARKS, 3)) * 0.01)
  ours = jax.jit(projection.jacobian)(small, frames, shape, offsets)
  one = lambda v: projection.project(small, v[None, :-4], v[-4:], offsets)[0]
  every = jnp.concatenate([frames, jnp.tile(shape, (3, 1))], axis=1)
  np.testing.assert_allclose(ours, jax.jit(jax.vmap(jax.jacfwd(one)))(every), atol=2e-6)


@pytest.mark.parametrize("bound", [True, False], ids=["clip", "frames apart"])
def test_solver_equals_a_dense_solve(bound):
  """Unknowns that a bound holds in some frames do not couple with those beside."""
  T, P, S = 6, 3, 2
  rng = np.random.default_rng(0)
  J = rng.normal(size=(T, 8, P + S))
  acceleration = np.array([0.5, 3.0, 0.0])
  free = np.ones((T, P))
  free[[1, 3, 4], [0, 1, 1]] = 0.0
  J[:, :, :P] *= free[:, None]
  hessian = np.einsum("tra,trb->tab", J, J)
  own, coupling = hessian[:, :P, :P] + np.eye(P), hessian[:, :P, P:]
  shape = hessian.sum(axis=0)[P:, P:] + np.eye(S)
  dense = np.zeros((T * P + S, T * P + S))
  for t in range(T):
    dense[t * P : t * P + P, t * P : t * P + P] = own[t]
    dense[t * P : t * P + P, T * P :] = coupling[t]
  dense[T * P :, : T * P] = dense[: T * P, T * P :].T
  dense[T * P :, T * P :] = shape
  second = np.diff(np.eye(T), n=2, axis=0)
  if not bound:
    acceleration[:] = 0.0
  smooth = np.kron(second.T @ second, np.diag(acceleration))
  dense[: T * P, : T * P] += smooth * free.ravel() * free.ravel()[:, None]
  right = rng.normal(size=T * P + S)
  expected = np.linalg.solve(dense, right)
  args = (own, coupling, shape, acceleration if bound else None, free)
  args += (right[:-S].reshape(T, P), right[-S:])
  args = jax.tree.map(jnp.float32, args)
  frames, identity = jax.jit(solver._solve)(*args)
  np.testing.assert_allclose(np.ravel(frames), expected[:-S], rtol=1e-3, atol=1e-4)
  np.testing.assert_allclose(identity, expected[-S:], rtol=1e-3, atol=1e-4)


def test_landmark_error_by_hand():
  points = np.zeros((2, 478, 2))
  points[:, 263] = [[3, 4], [0, 10]]  # the canthi are 5 and 10 px apart
  observed = points[:, [33, 263]]
  projected = observed + [[[3, 4], [0, 0]], [[0, 1], [1, 0]]]
  mean, per_frame = landmarks.landmark_error(
    projected, observed, points, np.ones(2, bool)
  )
  np.testing.assert_allclose(per_frame, [0.5, 0.1])
  assert mean == pytest.approx(0.3)


def test_input_without_a_face_or_a_head_without_landmarks_is_an_error():
  _, points = acted_clip()
  with pytest.raises(UserError, match="detected in 0 of 40 frames"):
    fitted(np.zeros(40, bool))
  few = face_model.vertex_subset(smooth_head(), np.arange(50))
  with pytest.raises(UserError, match="mediapipe_landmark_embedding"):
    fit_landmarks.fit_landmarks(few, points, np.ones(40, bool), 25, 800, 480)


def landmark_arrays():
  points = np.full((5, 478, 3), 7, np.float32)
  points[2] = np.nan
  detected = np.arange(5) != 2
  return {
    "landmarks_px": points,
    "detected": detected,
    "fps": np.float32(25),
    "width": np.int32(640),
    "height": np.int32(480),
  }


def test_landmark_file_is_read(tmp_path):
  np.savez(tmp_path / "clip.npz", **landmark_arrays())
  track = landmarks.read_landmarks(tmp_path / "clip.npz")
  assert track["detected"].sum() == 4 and track["fps"] == 25 and track["width"] == 640


LANDMARK_FAULTS = {
  "key": ({"fps": None}, "lacks fps: not a landmark file"),
  "points": ({"landmarks_px": np.zeros((5, 68, 2), np.float32)}, r"not \[frames, 478"),
  "length": ({"detected": np.ones(4, bool)}, "'detected' has 4 frames"),
  "nan": ({"detected": np.ones(5, bool)}, "NaN in a detected frame"),
  "fps": ({"fps": np.float32(0)}, "'fps' must be one number above 0"),
}


@pytest.mark.parametrize("case", LANDMARK_FAULTS)
def test_broken_landmark_files(tmp_path, case):
  change, message = LANDMARK_FAULTS[case]
  arrays = {k: v for k, v in {**landmark_arrays(), **change}.items() if v is not None}
  np.savez(tmp_path / "clip.npz", **arrays)
  with pytest.raises(UserError, match=message) as caught:
    landmarks.read_landmarks(tmp_path / "clip.npz")
  assert "clip.npz" in str(caught.value)


@pytest.mark.slow
def test_real_clip_is_fitted_by_the_default_head():
  folder = os.environ.get("TDMM_REAL_DATA")
  if not folder:
    pytest.skip("TDMM_REAL_DATA names no folder of real data")
  path = pathlib.Path(folder) / "open3dfacevid_clips" / "av_00002.landmarks.npz"
  head = load_model.default_head()
  assert len(head.landmark_ids) >= 100
  clip, diagnostics = fit_landmarks.fit_landmarks(
    head, **landmarks.read_landmarks(path)
  )
  assert diagnostics["landmark_error"] <= 0.030
  assert diagnostics["landmark_error"] <= 0.8 * diagnostics["frozen_landmark_error"]
  assert clip.valid.all() and clip.num_frames == 97
