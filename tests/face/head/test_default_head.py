"""The default head: shapes, conventions, and what its parameters do to the face."""

import numpy as np
import pytest

from tdmm_jax.face import action_units, face_model, head_file, load_model
from tdmm_jax.face.head import build

MM = 1000.0
JAW_OPEN = np.array([0.3, 0.0, 0.0], np.float32)


@pytest.fixture(scope="module")
def head():
  return load_model.default_head()


@pytest.fixture(scope="module")
def template(head):
  return np.asarray(head.v_template)


@pytest.fixture(scope="module")
def landmark(head):
  """Landmark number -> its position, in mm, on given vertices."""
  rows = {int(number): row for row, number in enumerate(head.landmark_ids)}

  def find(number, vertices):
    row = rows[number]
    corners = vertices[head.landmark_triangles[row]]
    return head.landmark_barycentric[row] @ corners * MM

  return find


@pytest.fixture(scope="module")
def act(head, template):
  """Vertices under action units, all else at rest; bare names act on both sides."""
  directions = np.asarray(head.exprdirs)

  def vertices(**units):
    activations = np.zeros(len(action_units.ACTION_UNITS))
    for name, value in units.items():
      both = [name + "_l", name + "_r"]
      for one in [name] if name in action_units.ACTION_UNITS else both:
        activations[action_units.ACTION_UNITS.index(one)] = value
    return template + directions @ action_units.activations_to_expression(activations)

  return vertices


def pose(head, jaw=(0, 0, 0), eyelids=(0, 0), eye_pose=(0,) * 6):
  """Head-fixed vertices of the neutral face in this pose."""
  arrays = (np.zeros(50), jaw, eyelids, eye_pose)
  arrays = [np.asarray(value, np.float32) for value in arrays]
  return np.asarray(face_model.head_fixed_vertices(head, *arrays))


def test_fields_have_flames_shapes(head):
  V = head.num_vertices
  assert 3000 <= V <= 5500
  assert head.num_expression == 50 == len(action_units.ACTION_UNITS)
  assert 50 <= head.num_shape <= 80
  assert head.exprdirs.shape == (V, 3, 50) and head.eyelid_dirs.shape == (V, 3, 2)
  assert head.posedirs.shape == (36, V, 3) and head.lbs_weights.shape == (V, 5)
  np.testing.assert_allclose(np.sum(head.lbs_weights, axis=1), 1.0, atol=1e-5)
  for field in (head.v_template, head.exprdirs, head.shapedirs, head.posedirs):
    assert np.isfinite(field).all()
  names = {"lips", "upper_face", "face", "eyeballs", "iris", "pupil", "eyebrows"}
  assert names | {"teeth", "inner_mouth", "neck"} <= set(head.regions)
  assert len(head.regions["lips"]) >= 200
  assert set(head.regions["lips"]) <= set(head.regions["face"])
  assert set(head.regions["upper_face"]) <= set(head.regions["face"])
  assert not set(head.regions["eyeballs"]) & set(head.regions["face"])


def test_it_has_a_heads_measures(template, landmark):
  chin, crown = landmark(152, template)[1], template[:, 1].max() * MM
  assert 215 < crown - chin < 245
  apart = lambda a, b: np.linalg.norm(landmark(a, template) - landmark(b, template))
  assert 58 < apart(468, 473) < 67  # pupils
  assert 80 < apart(33, 263) < 95  # outer canthi
  assert 45 < apart(61, 291) < 58  # mouth
  assert 15 < landmark(1, template)[2] - landmark(2, template)[2] < 26  # nose


def test_left_and_right_are_mirror_images(head, template):
  mirror = build.anatomy().mesh.mirror
  flip = np.array([-1.0, 1.0, 1.0])
  np.testing.assert_array_equal(mirror[mirror], np.arange(len(mirror)))
  np.testing.assert_allclose(template[mirror], template * flip, atol=1e-8)
  lids = np.asarray(head.eyelid_dirs)
  np.testing.assert_allclose(lids[mirror, :, 0] * flip, lids[..., 1], atol=1e-8)
  weights = np.asarray(head.lbs_weights)[:, [0, 1, 2, 4, 3]]
  np.testing.assert_allclose(head.lbs_weights, weights[mirror], atol=1e-6)
  directions = np.asarray(head.exprdirs, np.float64)
  for index, name in enumerate(action_units.ACTION_UNITS):
    if name.endswith("_l"):
      other = action_units.ACTION_UNITS.index(name[:-2] + "_r")
      pair = directions @ head_file.activation_matrix()[:, [index, other]]
      left, right = np.moveaxis(pair, -1, 0)
      # Mirrored landmarks lie in triangles that are not always mirrored.
      np.testing.assert_allclose(left[mirror] * flip, right, atol=1e-4)


