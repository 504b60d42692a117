"""The table of simulated beside real motion is right on tracks worked by hand."""

import dataclasses

import numpy as np
import pytest

from data_prep import expressions, motion_statistics, simulate
from tdmm_jax.language import lexicon

BASIS = simulate.HeadBasis("stand-in", 5, np.eye(expressions.NUM_ACTION_UNITS))


def motion(seed=0):
  attributes = lexicon.parse("A very sad man speaks, then nods.")
  return simulate.simulate(attributes, seed, 4.0, basis=BASIS)


def test_statistics_of_known_tracks():
  times = np.arange(100) / 25
  ramp = np.stack([2.0 * times, 0.0 * times], 1)  # 2 a second, no jitter
  extent, speed, peak, jitter = motion_statistics.track_statistics(ramp, 25)
  assert speed == pytest.approx(2.0) and peak == pytest.approx(2.0)
  assert extent == pytest.approx(0.95 * 2.0 * times[-1])
  assert jitter == pytest.approx(0.0, abs=1e-6)
  zigzag = (np.arange(100) % 2)[:, None].astype(float)  # third difference 4
  assert motion_statistics.track_statistics(zigzag, 25)[3] == pytest.approx(4 * 25**3)


def test_twice_as_fast_is_twice_the_speed():
  one = motion()
  rows = {
    (row["track"], row["statistic"]): row["ratio"]
    for row in motion_statistics.compare(
      motion_statistics.mean_statistics([dataclasses.replace(one, fps=50.0)]),
      motion_statistics.mean_statistics([one]),
    )
  }
  assert rows["jaw (rad)", "speed"] == pytest.approx(2.0)
  assert rows["jaw (rad)", "range"] == pytest.approx(1.0)
  assert rows["head (rad)", "jitter"] == pytest.approx(8.0)


def test_report_marks_what_is_far():
  values = motion_statistics.mean_statistics([motion(1), motion(2)])
  changed = values | {"eyelids": 3.0 * values["eyelids"]}
  rates = {"expression": motion_statistics.rates(values["expression"])}
  text = motion_statistics.report(motion_statistics.compare(changed, values, rates))
  assert "18 of 22 within a factor of 2" in text
  assert sum("*" in line for line in text.splitlines()) == 4


def test_flame_sequences(tmp_path):
  folder = tmp_path / motion_statistics.SEQUENCES
  folder.mkdir()
  rng = np.random.default_rng(0)
  arrays = {"expr": rng.normal(size=(50, 65)), "eye_rot": rng.normal(size=(50, 3))}
  np.savez(folder / "a.npz", fps=24, **arrays)
  found = motion_statistics.sequence_rates(tmp_path)
  assert set(found) == {"expression", "gaze (rad)"}
  expected = motion_statistics.track_statistics(arrays["expr"][:, :64], 24)
  assert found["expression"][0] == pytest.approx(expected[1] / expected[0])
  np.savez(folder / "a.npz", expr=arrays["expr"])
  with pytest.raises(motion_statistics.UserError, match="lacks eye_rot, fps"):
    motion_statistics.sequence_rates(tmp_path)


@pytest.mark.parametrize(
  "args,message", [([], "no records"), (["--num", "0"], "--num")]
)
def test_bad_input(args, message, tmp_path, capsys):
  command = [str(tmp_path), "--real", str(tmp_path), *args]
  assert motion_statistics.main(command) == 2
  assert message in capsys.readouterr().err
