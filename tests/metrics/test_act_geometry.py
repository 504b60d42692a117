"""The meter of acts, on curves made by hand and on what the simulator acts out."""

import numpy as np
import pytest

from data_prep import prompts, simulate
from tdmm_jax.face import arkit, load_model
from tdmm_jax.language import acts as acts_lib
from tdmm_jax.language.acts import Act
from tdmm_jax.metrics import acts as measures

T, FPS = 100, 25.0


def tracks(curves=None, pitch=0.0, yaw=0.0, roll=0.0):
  zero = np.zeros(T)
  known = {name: zero + (curves or {}).get(name, 0.0) for name in arkit.SHAPES}
  return measures.Tracks(
    known, np.stack([zero + pitch, zero + yaw, zero + roll], 1), FPS
  )


def bumps(at, width=0.25):
  """1 around each time, s."""
  times = np.arange(T)[:, None] / FPS
  return np.exp(-(((times - np.array(at)) / width) ** 2)).sum(1)


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_nods_are_peaks_of_pitch(number):
  found = tracks(pitch=8 * bumps(0.5 + 0.9 * np.arange(number)))
  assert measures.count(found, Act("nod")) == number
  assert measures.done(found, Act("nod", count=number))["count"]
  assert not measures.done(found, Act("nod", count=number + 1))["count"]
  weak = tracks(pitch=3 * bumps(0.5 + 0.9 * np.arange(number)))
  assert measures.count(weak, Act("nod")) == 0


def test_sides_and_directions():
  left = tracks({"BrowOuterUpLeft": bumps([2.0])}, yaw=15 * bumps([2.0], 0.6))
  for side, right in (("left", True), ("right", False), ("both", False), ("one", True)):
    assert measures.done(left, Act("brow_raise", side=side)).get("side") == right
  assert measures.done(left, Act("turn", direction="left"))["direction"]
  assert not measures.done(left, Act("turn", direction="right"))["direction"]


def test_of_two_glances_each_has_its_direction():
  look = lambda *times: 0.8 * bumps(times, 0.3)
  shown = {"EyeLookOutLeft": look(1.0), "EyeLookInRight": look(1.0)}
  shown |= {"EyeLookInLeft": look(3.0, 3.1), "EyeLookOutRight": look(3.0, 3.1)}
  left = Act("gaze_shift", direction="left")
  right = Act("gaze_shift", direction="right", when="then")
  assert not measures.done(tracks(shown), left)["direction"]  # the other is larger
  assert all(right for _, right in measures.aspects(tracks(shown), [left, right]))
  up = Act("gaze_shift", direction="up")
  assert not dict(measures.aspects(tracks(shown), [left, up]))["direction"]


def test_times_tempos_and_absence():
  ramp = lambda start, length: np.clip((np.arange(T) / FPS - start) / length, 0, 1)
  slow, quick = (tracks({"JawOpen": ramp(2.0, s)}) for s in (1.0, 0.12))
  act = Act("jaw_drop", when="after", start_s=2.0, hold="held", tempo="quick")
  assert all(measures.done(quick, act).values())
  assert not measures.done(slow, act)["tempo"]
  assert measures.done(slow, act.replace(tempo="slow"))["tempo"]
  assert not measures.done(quick, act.replace(start_s=1.0))["time"]
  assert not measures.done(quick, act.replace(absent=True))["absent"]
  assert measures.done(tracks(), act.replace(absent=True)) == {"absent": True}
  assert measures.done(tracks(), Act(acts_lib.STILL))["absent"]


def test_simulated_acts_are_measured_right():
  """Through the head's own geometry: a few clips; the benchmark measures hundreds."""
  face, basis = load_model.default_head(), simulate.head_basis()
  plans = prompts.make_suite(60, seed=3, seconds=(4.0, 4.0))
  with_acts = [p for p in plans if len(p.attributes["acts"]) > 2][:6]
  found = []
  for plan in with_acts:
    motion = simulate.simulate(plan.attributes, plan.seed, 4.0, basis=basis)
    seen = measures.tracks_of(face, motion)
    for act in acts_lib.acts_of(plan.attributes):
      if not act.emotion:
        found += measures.done(seen, act).values()
  assert len(found) > 10 and np.mean(found) > 0.85
