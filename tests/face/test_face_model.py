import jax
import jax.numpy as jnp
import numpy as np
import pytest
import random_head
from scipy.spatial.transform import Rotation

from tdmm_jax.errors import UserError
from tdmm_jax.face import face_model, load_model, motion

posed_vertices = jax.jit(face_model.posed_vertices)
head_fixed_vertices = jax.jit(face_model.head_fixed_vertices)
FIXED = ("expression", "jaw_pose", "eyelids", "eye_pose", "shape")


@pytest.fixture
def model():
  return random_head.small_model()


def head_fixed(model, pose):
  return head_fixed_vertices(model, **{name: pose[name] for name in FIXED})


def loop_vertices(arrays, pose):
  """FLAME written out: one frame, one vertex, one joint at a time, in float64."""
  matrix = lambda v: Rotation.from_rotvec(v).as_matrix()
  eyes = np.split(pose["eye_pose"], 2)
  turns = [pose["head_pose"], pose["neck_pose"], pose["jaw_pose"], *eyes]
  local = [matrix(turn) for turn in turns]
  shaped = arrays["v_template"] + arrays["shapedirs"] @ pose["shape"]
  shaped = shaped + arrays["exprdirs"] @ pose["expression"]
  joints = arrays["J_regressor"] @ shaped
  features = np.concatenate([(r - np.eye(3)).ravel() for r in local[1:]])
  rest = shaped + arrays["eyelid_dirs"] @ pose["eyelids"]
  rest = rest + np.einsum("p,pva->va", features, arrays["posedirs"])
  world = [np.eye(4) for _ in range(5)]
  for j, parent in enumerate(face_model.PARENTS):
    own = np.eye(4)
    own[:3, :3] = local[j]
    own[:3, 3] = joints[j] - (joints[parent] if j else 0)
    world[j] = world[parent] @ own if j else own
  out = np.zeros_like(rest)
  for v, point in enumerate(rest):
    for j in range(5):
      moved = world[j][:3, :3] @ (point - joints[j]) + world[j][:3, 3]
      out[v] += arrays["lbs_weights"][v, j] * moved
  return out + pose["translation"]


def test_forward_map_equals_the_formula_written_out(model):
  arrays = random_head.random_arrays(60, 4, 6)
  pose = random_head.random_pose(model, (5,), scale=0.6)
  ours = posed_vertices(model, **pose)
  for t in range(5):
    expected = loop_vertices(arrays, {name: track[t] for name, track in pose.items()})
    np.testing.assert_allclose(ours[t], expected, atol=1e-6)


def test_head_fixed_is_posed_with_root_and_neck_at_rest(model):
  pose = random_head.random_pose(model, (2, 3))
  rest = {n: 0 * pose[n] for n in ("neck_pose", "head_pose", "translation")}
  posed = posed_vertices(model, **{**pose, **rest})
  np.testing.assert_allclose(head_fixed(model, pose), posed, atol=1e-6)


def test_constant_identity_broadcasts_over_frames(model):
  pose = random_head.random_pose(model, (3,))
  repeated = {**pose, "shape": np.repeat(pose["shape"][:1], 3, axis=0)}
  constant = {**pose, "shape": pose["shape"][0]}
  np.testing.assert_allclose(
    posed_vertices(model, **constant),
    posed_vertices(model, **repeated),
    atol=1e-6,
  )


def test_subset_gives_identical_vertices_and_keeps_what_is_whole(model):
  ids = np.random.default_rng(3).permutation(60)[:25]
  ids = np.union1d(ids, model.landmark_triangles[0])[::-1]
  subset = face_model.vertex_subset(model, ids)
  pose = random_head.random_pose(model, (4,))
  full = posed_vertices(model, **pose)
  ours = posed_vertices(subset, **pose)
  # The same sums, but the matrix product may be blocked otherwise: 1 ulp of 0.3 m.
  np.testing.assert_allclose(ours, full[:, ids], atol=1e-7)
  np.testing.assert_array_equal(
    ids[subset.regions["face"]], [v for v in model.regions["face"] if v in ids]
  )
  np.testing.assert_array_equal(
    ids[subset.faces], [face for face in model.faces if np.isin(face, ids).all()]
  )
  kept = np.isin(model.landmark_ids, subset.landmark_ids)
  assert kept[0]
  np.testing.assert_allclose(
    face_model.landmarks(subset, ours),
    face_model.landmarks(model, full)[:, kept],
    atol=1e-6,
  )
  assert subset.version != model.version