def test_triangles_face_outward_and_close(head, template):
  faces = head.faces
  sides = faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
  assert len(np.unique(sides, axis=0)) == len(sides), "an edge is walked twice one way"
  corners = template[faces]
  normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
  area = np.linalg.norm(normal, axis=1)
  assert area.min() > 0
  normal /= area[:, None]
  middle = corners.mean(1)
  joints = np.asarray(head.joint_template)
  for joint, side in ((3, 1), (4, -1)):
    ball = np.isin(faces, head.regions["eyeballs"]).all(1) & (middle[:, 0] * side > 0)
    assert ((middle[ball] - joints[joint]) * normal[ball]).sum(1).min() > 0
  brow = np.isin(faces, head.regions["eyebrows"]).all(1)
  assert normal[brow, 2].min() > 0
  top = middle[:, 1] > 0.06
  assert (middle[top] * normal[top]).sum(1).min() > 0
  volume = (np.cross(corners[:, 0], corners[:, 1]) * corners[:, 2]).sum() / 6
  assert 0.003 < volume < 0.007  # m^3, a head and a neck


def farthest_hits(head, vertices, origin, directions):
  """Distance to the farthest skin triangle along each ray; nan where there is none."""
  pocket = np.flatnonzero(build.anatomy().lid_ring == 0)  # behind the lid's edge
  hidden = np.concatenate([head.regions["eyeballs"], pocket])
  faces = head.faces[~np.isin(head.faces, hidden).any(1)]
  a, b, c = np.moveaxis(vertices[faces].astype(np.float64), 1, 0)
  near = np.linalg.norm(a - origin, axis=1) < 0.035
  a, u, v = a[near], (b - a)[near], (c - a)[near]
  found = []
  for ray in directions:
    cross = np.cross(ray, v)
    det = (u * cross).sum(1)
    det = np.where(np.abs(det) < 1e-15, 1e-15, det)
    s = ((origin - a) * cross).sum(1) / det
    q = np.cross(origin - a, u)
    t, far = (q @ ray) / det, (v * q).sum(1) / det
    hit = (s >= -1e-6) & (t >= -1e-6) & (s + t <= 1 + 1e-6) & (far > 0)
    found.append(far[hit].max() if hit.any() else np.nan)
  return np.array(found)


@pytest.mark.parametrize("side", ["left", "right"])
def test_lids_close_over_the_eyeball(head, template, side):
  joint = 3 if side == "left" else 4
  origin = np.asarray(head.joint_template)[joint].astype(np.float64)
  ball = template[head.regions["eyeballs"]].astype(np.float64) - origin
  ball = ball[np.linalg.norm(ball, axis=1) < 0.02]
  radius = np.linalg.norm(ball, axis=1).max()
  front = ball[ball[:, 2] > 0.75 * radius] / radius
  open_, half, closed = (
    farthest_hits(head, pose(head, eyelids=(amount, amount)), origin, front)
    for amount in (0.0, 0.5, 1.0)
  )
  assert np.isnan(open_).sum() > len(front) / 4, "the open eye shows its ball"
  assert np.isnan(half).sum() < 0.75 * np.isnan(open_).sum()
  assert not np.isnan(closed).any(), "closed lids leave a gap"
  assert closed.min() > radius
  assert np.nanmin(half) > radius - 0.0003


def test_one_lid_leaves_the_other_eye_alone(head, template):
  moved = np.linalg.norm(pose(head, eyelids=(1, 0)) - template, axis=1) > 1e-5
  assert moved.any() and template[moved, 0].min() > 0  # left is x > 0


