import dataclasses
import json
import os

import numpy as np
import pytest

from data_prep import manifest, quality
from tdmm_jax.face import action_units, load_model, motion

T = 60
EMOTIONAL = "A man looks furious and strongly angry."


def acted(num_frames=T):
  """A smile that comes and goes, a blink, and a turn of the head."""
  time = np.linspace(0, 1, num_frames, dtype=np.float32)
  activations = np.zeros((num_frames, 50), np.float32)
  for side in "lr":
    at = action_units.ACTION_UNITS.index(f"lip_corner_puller_{side}")
    activations[:, at] = np.sin(np.pi * time) ** 2
  turn = 0.3 * np.sin(2 * np.pi * time)
  still = np.zeros_like(turn)
  lids = np.exp(-(((np.arange(num_frames) - 30) / 2.0) ** 2)).astype(np.float32)
  return motion.zeros(num_frames).replace(
    expression=action_units.activations_to_expression(activations),
    head_pose=np.stack([still, turn, still], axis=1),
    eyelids=np.stack([lids, lids], axis=1),
  )


def row(name, prompt=EMOTIONAL, **more):
  return {
    "clip_id": name,
    "prompt": prompt,
    "status": "tracked",
    "motion": f"motions/{name}.npz",
    "landmark_error": 0.01,
    "frames": T,
    "detected_frames": T,
    "fps": 25.0,
    **more,
  }


@pytest.fixture(scope="module")
def head():
  model = load_model.default_head()
  return model, quality.landmark_points(model, motion.zeros(1))[0]


def without_frames(clip, start, stop):
  valid = np.ones(clip.num_frames, bool)
  valid[start:stop] = False
  return clip.replace(valid=valid)


def with_step(clip, name, column, size, start=40):
  track = getattr(clip, name).copy()
  track[start:, column] += size
  return clip.replace(**{name: track})


def trembling(clip, size):
  noise = np.random.default_rng(0).normal(size=clip.expression.shape) * size
  return clip.replace(expression=(clip.expression + noise).astype(np.float32))


CASES = {
  "good": (acted, {}, []),
  "two faces": (acted, {"faces": [1, 2, 2, 1]}, ["second_face"]),
  "one glimpse": (acted, {"faces": [1, 2, 1, 1, 1]}, []),
  "gap": (lambda: without_frames(acted(130), 20, 32), {}, ["lost_frames"]),
  "few": (lambda: without_frames(acted(), 0, 7), {}, ["lost_frames"]),
  "short": (lambda: acted(20), {}, ["too_short"]),
  "fit": (acted, {"landmark_error": 0.06}, ["bad_fit"]),
  "head": (lambda: with_step(acted(), "head_pose", 1, 0.6), {}, ["jump"]),
  "jaw": (lambda: with_step(acted(), "jaw_pose", 0, 0.5), {}, ["jump"]),
  "side": (lambda: with_step(acted(), "jaw_pose", 1, 0.3, 0), {}, ["range"]),
  "far": (lambda: with_step(acted(), "head_pose", 1, 1.5, 0), {}, ["range"]),
  "noise": (lambda: trembling(acted(), 0.8), {}, ["jitter"]),
  "blank": (lambda: motion.zeros(T), {}, ["neutral"]),
  "calm": (lambda: motion.zeros(T), {"prompt": "A calm woman."}, []),
  "silent film": (lambda: motion.zeros(T), {"prompt": ""}, []),
}


@pytest.mark.parametrize("case", CASES)
def test_each_fault_has_its_reason(case, head):
  make, more, reasons = CASES[case]
  clip = make()
  model, rest = head
  points = quality.landmark_points(model, clip)
  found = quality.inspect(clip, points, rest, row("a", **more), quality.Limits())
  assert found == reasons


HIDDEN = {
  "teleport": (lambda: with_step(acted(), "head_pose", 1, np.pi / 4), "jump"),
  "jaw": (lambda: with_spike(acted(), "jaw_pose", 0, 0.6), "jump"),
  "far": (lambda: with_spike(acted(), "jaw_pose", 1, 0.3), "range"),
  "wild": (lambda: with_spike(acted(), "expression", 3, 9.0), "range"),
  "behind a lost frame": (
    lambda: without_frames(with_step(acted(), "head_pose", 1, 1.2), 39, 41),
    "jump",
  ),
}