def test_gradients_are_finite_at_rest_and_right_elsewhere(model):
  pose = random_head.random_pose(model, (2,))
  loss = lambda p: (face_model.posed_vertices(model, **p) ** 2).sum()
  gradient = jax.jit(jax.grad(loss))
  at_rest = gradient({name: 0 * track for name, track in pose.items()})
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(at_rest))
  there = gradient(pose)
  for name, track in pose.items():  # along a random direction, one track at a time
    direction = np.random.default_rng(5).normal(size=track.shape)
    moved = lambda step, name=name, track=track, d=direction: loop_loss(
      {**pose, name: track + step * d}
    )
    numeric = (moved(1e-4) - moved(-1e-4)) / 2e-4
    analytic = np.sum(np.asarray(there[name]) * direction)
    np.testing.assert_allclose(analytic, numeric, rtol=2e-3, atol=1e-4, err_msg=name)


def loop_loss(pose):
  arrays = random_head.random_arrays(60, 4, 6)
  frames = [{name: track[t] for name, track in pose.items()} for t in range(2)]
  return sum((loop_vertices(arrays, frame) ** 2).sum() for frame in frames)


def test_model_is_a_pytree_and_equal_versions_share_a_compilation(model):
  traces = []

  @jax.jit
  def area(m):
    traces.append(1)
    return m.vertex_areas.sum()

  again = face_model.from_arrays(**random_head.random_arrays(60, 4, 6))
  other = face_model.from_arrays(**random_head.random_arrays(60, 4, 6, seed=9))
  area(model), area(again)
  assert len(traces) == 1 and again.version == model.version
  area(other)
  assert len(traces) == 2 and other.version != model.version
  doubled = jax.tree.map(lambda leaf: 2 * leaf, model)
  assert doubled.name == model.name
  np.testing.assert_allclose(doubled.exprdirs, 2 * model.exprdirs)


def test_named_bases_are_the_given_arrays(model):
  arrays = random_head.random_arrays(60, 4, 6)
  for name in ("v_template", "shapedirs", "exprdirs", "eyelid_dirs", "posedirs"):
    np.testing.assert_allclose(getattr(model, name), arrays[name], atol=1e-7)


def test_vertex_areas_sum_to_the_surface():
  arrays = random_head.random_arrays(60, 1, 1)
  square = np.zeros((60, 3))
  square[:4] = [[0, 0, 0], [2, 0, 0], [2, 1, 0], [0, 1, 0]]
  arrays |= {"v_template": square, "faces": [[0, 1, 2], [0, 2, 3]]}
  areas = face_model.from_arrays(**arrays).vertex_areas
  np.testing.assert_allclose(areas[:5], [2 / 3, 1 / 3, 2 / 3, 1 / 3, 0], rtol=1e-6)


def test_clip_vertices_are_chunked_without_a_seam(model, monkeypatch):
  pose = random_head.random_pose(model, (150,))
  clip = motion.zeros(150, "random", 6, num_shape=4)
  clip = clip.replace(**{**pose, "shape": pose["shape"][0]})
  expected = posed_vertices(model, **{**pose, "shape": pose["shape"][0]})
  np.testing.assert_allclose(
    face_model.motion_vertices(model, clip), expected, atol=1e-6
  )
  plain = {**{n: pose[n] for n in FIXED}, "shape": None}
  expected = head_fixed_vertices(model, **plain)
  ours = face_model.motion_vertices(model, clip, head_fixed=True, identity=False)
  np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_fewer_coefficients_are_padded_more_are_refused(model):
  few = motion.zeros(2, "random", 3, num_shape=1).replace(
    expression=np.ones((2, 3), np.float32)
  )
  padded = motion.zeros(2, "random", 6).replace(
    expression=np.pad(np.ones((2, 3), np.float32), ((0, 0), (0, 3)))
  )
  np.testing.assert_array_equal(
    face_model.motion_vertices(model, few), face_model.motion_vertices(model, padded)
  )
  with pytest.raises(UserError, match="7 expression coefficients"):
    face_model.motion_vertices(model, motion.zeros(2, "random", 7))
  with pytest.raises(ValueError, match="5 expression coefficients"):
    face_model.head_fixed_vertices(
      model, jnp.zeros(5), jnp.zeros(3), jnp.zeros(2), jnp.zeros(6)
    )


