"""How a head and its gaze stand before a camera is no motion."""

import numpy as np
from scipy.spatial import transform

from tdmm_jax.face import at_rest, motion


def turned(yaw_T, gaze=0.0, camera=True):
  clip = motion.zeros(len(yaw_T))
  angles = np.zeros((len(yaw_T), 3), np.float32)
  angles[:, 1] = np.radians(yaw_T)
  eyes = np.zeros((len(yaw_T), 6), np.float32)
  eyes[:, [0, 3]] = np.radians(gaze)
  camera = np.ones((len(yaw_T), 3), np.float32) if camera else None
  return clip.replace(head_pose=angles, eye_pose=eyes, camera=camera)


def yaw(clip):
  turns = transform.Rotation.from_rotvec(motion.world_head_rotation(clip))
  return np.degrees(turns.as_euler("YXZ")[:, 0])


def test_a_constant_pose_is_taken_away_and_a_turn_is_kept():
  turn = np.r_[np.full(20, 8.0), np.linspace(8.0, 30.0, 20)]
  made = at_rest.before_camera(turned(turn, gaze=-9.0))
  np.testing.assert_allclose(yaw(made), turn - 8.0, atol=1e-3)
  np.testing.assert_allclose(made.eye_pose, 0.0, atol=1e-6)


def test_a_profile_stays_mostly_one():
  made = at_rest.before_camera(turned(np.full(20, 70.0), gaze=-40.0))
  np.testing.assert_allclose(yaw(made), 50.0, atol=1e-3)
  np.testing.assert_allclose(np.degrees(made.eye_pose[:, 0]), -25.0, atol=1e-3)


def test_frames_without_a_face_say_nothing_of_a_pose():
  turn = np.r_[np.full(10, 15.0), np.full(10, 5.0)]
  clip = turned(turn).replace(valid=np.arange(20) >= 10)
  np.testing.assert_allclose(yaw(at_rest.before_camera(clip)), turn - 5.0, atol=1e-3)


def test_what_no_camera_saw_stays_as_it_is():
  clip = turned(np.full(20, 8.0), camera=False)
  assert at_rest.before_camera(clip) is clip
