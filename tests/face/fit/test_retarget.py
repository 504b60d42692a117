import dataclasses

import flame_head
import jax.numpy as jnp
import numpy as np
import pytest

from tdmm_jax.cli import main
from tdmm_jax.errors import UserError
from tdmm_jax.face import action_units, arkit, head_file, load_model, motion
from tdmm_jax.face import face_model as face_lib
from tdmm_jax.face.files import read
from tdmm_jax.face.fit import between_heads, retarget


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    yield


@pytest.fixture(scope="module")
def head():
  return load_model.default_head()


@pytest.fixture(scope="module")
def other(head):
  """The default head of another size, broader, with its coefficients mixed up."""
  rng = np.random.default_rng(0)
  mixing, _ = np.linalg.qr(rng.normal(size=(50, 50)))
  stretch = np.array([1.1, 1.0, 1.05])[:, None] * 0.9
  basis = np.array(head.basis).reshape(len(head.basis), 3, -1)
  basis[0] *= stretch
  basis[1:] *= 0.9 * np.cbrt(1.1 * 1.05)
  basis[1:51] = np.einsum("ef,eav->fav", mixing, basis[1:51])
  made = dataclasses.replace(
    head,
    basis=jnp.asarray(basis.reshape(len(basis), -1)),
    joint_template=head.joint_template * stretch[:, 0],
    joint_exprdirs=jnp.einsum("jae,ef->jaf", head.joint_exprdirs, mixing),
    name="other",
    version="other",
  )
  return made, mixing


@pytest.fixture(scope="module")
def flame(tmp_path_factory):
  path, mixing = flame_head.write(tmp_path_factory.mktemp("flame"))
  return load_model.load_face_model(str(path)), mixing, path


def acted(num_frames=20, name="default_v2"):
  """Random faces: units, jaw, lids, eyes and head."""
  rng = np.random.default_rng(1)
  units = np.clip(rng.normal(size=(num_frames, 50)) * 0.4, 0, 1)
  jaw = np.zeros((num_frames, 3))
  jaw[:, 0] = rng.uniform(0, 0.3, num_frames)
  made = motion.zeros(num_frames, name).replace(
    expression=action_units.activations_to_expression(units),
    jaw_pose=jaw,
    eyelids=rng.uniform(0, 1, (num_frames, 2)),
    eye_pose=rng.normal(size=(num_frames, 6)) * 0.1,
    head_pose=rng.normal(size=(num_frames, 3)) * 0.1,
  )
  return motion.validate(made, "acted")


def marks(model, clip):
  """Landmarks in mm, head-fixed, by mediapipe's number, [T, 3] each."""
  vertices = face_lib.motion_vertices(model, clip, head_fixed=True, identity=False)
  places = np.asarray(face_lib.landmarks(model, vertices)) * 1e3
  return dict(zip(model.landmark_ids.tolist(), places.swapaxes(0, 1), strict=True))


def distance(model, one, two):
  """Mean distance over landmarks, mm."""
  one, two = marks(model, one), marks(model, two)
  return np.mean([np.linalg.norm(one[i] - two[i], axis=-1) for i in one])


def height(model, clip, upper, lower):
  places = marks(model, clip)
  return places[upper][:, 1] - places[lower][:, 1]


def test_another_head_moves_alike(head, other):
  model, mixing = other
  clip = acted()
  carried = retarget.retarget(clip, head, model)
  # Vertices are the same on both, so the truth is known to the coefficient.
  truth = carried.replace(expression=clip.expression @ mixing)
  still = motion.zeros(clip.num_frames, "other")
  assert distance(model, still, truth) > 3.0
  assert distance(model, carried, truth) < 0.3
  for name in ("head_pose", "eye_pose", "eyelids", "valid"):
    np.testing.assert_array_equal(getattr(carried, name), getattr(clip, name))
  back = retarget.retarget(carried, model, head)
  assert distance(head, back, clip) < 0.1
  np.testing.assert_allclose(back.jaw_pose, clip.jaw_pose, atol=1e-5)


def test_the_map_is_linear_and_the_neutral_face_stays(head, other):
  bridge = retarget.Bridge(head, other[0])
  assert not bridge(motion.zeros(2)).expression.any()
  clip = acted(4)
  half = clip.replace(expression=clip.expression / 2, jaw_pose=clip.jaw_pose / 2)
  np.testing.assert_allclose(
    bridge(half).expression * 2, bridge(clip).expression, rtol=1e-4, atol=1e-5
  )


def test_a_pair_is_registered_once(head, other, monkeypatch):
  first = retarget.correspondence(head, other[0])
  monkeypatch.setattr(retarget, "_register", None)
  again = retarget.correspondence(other[0], head)
  np.testing.assert_array_equal(again.corners_a, first.corners_b)
  np.testing.assert_array_equal(again.weights_b, first.weights_a)