def test_the_jaw_opens_the_mouth(head, template, landmark):
  opened = pose(head, jaw=JAW_OPEN)
  gap = lambda v: landmark(13, v)[1] - landmark(14, v)[1]
  assert abs(gap(template)) < 1.0
  assert 18 < gap(opened) < 40
  move = lambda number: landmark(number, opened) - landmark(number, template)
  assert np.linalg.norm(move(13)) < 4  # the upper lip stays
  assert move(152)[1] < -15 and move(152)[2] < 0  # the chin goes down and back
  assert np.linalg.norm(move(168)) < 0.5  # so does not the nose's root
  corner = move(61)[1]
  assert move(17)[1] < corner < 0
  skull = template[:, 1] > 0.02
  assert np.abs(opened[skull] - template[skull]).max() < 1e-4


def test_action_units_are_reproduced_exactly(head):
  from tdmm_jax.face.head import actions, people_units

  fields = people_units.correct(build.anatomy(), actions.action_fields(build.anatomy()))
  assert set(fields) == set(action_units.ACTION_UNITS)
  directions = np.asarray(head.exprdirs, np.float64)
  for index, name in enumerate(action_units.ACTION_UNITS):
    one = np.eye(50)[index]
    coefficients = action_units.activations_to_expression(one)
    field = directions @ coefficients
    assert np.abs(field - 0.01 * fields[name]).max() < 1e-6, name
    size = np.linalg.norm(field, axis=1).max() * MM
    assert 1.5 < size < 20, f"{name} moves {size} mm"


def test_activations_are_linear_and_checked():
  rng = np.random.default_rng(0)
  a, b = rng.random((2, 7, 50))
  f = action_units.activations_to_expression
  np.testing.assert_allclose(f(a + b), f(a) + f(b), atol=1e-4)
  assert f(a).shape == (7, 50) and f(a).dtype == np.float32
  assert 0.2 < f(a).std(0)[:10].mean() < 3.0
  with pytest.raises(ValueError, match="expected 50"):
    f(np.zeros(49))


@pytest.mark.parametrize(
  "unit, number, axis, least_mm",
  [
    ("inner_brow_raiser", 107, 1, 4.0),
    ("outer_brow_raiser", 70, 1, 3.0),
    ("brow_lowerer", 107, 1, -2.0),
    ("lip_corner_puller", 61, 1, 5.0),
    ("lip_corner_puller", 61, 0, -4.0),
    ("lip_corner_puller", 61, 2, -4.0),
    ("lip_corner_depressor", 61, 1, -4.0),
    ("upper_lip_raiser", 40, 1, 3.0),
    ("lower_lip_depressor", 91, 1, -2.5),
    ("lip_stretcher", 61, 0, -5.0),
    ("lip_pucker", 0, 2, 5.0),
    ("lip_pucker", 61, 0, 4.0),
    ("chin_raiser", 17, 1, 2.0),
    ("nose_wrinkler", 64, 1, 1.0),
    ("upper_lid_raiser", 159, 1, 1.5),
    ("lid_tightener", 145, 1, 1.0),
    ("jaw_thrust", 152, 2, 3.0),
    ("jaw_sideways_l", 152, 0, 4.0),
    ("mouth_left", 13, 0, 4.0),
  ],
)
def test_actions_move_the_right_points(act, landmark, unit, number, axis, least_mm):
  move = (landmark(number, act(**{unit: 1.0})) - landmark(number, act()))[axis]
  assert move * np.sign(least_mm) > abs(least_mm)


def test_one_sided_actions_stay_on_their_side(act, template):
  """People's skin is drawn along a little across the middle."""
  for name in action_units.ACTION_UNITS:
    if name.endswith("_l") and not name.startswith("jaw_"):
      moved = np.linalg.norm(act(**{name: 1.0}) - template, axis=1)
      far_right = template[:, 0] < -0.01
      assert moved[far_right].max() < 0.2 * moved.max(), name
      assert moved.max() > 0.0015, name


def test_lips_meet_but_do_not_cross_in_usual_mixtures(act, landmark):
  mixtures = (
    {},
    dict(lip_corner_puller=0.8, cheek_raiser=0.6),
    dict(lip_corner_depressor=0.7),
    dict(lip_pucker=0.8),
    dict(lips_part=0.5, lip_stretcher=0.5),
    dict(upper_lip_raiser=0.5, lower_lip_depressor=0.5),
  )
  for mixture in mixtures:
    vertices = act(**mixture)
    for upper, lower in ((13, 14), (82, 87), (312, 317), (81, 178), (311, 402)):
      gap = landmark(upper, vertices)[1] - landmark(lower, vertices)[1]
      assert gap > -1.5, (mixture, upper, gap)
  # The scans' chin raiser lifts the lower lip alone, past the upper one.
  raised = act(chin_raiser=0.4)
  assert -3.5 < landmark(13, raised)[1] - landmark(14, raised)[1] < -1.5


