"""Errors in mm and degrees on numbers worked by hand, and against SciPy."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tdmm_jax.metrics import geometry

VALID = np.array([True, True, False])


def test_face_error_is_area_weighted_over_valid_frames():
  g = np.zeros((3, 2, 3))
  p = g.copy()
  p[0, 0] = (0.003, 0.004, 0)  # 5 mm
  p[1, 1] = (0, 0, 0.002)  # 2 mm
  p[2] = 9.0  # not valid
  # Areas 1 : 3. Frame 0: 5/4; frame 1: 3·2/4.
  error = geometry.face_error_mm(p, g, np.array([0.5, 1.5]), VALID)
  np.testing.assert_allclose(error, (1.25 + 1.5) / 2)


def test_head_error_is_the_geodesic_angle():
  rng = np.random.default_rng(0)
  p, g = rng.normal(size=(2, 50, 3))
  valid = rng.random(50) < 0.8
  matrices = [Rotation.from_rotvec(x[valid]).as_matrix() for x in (p, g)]
  cosine = (np.einsum("tij,tij->t", *matrices) - 1) / 2
  expected = np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean()
  np.testing.assert_allclose(geometry.head_error_deg(p, g, valid), expected)
  one = np.radians([[30.0, 0, 0], [0, 0, 0], [0, 0, 0]])
  two = np.radians([[0, 0, 0], [0, 10.0, 0], [0, 0, 99.0]])
  np.testing.assert_allclose(geometry.head_error_deg(one, two, VALID), 20.0)
  # A turn of 350 degrees one way is 10 the other.
  far = np.radians([[350.0, 0, 0]])
  np.testing.assert_allclose(geometry.head_error_deg(far, far * 0, [True]), 10.0)


def test_the_three_lip_errors_differ():
  g = np.zeros((3, 2, 3))
  p = g.copy()
  p[0, 0, 0], p[0, 1, 1] = 0.003, 0.001  # worst 3 mm
  p[1, 1, 2] = 0.005  # worst 5 mm
  p[2] = 1.0
  errors = geometry.lip_errors(p, g, VALID)
  np.testing.assert_allclose(errors["lve_sq_mm2"], (9 + 25) / 2)
  np.testing.assert_allclose(errors["lve_l2_mm"], 4.0)
  np.testing.assert_allclose(errors["lve_rms_mm"], np.sqrt(17.0))


def test_jitter_is_the_third_difference():
  t = np.arange(9.0) / 25
  x = np.zeros((9, 2, 3))
  x[:, 0, 0] = 2.0 * t**3 - t**2 + 5 * t  # third derivative 12
  x[:, 1, 1] = -4.0 * t**3  # -24
  total, windows = geometry.jitter(x, np.ones(9, bool))
  assert windows == 6
  np.testing.assert_allclose(total / windows, (12 + 24) / 2, rtol=1e-6)
  broken = np.ones(9, bool)
  broken[4] = False  # leaves frames 0-3 and 5-8: one window each
  spoilt = x.copy()
  spoilt[4] = 7.0
  total, windows = geometry.jitter(spoilt, broken)
  assert windows == 2
  np.testing.assert_allclose(total / windows, 18.0, rtol=1e-6)


@pytest.mark.parametrize("frames", [1, 3])
def test_a_clip_too_short_for_jitter_has_no_window(frames):
  assert geometry.jitter(np.ones((frames, 2, 3)), np.ones(frames, bool)) == (0.0, 0)