def test_lids_of_a_model_without_them_move_by_expression(head, other):
  """FLAME without its eyelid files: what lids do goes into the expression, and back."""
  model = other[0]
  basis = np.array(model.basis)
  basis[51:53] = 0.0
  bare = dataclasses.replace(
    model, basis=jnp.asarray(basis), name="bare", version="bare"
  )
  clip = motion.zeros(2).replace(eyelids=np.float32([[0, 0], [1, 1]]))
  carried = retarget.retarget(clip, head, bare)
  assert not carried.eyelids.any() and np.abs(carried.expression[1]).max() > 0.1
  back = retarget.retarget(acted(3).replace(face_model="bare"), bare, head)
  assert (back.eyelids >= 0).all() and (back.eyelids <= 1).all()


def test_errors(head, other, tmp_path, capsys):
  with pytest.raises(UserError, match="'default_v2', but the model given is 'other'"):
    retarget.Bridge(other[0], head)(acted(1))
  unmarked = dataclasses.replace(
    other[0], landmark_ids=head.landmark_ids[:0], name="flame2020", version="unmarked"
  )
  with pytest.raises(
    UserError, match=r"mediapipe_landmark_embedding\.npz .* flame2020"
  ):
    retarget.retarget(acted(1), head, unmarked)
  foreign = tmp_path / "foreign.npz"
  motion.save_motion(foreign, acted(2, "flame2020"))
  command = ["retarget", str(foreign), "--face_model", "default_v2", "-o"]
  assert main.main([*command, str(tmp_path / "out.npz")]) == 2
  assert (
    "'flame2020', not to 'default_v2'; give that model's file"
    in capsys.readouterr().err
  )
  assert main.main([*command, str(tmp_path / "out.glb")]) == 2
  assert "written as .npz" in capsys.readouterr().err


def test_the_shipped_heads_there_and_back(tmp_path, head):
  source, out, back = (tmp_path / name for name in ("a.npz", "b.npz", "c.npz"))
  clip = acted(10).replace(shape=np.ones(3, np.float32))
  motion.save_motion(source, clip)
  command = ["retarget", str(source), "--face_model", "default_v1", "-o", str(out)]
  assert main.main(command) == 0
  command = ["retarget", str(out), "--face_model", "default_v2", "-o", str(back)]
  assert main.main(command) == 0
  returned = read.load_motion(back)
  assert returned.face_model == "default_v2"
  for name in ("jaw_pose", "eyelids", "shape", "head_pose"):
    np.testing.assert_array_equal(getattr(returned, name), getattr(clip, name))
  assert distance(head, returned, clip) < 0.35 * distance(
    head, clip, motion.zeros(clip.num_frames)
  )


def smile(name, num_frames=10):
  """A smile that grows, and a jaw that opens a little."""
  units = np.zeros((num_frames, 50))
  for side in "lr":
    units[:, action_units.ACTION_UNITS.index(f"lip_corner_puller_{side}")] = 1.0
  units *= np.linspace(0, 1, num_frames)[:, None]
  return motion.zeros(num_frames, name).replace(
    expression=action_units.activations_to_expression(units, name),
    jaw_pose=np.float32([[0.05, 0, 0]] * num_frames),
  )


def rms_mm(one, two):
  """Of the face's vertices, each motion on its own head, area-weighted, last frame."""
  faces = [load_model.default_head(clip.face_model) for clip in (one, two)]
  first, second = (
    face_lib.motion_vertices(face, clip, head_fixed=True, identity=False)[-1]
    for face, clip in zip(faces, (one, two))
  )
  ids = np.asarray(faces[0].regions["face"])
  squares = np.square(np.asarray(first - second)[ids]).sum(-1)
  return 1e3 * np.sqrt(np.average(squares, weights=faces[0].vertex_areas[ids]))


def test_an_earlier_heads_smile_looks_alike_and_stays_a_smile(head):
  before = smile("default_v1")
  carried = between_heads.carry(before, "default_v2")
  moved = rms_mm(before, motion.zeros(10).replace(jaw_pose=before.jaw_pose))
  # Units alone, taken over as they are, would smile more than a half wider.
  taken_over = smile("default_v2")
  assert moved > 2.5 and rms_mm(before, taken_over) > 1.7
  assert rms_mm(before, carried) < 1.2
  matrix = head_file.activation_matrix("default_v2")
  units_U = np.linalg.solve(matrix, carried.expression[-1])
  strongest = np.argsort(-np.abs(units_U))[:2]
  assert {action_units.ACTION_UNITS[i] for i in strongest} == {
    "lip_corner_puller_l",
    "lip_corner_puller_r",
  }
  with pytest.raises(UserError, match=r"a\.npz: 40 .* 'default_v1' has 50"):
    short = before.replace(expression=before.expression[:, :40])
    between_heads.carry(short, "default_v2", "a.npz")


