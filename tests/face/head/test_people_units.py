"""default_v2: action units that move as people's do."""

import numpy as np
import pytest

from tdmm_jax.face import face_model, head_file, load_model, people
from tdmm_jax.face.action_units import ACTION_UNITS


@pytest.fixture(scope="module")
def head():
  return load_model.load_face_model("default_v2")


def at_landmarks(head):
  """float64[U, L, 3], mm: each unit's displacement at the landmarks."""
  matrix = head_file.activation_matrix(head.name)
  fields = np.moveaxis(np.asarray(head.exprdirs, np.float64) @ matrix, -1, 0)
  return np.asarray(face_model.landmarks(head, fields), np.float64) * 1000


def test_every_unit_with_a_counterpart_moves_as_people_do(head):
  ids = np.asarray(head.landmark_ids)
  known = ids < len(people.load().mean_N3)
  place = {int(number): i for i, number in enumerate(ids)}
  rest = np.asarray(face_model.landmarks(head, head.v_template)) * 1000
  scale = np.linalg.norm(rest[place[33]] - rest[place[263]]) / people.CANTHI_MM
  compared = 0
  for name, field in zip(ACTION_UNITS, at_landmarks(head), strict=True):
    theirs = people.unit_field(name)
    if theirs is None:
      continue
    ours, theirs = field[known], theirs[ids[known]] * scale
    sizes = np.linalg.norm(ours), np.linalg.norm(theirs)
    assert (ours * theirs).sum() / np.prod(sizes) > 0.9, name
    assert 0.75 < sizes[0] / sizes[1] < 1.25, name
    compared += 1
  assert compared > 38


def test_only_expressions_differ_from_the_first_head(head):
  first = load_model.load_face_model("default_v1")
  assert (head.name, head.num_expression) == ("default_v2", first.num_expression)
  assert head.version != first.version
  np.testing.assert_allclose(head.v_template, first.v_template, atol=1e-6)
  np.testing.assert_array_equal(head.faces, first.faces)
  np.testing.assert_array_equal(head.landmark_ids, first.landmark_ids)
  for name in ("shapedirs", "eyelid_dirs", "posedirs", "lbs_weights", "vertex_areas"):
    np.testing.assert_array_equal(getattr(head, name), getattr(first, name), name)


def test_eyeballs_and_the_upper_teeth_stay_where_they_are(head):
  fields = np.asarray(head.exprdirs, np.float64) @ head_file.activation_matrix(
    head.name
  )
  assert np.abs(fields[head.regions["eyeballs"]]).max() < 1e-6
  assert np.isfinite(fields).all() and np.abs(fields).max() < 0.025