def with_spike(clip, name, column, size, at=40):
  track = getattr(clip, name).copy()
  track[at, column] += size
  return clip.replace(**{name: track})


@pytest.mark.parametrize("case", HIDDEN)
def test_what_smoothing_would_hide_is_found_by_the_whole_command(case, tmp_path):
  """The kept motion looks well: only the raw one shows the fault."""
  make, reason = HIDDEN[case]
  clip, limits = make(), quality.Limits()
  assert reason in quality.inspect(clip, None, None, row("a"), limits)
  if case != "behind a lost frame":
    assert quality.inspect(quality.smooth(clip), None, None, row("a"), limits) == []
  motion.save_motion(tmp_path / "tracks" / "motions" / "a.npz", clip)
  manifest.write(tmp_path / "tracks" / "tracks.jsonl", [row("a")])
  report = quality.filter_clips(tmp_path / "tracks", tmp_path / "out", progress=False)
  assert report["kept"] == 0
  (dropped,) = manifest.read(tmp_path / "out" / "dropped.jsonl")
  assert reason in dropped["reasons"]
  assert not list((tmp_path / "out").glob("motions/*"))


def test_a_slow_turn_behind_lost_frames_is_no_jump():
  turning = acted()
  still = np.zeros(T, np.float32)
  turn = np.linspace(-0.9, 0.9, T, dtype=np.float32)
  turning = turning.replace(head_pose=np.stack([still, turn, still], axis=1))
  lost = without_frames(turning, 30, 35)
  assert quality.inspect(lost, None, None, row("a"), quality.Limits()) == []


def test_smoothing_stills_trembling_and_keeps_the_motion(head):
  model, _ = head
  clip = acted()
  shaken = trembling(clip, 0.1)
  smoothed = quality.smooth(shaken)
  before, after = (
    quality.jitter(quality.landmark_points(model, m), m) for m in (shaken, smoothed)
  )
  assert after < 0.5 * before
  assert smoothed.eyelids.max() > 0.9 and smoothed.eyelids.min() >= 0  # the blink stays
  np.testing.assert_allclose(smoothed.head_pose, clip.head_pose, atol=0.01)
  error = lambda m: np.abs(m.expression - clip.expression).mean()
  assert error(smoothed) < 0.8 * error(shaken)
  assert quality.smooth(acted(4)).expression is not None  # shorter than the window


def test_head_rotation_is_smoothed_across_the_seam():
  angle = np.pi + np.linspace(-0.3, 0.3, T)
  angle = np.where(angle > np.pi, angle - 2 * np.pi, angle)
  still = np.zeros(T)
  turned = acted().replace(head_pose=np.float32(np.stack([still, angle, still], 1)))
  smoothed = quality.smooth(turned)
  inside = np.abs(np.abs(smoothed.head_pose[:, 1]) - np.abs(angle))
  assert inside.max() < 1e-3


@pytest.fixture
def tracks(tmp_path):
  folder = tmp_path / "tracks"
  motion.save_motion(folder / "motions" / "good.npz", acted())
  motion.save_motion(folder / "motions" / "blank.npz", motion.zeros(T))
  motion.save_motion(folder / "motions" / "crowd.npz", acted())
  (folder / "landmarks").mkdir()
  np.savez(folder / "landmarks" / "crowd.npz", faces=np.int32([2, 2, 2]))
  lost = {"clip_id": "lost", "prompt": "x", "status": "failed", "reason": "no_face"}
  (folder / "motions" / "broken.npz").write_bytes(b"PK, cut short")
  rows = [row("good"), row("blank"), row("crowd"), row("broken"), lost]
  manifest.write(folder / "tracks.jsonl", rows)
  return folder


def test_every_clip_is_kept_or_dropped_with_a_counted_reason(tracks, tmp_path, capsys):
  out = tmp_path / "clean"
  assert quality.main([str(tracks), "--out", str(out)]) == 0
  report = json.loads((out / "quality.json").read_text())
  assert json.loads(capsys.readouterr().out) == report
  assert (report["clips"], report["kept"]) == (5, 1)
  reasons = {"untracked": 1, "unreadable": 1, "second_face": 1, "neutral": 1}
  assert report["dropped"] == reasons
  assert report["untracked"] == {"no_face": 1}
  assert report["kept_detected_frames"] + report["dropped_detected_frames"] == 4 * T
  assert 0 < report["jitter_after_m_s3"] < report["jitter_before_m_s3"]
  (kept,) = manifest.read(out / "clips.jsonl")
  assert kept["clip_id"] == "good" and 0.5 < kept["quality"] <= 1
  assert motion.load_npz(out / kept["motion"]).num_frames == T
  assert len(manifest.read(out / "dropped.jsonl")) == 4

  # Other limits: what was kept and is no longer leaves no motion behind.
  assert quality.main([str(tracks), "--out", str(out), "--seconds", "9"]) == 0
  assert not (out / "motions" / "good.npz").exists()
  assert (out / "clips.jsonl").read_text() == ""