def test_another_basis_is_an_error_that_names_both(model):
  with pytest.raises(UserError, match=r"'flame2020'.*'random'"):
    face_model.motion_vertices(model, motion.zeros(2, "flame2020", 6))


def test_missing_region_says_where_regions_come_from(model):
  with pytest.raises(UserError, match=r"no region 'upper_face'.*FLAME_masks.pkl"):
    model.regions["upper_face"]


@pytest.mark.parametrize("field", ["shapedirs", "posedirs", "lbs_weights"])
def test_constructor_checks_shapes(field):
  arrays = random_head.random_arrays(60, 4, 6)
  arrays[field] = arrays[field][:-1]
  with pytest.raises(ValueError, match=field):
    face_model.from_arrays(**arrays)


def test_lids_turn_with_the_head_unlike_those_of_smirk(model):
  """SMIRK adds lid offsets after skinning: (R - I) d off, 30 degrees of yaw here."""
  rest = {n: 0 * v for n, v in random_head.random_pose(model, (1,)).items()}
  yaw = {**rest, "head_pose": np.float32([[0, np.pi / 6, 0]])}
  closed = {**yaw, "eyelids": np.float32([[1, 1]])}
  ours = posed_vertices(model, **closed)[0]
  offsets = np.asarray(model.eyelid_dirs).sum(axis=-1)
  smirk = posed_vertices(model, **yaw)[0] + offsets
  turn = Rotation.from_rotvec([0, np.pi / 6, 0]).as_matrix() - np.eye(3)
  np.testing.assert_allclose(ours - smirk, offsets @ turn.T, atol=1e-6)
  assert np.abs(ours - smirk).max() > 0.4 * np.abs(offsets).max()


def test_a_folded_identity_gives_the_same_faces(model):
  pose = random_head.random_pose(model, (3,))
  shape = pose.pop("shape")[0]
  folded = face_model.with_identity(model, shape)
  assert folded.num_shape == 0 and folded.num_expression == model.num_expression
  np.testing.assert_allclose(
    posed_vertices(folded, **pose),
    posed_vertices(model, **pose, shape=shape),
    atol=1e-6,
  )


def test_the_derivative_of_skinning_is_that_of_its_formula():
  """By every argument, forwards and backwards: the rule is written by hand."""
  rng = np.random.default_rng(0)
  sizes = ((2, 3, 7), (7, 5), (2, 5, 3, 3), (2, 5, 3))
  arguments = [jnp.asarray(rng.normal(size=size), jnp.float32) for size in sizes]

  def formula(v, w, r, o):
    turned = jnp.einsum("njik,nkv->njiv", r, v) + o[..., None]
    return jnp.einsum("njiv,vj->niv", turned, w)

  np.testing.assert_allclose(
    face_model.skin(*arguments), formula(*arguments), atol=1e-5
  )
  every = (0, 1, 2, 3)
  expected = jax.jacrev(formula, every)(*arguments)
  for mode in (jax.jacrev, jax.jacfwd):
    for ours, wanted in zip(mode(face_model.skin, every)(*arguments), expected):
      np.testing.assert_allclose(ours, wanted, atol=1e-5)


def test_correctives_that_move_nothing_have_no_row():
  head = load_model.default_head()
  assert 0 < len(head.pose_features) < face_model.NUM_POSE_FEATURES
  kept = np.asarray(head.posedirs)[head.pose_features]
  assert (np.abs(kept).max((1, 2)) > 0).all()
  others = np.delete(np.asarray(head.posedirs), head.pose_features, axis=0)
  assert not others.any()
  rows = 1 + head.num_motion_rows + head.num_shape
  assert head.basis.shape[0] == rows and head.motion_basis.shape[0] == 50 + 2 + 36