def test_bumps_on_flames_template(head, flame):
  """The same bumps on both heads, each by its own landmarks, are the truth."""
  model, mixing, _ = flame
  bumps = flame_head.fields(
    head.v_template,
    head.faces,
    head.landmark_ids,
    head.landmark_triangles,
    head.landmark_barycentric,
  )
  basis = np.array(head.basis)
  basis[1:51] = bumps.transpose(2, 1, 0).reshape(50, -1)
  bumpy = dataclasses.replace(
    head, basis=jnp.asarray(basis), name="bumpy", version="bumpy"
  )
  expression = np.random.default_rng(2).normal(size=(30, 50)) * 0.5
  clip = motion.zeros(30, "bumpy").replace(expression=np.float32(expression))
  carried = retarget.retarget(clip, bumpy, model)
  truth = carried.replace(expression=np.float32(expression @ mixing))
  still = motion.zeros(30, model.name)
  assert distance(model, still, truth) > 1.5
  # Landmarks lie elsewhere within a bump on the two heads: what is copied from landmark
  # to landmark is off by a quarter of the motion.
  assert distance(model, carried, truth) < 0.25 * distance(model, still, truth)
  assert distance(bumpy, retarget.retarget(carried, model, bumpy), clip) < 0.3


def test_a_run_reads_motions_of_the_earlier_head(loaded_run, caplog):
  """The run speaks default_v2."""
  before = smile("default_v1", 20)
  own = between_heads.carry(before, "default_v2")
  for act in (
    loaded_run.describe,
    lambda clip: loaded_run.encode(clip).tolist(),
    lambda clip: loaded_run.edit(clip, "She smiles.", 5, 9).expression.tolist(),
    lambda clip: loaded_run.extend(clip, 0.2, "She smiles.").expression.tolist(),
  ):
    caplog.clear()
    assert act(before) == act(own)
    assert [record.getMessage() for record in caplog.records] == [
      "motion: of 'default_v1', another release's head; carried over to 'default_v2'"
    ]


def test_commands_read_motions_of_the_earlier_head(tmp_path, tiny_run, capsys):
  path, out = tmp_path / "v1.npz", tmp_path / "tokens.json"
  motion.save_motion(path, smile("default_v1", 20))
  command = ["encode", str(path), "-o", str(out), "--run", str(tiny_run)]
  assert main.main(command) == 0
  note = f"tdmm: warning: {path}: of 'default_v1', another release's head; carried over"
  assert capsys.readouterr().err.count(note) == 1
  # Drawn, exported and read by units, it stays on its own head.
  for command, *more in (
    ("describe", "--actions"),
    ("export", "-o", f"{tmp_path}/face.csv"),
  ):
    assert main.main([command, str(path), *more]) == 0
    assert "carried over" not in capsys.readouterr().err


def test_motions_of_both_heads_are_drawn_side_by_side(tmp_path, capsys):
  for name in head_file.NAMES:
    motion.save_motion(tmp_path / f"{name}.npz", smile(name, 2))
  files = [str(tmp_path / f"{name}.npz") for name in head_file.NAMES]
  options = ["--size", "64", "--frames", "2", "-o", str(tmp_path / "both.png")]
  assert main.main(["render", *files, *options]) == 0
  said = capsys.readouterr().err
  assert f"{files[1]}: of 'default_v2', another release's head; carried over" in said
  assert said.count("carried over") == 1


def test_mouth_and_lids_on_flames_template(head, flame):
  model, _, _ = flame
  shapes = arkit.shape_parameters()
  opened, closed = arkit.SHAPES.index("JawOpen"), arkit.SHAPES.index("MouthClose")
  jaw = np.outer([0.0, 0.5, 1.0, 1.0], shapes["jaw_pose"][opened])
  expression = np.outer([0, 0, 0, 1.0], shapes["expression"][closed])
  clip = motion.zeros(4).replace(
    jaw_pose=np.float32(jaw),
    expression=np.float32(expression),
    eyelids=np.float32([[0, 0], [0, 0], [0, 0], [1, 1]]),
  )
  carried = retarget.retarget(clip, head, model)
  ours, theirs = (height(m, c, 13, 14) for m, c in ((head, clip), (model, carried)))
  scale = retarget.Bridge(head, model).scale
  opening = theirs - theirs[0]
  np.testing.assert_allclose(opening[1:3], (ours - ours[0])[1:3] * scale, atol=1.5)
  for upper, lower in ((159, 145), (386, 374)):
    assert height(model, carried, upper, lower)[3] < 0.5
    assert height(model, carried, upper, lower)[0] > 5.0
