"""What the benchmark of keys and kept parts says of motions that are known."""

import types

import numpy as np
import pytest

from benchmarks import keys as benchmark
from tdmm_jax.face import load_model, motion_vector
from tdmm_jax.face import motion as motion_lib
from tdmm_jax.generate import keys

LENGTH = 100


@pytest.fixture(scope="module")
def face():
  """What is asked of a run: its head, and how much its motions vary."""
  head = load_model.default_head()
  std_P = np.ones(head.num_expression + motion_vector.NUM_POSE, np.float32)
  return types.SimpleNamespace(codec=types.SimpleNamespace(face=head, std_P=std_P))


def looking(degrees, num_frames=1):
  turn = np.float32([[0, np.radians(degrees), 0]]).repeat(num_frames, 0)
  return motion_lib.zeros(num_frames).replace(
    head_pose=turn, eye_pose=np.concatenate([turn, turn], -1)
  )


def test_a_pose_that_is_missed_is_seen(face):
  still, key = motion_lib.zeros(LENGTH), keys.Key(2.0, looking(8.0))
  missed = benchmark.distances(face.codec.face, still, key)
  assert missed["head_deg"] == pytest.approx(8.0, abs=1e-3)
  assert missed["eyes_deg"] == pytest.approx(8.0, abs=1e-3)
  smiling = key.pose.replace(expression=np.ones_like(key.pose.expression))
  missed = benchmark.distances(face.codec.face, still, keys.Key(2.0, smiling))
  assert 0.5 < missed["vertices_mean_mm"] < missed["vertices_max_mm"]
  assert 0.5 < missed["landmarks_mean_mm"] < missed["landmarks_max_mm"]


def test_clips_that_meet_their_keys_smoothly(face):
  poses = [looking(d) for d in (4.0, 6.0, 8.0)]
  still = [motion_lib.zeros(LENGTH)] * 2
  (row, _) = benchmark.score_keys(face, ["She smiles."] * 2, still, poses, seed=0)
  assert len(row["met"]) == 3
  assert max(max(met.values()) for met in row["met"]) < 1e-3
  assert 0 < row["keyed"]["head_step"].max() < 8.0 * keys._PEAK_SPEED / 10
  assert row["plain"]["head_step"].max() == 0.0
  assert row["obeyed"] == [0.0, 0.0]  # nobody smiles


def test_sentences_are_spread_evenly():
  texts = benchmark.sentences()
  assert benchmark.sentences(3) == [texts[0], texts[len(texts) // 2], texts[-1]]
  assert benchmark.sentences(1000) == texts


@pytest.mark.parametrize("flag", ["--seeds", "--num"])
def test_bad_numbers_are_the_users_error(flag, capsys):
  assert benchmark.main([flag, "0"]) == 2
  assert f"{flag} 0: give at least 1" in capsys.readouterr().err
