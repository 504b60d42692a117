"""What a fit takes for a person's rest, and what for an expression."""

import dataclasses
import functools
import os
import pathlib

import numpy as np
import pytest

from tdmm_jax.cli import main
from tdmm_jax.errors import UserError
from tdmm_jax.face import action_units, face_model, head_file, load_model, motion
from tdmm_jax.face.fit import (
  fit_landmarks,
  fit_person,
  landmark_model,
  landmark_problem,
  landmarks,
)

SMILE = [action_units.ACTION_UNITS.index(f"lip_corner_puller_{side}") for side in "lr"]
SIZE = (800, 600)


@functools.cache
def head():
  return load_model.default_head()


def to_activations(clip) -> np.ndarray:
  """float[T, U]."""
  return np.linalg.solve(head_file.activation_matrix(), clip.expression.T).T


def acted(person, smile_T, jaw=0.0):
  """Landmarks in pixels of a random person who smiles this much: [T, 478, 2].

  The person is one of `people`'s, their rest; the smile is the head's own.
  """
  units = np.zeros((len(smile_T), 50))
  units[:, SMILE] = np.asarray(smile_T)[:, None]
  return _drawn(person, units, jaw)


def acted_units(person, levels):
  """The same of units that are held for 50 frames: {unit: level}."""
  units = np.zeros((50, 50))
  units[:, list(levels)] = list(levels.values())
  return _drawn(person, units, 0.0)


def _drawn(person, units, jaw):
  rng = np.random.default_rng(person)
  T = len(units)
  angles = np.zeros((T, 3))
  angles[:, 0] = jaw * (1 - np.cos(np.arange(T) * 1.1))
  clip = motion.zeros(T).replace(
    expression=action_units.activations_to_expression(units),
    jaw_pose=angles.astype(np.float32),
    head_pose=np.cumsum(rng.normal(0, 0.01, (T, 3)), 0).astype(np.float32),
  )
  assumed, own = (
    landmark_model.landmark_model(head()),
    landmark_model.landmark_subset(head()),
  )
  modes = np.asarray(assumed.model.shape_basis)
  others = np.append(rng.normal(0, 1, len(modes) - 1), 0.0) @ modes
  rest = others + np.asarray(assumed.model.basis[0] - own.basis[0])
  basis = own.basis.copy()
  basis[0] += rest
  own = dataclasses.replace(own, basis=basis)
  vertices = face_model.motion_vertices(own, clip, identity=False)
  points = np.zeros((T, landmarks.NUM_POINTS, 2), np.float32)
  points[:, head().landmark_ids] = vertices[..., :2] * [2000, -2000] + [400, 300]
  return points + rng.normal(0, 0.3, points.shape).astype(np.float32)


def fitted(points, **options):
  seen = np.ones(len(points), bool)
  return fit_landmarks.fit_landmarks(head(), points, seen, 25.0, *SIZE, **options)


def landmark_file(path, points):
  arrays = {"landmarks_px": points, "detected": np.ones(len(points), bool)}
  np.savez(path, **arrays, fps=25.0, width=SIZE[0], height=SIZE[1])
  return str(path)


def test_a_smile_that_is_held_through_the_clip_stays_a_smile():
  kept = []
  for person in (0, 1):
    clip, found = fitted(acted(person, np.full(50, 0.8), jaw=0.04))
    units = to_activations(clip)
    kept.append(units[:, SMILE].mean() / 0.8)
    assert set(np.argsort(-units.mean(0))[:2]) == set(SMILE)
    assert {"lip_corner_puller_l", "lip_corner_puller_r"} <= set(found["held"])
    assert not found["rest_known"]
  assert np.mean(kept) >= 0.75  # of six persons 0.82 on average


def test_a_face_that_never_rests_is_said_to_be_so(tmp_path, capsys):
  source = landmark_file(tmp_path / "smile.npz", acted(0, np.full(50, 0.8), jaw=0.04))
  assert main.main(["fit", source, "-o", str(tmp_path / "m.npz")]) == 0
  said = capsys.readouterr()
  words = said.out + said.err
  assert "the face never rests in these (lip_corner_puller" in words
  assert "name neutral frames to know" in words


def test_neutral_frames_and_other_clips_tell_rest_from_smile(tmp_path):
  """Whose mouth is said to rest so has not smiled; whose rest is known, has."""
  smile = landmark_file(tmp_path / "smile.npz", acted(0, np.full(50, 0.8), jaw=0.04))
  rest = landmark_file(tmp_path / "rest.npz", acted(0, np.zeros(50), jaw=0.04))
  level = {}
  for name, options in (
    ("frames", ["--neutral", "0-50"]),
    ("file", ["--neutral", rest]),
    ("person", ["--person", rest]),
  ):
    made = str(tmp_path / f"{name}.npz")
    assert main.main(["fit", smile, "-o", made, *options]) == 0
    level[name] = to_activations(motion.load_npz(made))[:, SMILE].mean()
  assert level["frames"] < 0.4 < 0.64 < min(level["file"], level["person"])