def test_a_clip_is_looked_at_once_and_again_when_anything_changes(
  tracks, tmp_path, monkeypatch
):
  looked, real = [], quality.inspect

  def inspect(*arguments):
    looked.append(arguments[3]["clip_id"])
    return real(*arguments)

  monkeypatch.setattr(quality, "inspect", inspect)
  run = lambda **more: quality.filter_clips(
    tracks, tmp_path / "out", progress=False, **more
  )
  first = run()
  assert sorted(looked) == ["blank", "crowd", "good"]
  assert run() == first and len(looked) == 3
  (tmp_path / "out" / "motions" / "good.npz").unlink()
  assert run() == first and looked[3:] == ["good"]
  path = tracks / "motions" / "blank.npz"  # tracked anew, to the same length
  motion.save_motion(path, with_step(acted(), "head_pose", 1, 0.8))
  assert run()["dropped"]["jump"] == 1 and looked[4:] == ["blank"]
  run(limits=quality.Limits(seconds=9.0))
  assert len(looked) == 8
  rows = [row("good", prompt="A calm woman."), row("crowd")]
  manifest.write(tracks / "tracks.jsonl", rows)
  run(limits=quality.Limits(seconds=9.0))
  assert looked[8:] == ["good"]


def test_landmarks_of_elsewhere_are_counted_too(tracks, tmp_path, capsys):
  """Whoever hands landmarks in has them in another folder, perhaps without counts."""
  counts = np.int32([2, 2, 2])
  np.savez(tmp_path / "elsewhere.npz", faces=counts)
  rows = [row("good", landmarks="../elsewhere.npz"), row("crowd")]
  manifest.write(tracks / "tracks.jsonl", rows)
  assert quality.main([str(tracks), "--out", str(tmp_path / "out")]) == 0
  said = capsys.readouterr()
  assert json.loads(said.out)["dropped"] == {"second_face": 2} and not said.err.count(
    "nobody counted"
  )
  np.savez(tmp_path / "elsewhere.npz", detected=counts)
  assert quality.main([str(tracks), "--out", str(tmp_path / "out")]) == 0
  said = capsys.readouterr()
  assert json.loads(said.out)["faces_not_counted"] == 1
  assert "in 1 clips nobody counted the faces" in " ".join(said.err.split())


def test_clips_of_a_basis_without_its_model_are_still_checked(tracks, tmp_path):
  clip = acted().replace(face_model="flame2020")
  motion.save_motion(tracks / "motions" / "good.npz", clip)
  report = quality.filter_clips(tracks, tmp_path / "clean", progress=False)
  assert report["kept"] == 1
  wild = clip.replace(expression=clip.expression + 9)
  motion.save_motion(tracks / "motions" / "good.npz", wild)
  report = quality.filter_clips(tracks, tmp_path / "clean", progress=False)
  assert report["dropped"]["range"] == 1


def test_bad_input(tmp_path, capsys):
  assert quality.main([str(tmp_path), "--out", str(tmp_path / "x")]) == 2
  assert "tracks.jsonl" in capsys.readouterr().err


def test_a_full_disk_is_one_line_and_loses_nothing(
  tracks, tmp_path, capsys, monkeypatch
):
  def full(source, target):
    raise OSError(28, "No space left on device")

  args = [str(tracks), "--out", str(tmp_path / "clean")]
  with monkeypatch.context() as patch:
    patch.setattr(os, "replace", full)
    assert quality.main(args) == 2
  assert "cannot be written (No space left on device)" in capsys.readouterr().err
  assert quality.main(args) == 0


def test_every_limit_is_an_option():
  options = quality._parser().format_help()
  for field in dataclasses.fields(quality.Limits):
    assert f"--{field.name}" in options
