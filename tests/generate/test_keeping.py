"""Parts of a motion that stay while the others are made anew."""

import numpy as np
import pytest
import tiny

from tdmm_jax.errors import UserError
from tdmm_jax.face import (
  action_units,
  face_model,
  load_model,
  motion_vector,
)
from tdmm_jax.face import motion as motion_lib
from tdmm_jax.generate import keeping

OTHER = {keeping.LIPS: keeping.UPPER, keeping.UPPER: keeping.LIPS}


@pytest.fixture(scope="module")
def head():
  return load_model.default_head()


def acting(seed, *units):
  """Ten frames of a face that moves these action units, or any, as far as they go."""
  rng = np.random.default_rng(seed)
  activations = rng.uniform(0, 1, (10, len(action_units.ACTION_UNITS)))
  if units:
    known = [name in units for name in action_units.ACTION_UNITS]
    activations = activations * known
  else:  # a few at a time, as faces do
    activations *= rng.uniform(size=activations.shape) < 0.15
  draw = lambda width, size: rng.uniform(-size, size, (10, width)).astype(np.float32)
  return motion_lib.zeros(10).replace(
    expression=action_units.activations_to_expression(activations),
    jaw_pose=np.abs(draw(3, 0.2)) * np.float32([1, 0, 0]),
    eyelids=np.abs(draw(2, 1.0)),
    eye_pose=draw(6, 0.2),
    head_pose=draw(3, 0.3),
    neck_pose=draw(3, 0.1),
    translation=draw(3, 0.1),
  )


def apart_mm(head, a, b, part):
  """float[T, N]: between the skins of two motions, where a part is."""
  skins = [face_model.motion_vertices(head, m, head_fixed=True) for m in (a, b)]
  ids = keeping.region(head, part)
  return 1000 * np.linalg.norm((skins[0] - skins[1])[:, ids], axis=-1)


@pytest.mark.parametrize("part, most_mm", [(keeping.LIPS, 0.1), (keeping.UPPER, 0.7)])
def test_a_region_stays_and_the_other_one_is_new(head, part, most_mm):
  for seed in range(4):
    motion, made = acting(2 * seed), acting(2 * seed + 1)
    mixed = keeping.kept(head, motion, made, keeping.checked(part))
    assert apart_mm(head, mixed, motion, part).max() < most_mm
    # Jaw and lids are the kept region's own, so the others are compared with them.
    wanted = made.replace(
      **{name: getattr(mixed, name) for name in ("jaw_pose", "eyelids", "eye_pose")}
    )
    far = apart_mm(head, wanted, motion, OTHER[part]).mean()
    assert apart_mm(head, wanted, mixed, OTHER[part]).mean() < 0.25 * far


def test_brows_and_lips_do_not_know_each_other(head):
  brows = acting(1, "brow_lowerer_l", "outer_brow_raiser_r")
  lips = acting(2, "lip_pucker", "lip_corner_depressor_l")
  mixed = keeping.kept(head, lips, brows, keeping.checked("lips"))
  both = (brows.expression + lips.expression).astype(np.float32)
  whole = mixed.replace(expression=both)
  for part in OTHER:
    assert apart_mm(head, mixed, whole, part).max() < 0.2


@pytest.mark.parametrize(
  "part, copied",
  [
    ("head", ("head_pose", "neck_pose", "translation")),
    ("face", ("expression", "jaw_pose", "eyelids", "eye_pose")),
    ("lips", ("jaw_pose",)),
    ("upper", ("eyelids", "eye_pose")),
  ],
)
def test_tracks_of_a_part_are_copied_bit_for_bit(head, part, copied):
  motion, made = acting(1), acting(2)
  mixed = keeping.kept(head, motion, made, keeping.checked(part))
  for name in motion_lib.TRACKS:
    source = motion if name in copied else made
    same = np.array_equal(getattr(mixed, name), getattr(source, name))
    assert same or (name == "expression" and part in OTHER), name


def test_frames_that_are_not_new_stay_bit_for_bit(head):
  motion, made = acting(1), acting(2)
  expression = motion.expression.copy()
  expression[4:7] = made.expression[4:7]
  made = made.replace(expression=expression)
  mixed = keeping.kept(head, motion, made, keeping.checked("lips"))
  same_T = (mixed.expression == motion.expression).all(axis=1)
  assert same_T.tolist() == [not 4 <= t < 7 for t in range(10)]


def test_parts_add_up():
  assert keeping.checked(()) == keeping.checked("") == frozenset()
  assert keeping.checked("lips") == {"lips"}
  assert keeping.checked(["head", "lips"]) == {"head", "lips"}
  assert keeping.checked(["upper", "lips"]) == {"face"}
  assert keeping.checked(["face", "lips"]) == {"face"}


@pytest.mark.parametrize(
  "keep, said",
  [
    ("mouth", "keep 'mouth': no such part; choose head, face, lips, upper"),
    (["head", "face"], "keep head, face: nothing would be new"),
    (["head", "lips", "upper"], "nothing would be new"),
  ],
)
def test_parts_that_cannot_be_kept(keep, said):
  with pytest.raises(UserError, match=said):
    keeping.checked(keep)


def test_a_run_makes_the_rest_of_a_motion_anew(loaded_run, tiny_run):
  motion = tiny.first_motion(tiny_run)
  head_kept = loaded_run.edit(motion, "She smiles.", keep="head")
  assert head_kept.num_frames == motion.num_frames
  np.testing.assert_array_equal(head_kept.head_pose, motion.head_pose)
  assert not np.array_equal(head_kept.expression, motion.expression)
  face_kept = loaded_run.edit(motion, "She smiles.", keep="face", seed=1)
  vectors = [motion_vector.from_motion(m)[:, :-3] for m in (face_kept, motion)]
  np.testing.assert_array_equal(*vectors)
  assert not np.array_equal(face_kept.head_pose, motion.head_pose)
  both = loaded_run.edit(motion, "She smiles.", 4, 16, keep=["head", "lips"])
  np.testing.assert_array_equal(both.head_pose, motion.head_pose)
  np.testing.assert_array_equal(both.expression[16:], motion.expression[16:])
  assert apart_mm(loaded_run.codec.face, both, motion, "lips").max() < 0.5
  with pytest.raises(UserError, match="no such part"):
    loaded_run.edit(motion, "She smiles.", keep="ears")