def test_a_neutral_clip_shows_nothing_of_what_the_other_clips_express():
  """Its person's rest is the median of these frames, and of no others."""
  raised = [action_units.ACTION_UNITS.index(f"outer_brow_raiser_{s}") for s in "lr"]
  raised += [action_units.ACTION_UNITS.index(f"inner_brow_raiser_{s}") for s in "lr"]
  tracks = [
    {"landmarks_px": points, "detected": np.ones(len(points), bool)}
    for points in (acted(3, np.zeros(50)), acted_units(3, dict.fromkeys(raised, -0.5)))
  ]
  person = fit_person.fit_person(head(), tracks, [slice(0, 50), None])
  clip, found = fitted(tracks[0]["landmarks_px"], person=person)
  assert found["rest_known"]
  assert to_activations(clip)[:, raised].mean() < 0.05


def test_brows_that_sink_but_do_not_come_nearer_are_lowered():
  """As people's brow points do: a tracker sees no point along a brow."""
  points = acted(4, np.zeros(50))
  person = fit_person.fit_person(
    head(), [{"landmarks_px": points, "detected": np.ones(50, bool)}], [slice(0, 50)]
  )
  points[:, list(landmark_problem._BROWS), 1] += 6.0  # px, 3 mm
  clip, _ = fitted(points, person=person)
  lowered = [action_units.ACTION_UNITS.index(f"brow_lowerer_{side}") for side in "lr"]
  assert to_activations(clip)[:, lowered].mean() > 0.4


def test_clips_whose_bones_differ_are_of_two_people():
  ours = np.zeros((36, 2))
  fit_person._check_one_person([ours, ours + [0.002, 0.0]])  # as clips of one actor
  with pytest.raises(UserError, match=r"clips 1 and 3 of 3: the faces differ by 4\.0"):
    fit_person._check_one_person([ours, ours, ours + [0.004, 0.0]])


def test_many_clips_of_one_actor_are_of_one_person(monkeypatch):
  """However few frames of each there are to know the person by."""
  folder = pathlib.Path(os.environ.get("TDMM_REAL_DATA", ""), "mead_m030")
  if not folder.is_dir():
    pytest.skip("TDMM_REAL_DATA names no folder with mead_m030")
  monkeypatch.setattr(fit_person, "MAX_STEPS", 1)
  clips = [landmarks.read_landmarks(path) for path in sorted(folder.glob("*.npz"))]
  fit_person.fit_person(head(), clips)


def test_a_persons_rest_is_not_an_expression():
  points = acted(2, np.zeros(50), jaw=0.06)
  clip, found = fitted(points)
  units = to_activations(clip)
  assert units.min() > -1e-3  # an action unit is there or not
  quiet = [
    name not in landmark_model.SPEECH_UNITS for name in action_units.ACTION_UNITS
  ]
  vertices = lambda units: face_model.motion_vertices(
    head(),
    motion.zeros(len(units)).replace(
      expression=action_units.activations_to_expression(units)
    ),
  )
  moved = np.asarray(
    face_model.landmarks(head(), vertices(units * quiet))
  ) - face_model.landmarks(head(), vertices(units[:1] * 0.0))
  assert np.sqrt((moved**2).sum(-1).mean(-1)).mean() * 1000 < 0.6
  assert np.corrcoef(clip.jaw_pose[:, 0], 1 - np.cos(np.arange(50) * 1.1))[0, 1] > 0.9
  assert found["landmark_error"] < 0.006


@pytest.mark.parametrize(
  ("options", "message"),
  [
    (["--neutral", "20-90"], "no neutral frames 20-90 in its 50 frames"),
    (["--neutral", "9-9"], "no neutral frames 9-9"),
    (["--neutral", "nothing.npz"], "nothing.npz"),
    (["--person", "nobody.npz"], "nobody.npz"),
  ],
)
def test_neutral_faces_that_are_not_there(tmp_path, capsys, options, message):
  source = landmark_file(tmp_path / "clip.npz", np.zeros((50, 478, 2), np.float32))
  assert main.main(["fit", source, "-o", str(tmp_path / "m.npz"), *options]) == 2
  said = capsys.readouterr().err.strip()
  assert message in said and "\n" not in said


def test_neutral_frames_without_a_face_are_an_error():
  points, seen = acted(0, np.zeros(40)), np.arange(40) >= 10
  with pytest.raises(UserError, match="neutral frames 0-10: no face"):
    fit_landmarks.fit_landmarks(head(), points, seen, 25.0, *SIZE, neutral=slice(0, 10))


@pytest.mark.slow
def test_a_real_smile_is_the_strongest_unit_and_a_real_rest_hardly_moves():
  folder = pathlib.Path(os.environ.get("TDMM_REAL_DATA", ""), "mead_m030")
  if not folder.is_dir():
    pytest.skip("TDMM_REAL_DATA names no folder with mead_m030")
  quiet = np.array(
    [name not in landmark_model.SPEECH_UNITS for name in action_units.ACTION_UNITS]
  )
  units = {}
  for emotion in ("happy_level3", "neutral_level1"):
    path = folder / f"M030_front_{emotion}_001.landmarks.npz"
    clip, _ = fit_landmarks.fit_landmarks(head(), **landmarks.read_landmarks(path))
    units[emotion] = to_activations(clip) * quiet
  strongest = np.argsort(-np.percentile(units["happy_level3"], 90, axis=0))
  assert set(strongest[:2]) == set(SMILE)
  assert np.percentile(units["neutral_level1"], 90, axis=0).max() < 0.4