def test_the_gaze_turns_about_the_eyeball(head, template, landmark):
  turned = pose(head, eye_pose=(0, 0.3, 0, 0, 0.3, 0))
  for number in (468, 473):
    assert landmark(number, turned)[0] - landmark(number, template)[0] > 2.5  # left
  skin = np.setdiff1d(np.arange(len(template)), head.regions["eyeballs"])
  assert np.abs(turned[skin] - template[skin]).max() < 1e-6
  for joint, side in ((3, 1), (4, -1)):
    ball = template[head.regions["eyeballs"]]
    ball = ball[ball[:, 0] * side > 0]
    distance = np.linalg.norm(ball - np.asarray(head.joint_template)[joint], axis=1)
    assert np.ptp(distance) < 1e-6


def test_identity_moves_eyeballs_with_their_sockets(head):
  basis = np.asarray(head.shapedirs)
  ball = head.regions["eyeballs"]
  left = ball[np.asarray(head.v_template)[ball, 0] > 0]
  assert np.ptp(basis[left], axis=0).max() < 1e-6  # rigidly
  np.testing.assert_allclose(
    basis[left].mean(0), np.asarray(head.joint_shapedirs)[3], atol=1e-6
  )


def test_landmarks(head, template, landmark):
  ids = head.landmark_ids
  assert len(ids) >= 110 and len(set(ids.tolist())) == len(ids)
  assert ids.min() >= 0 and ids.max() < 478
  np.testing.assert_allclose(head.landmark_barycentric.sum(1), 1.0, atol=1e-6)
  assert head.landmark_barycentric.min() > -1e-6
  at = lambda number: landmark(number, template)
  assert at(33)[0] < at(133)[0] < 0 < at(362)[0] < at(263)[0]  # 33: subject's right
  assert at(159)[1] > at(145)[1] and at(386)[1] > at(374)[1]
  assert at(61)[0] < 0 < at(291)[0] and at(10)[1] > at(168)[1] > at(1)[1] > at(152)[1]
  assert at(468)[0] < 0 < at(473)[0]
  lips = {0, 13, 14, 17, 61, 291, 78, 308, 37, 267, 84, 314}
  assert lips <= set(ids.tolist())


@pytest.mark.slow
@pytest.mark.parametrize("name", head_file.NAMES)
def test_the_shipped_file_is_what_the_builder_makes(name, template):
  """To within what another processor rounds otherwise, ties of triangles among it."""
  head, built = load_model.default_head(name), build.build_default_head(name)
  np.testing.assert_allclose(built.v_template, template, atol=1e-7)
  np.testing.assert_array_equal(built.faces, head.faces)
  assert built.regions.keys() == head.regions.keys()
  for region, ids in head.regions.items():
    np.testing.assert_array_equal(built.regions[region], ids)
  for part in ("shapedirs", "eyelid_dirs", "lbs_weights", "joint_template"):
    np.testing.assert_allclose(getattr(built, part), getattr(head, part), atol=1e-6)
  # Of the expression basis what the units do: its own directions may turn.
  unit_fields = np.asarray(built.exprdirs, np.float64) @ build.activation_matrix(name)
  matrix_EU = head_file.activation_matrix(name)
  shipped = np.asarray(head.exprdirs, np.float64) @ matrix_EU
  np.testing.assert_allclose(unit_fields, shipped, atol=1e-6)
  points = lambda model: face_model.landmarks(model, template)
  np.testing.assert_allclose(points(built), points(head), atol=1e-6)


def test_the_version_is_the_file(head):
  content = head_file.path_of(head_file.DEFAULT).read_bytes()
  assert head.version == head_file.version_of(content)
  assert head_file.version_of(content + b" ") != head.version
  again = load_model.head_bytes(head, head_file.activation_matrix())
  assert head_file.version_of(again) == head.version
