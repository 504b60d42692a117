import json
import os
import pathlib
import sys

import numpy as np
import pytest

from data_prep import track, track_landmarks, track_measures
from tdmm_jax.errors import UserError
from tdmm_jax.face import face_model, load_model, motion
from tdmm_jax.render import video

FRAMES = 30


def write_jsonl(path, rows):
  path.write_text("".join(json.dumps(row) + "\n" for row in rows))
  return path


def nod(num_frames=FRAMES):
  """The default head opens its mouth while it nods."""
  time = np.linspace(0, 2 * np.pi, num_frames, dtype=np.float32)
  still = np.zeros_like(time)
  return motion.zeros(num_frames).replace(
    jaw_pose=np.stack([0.1 * (1 - np.cos(time)), still, still], axis=1),
    head_pose=np.stack([0.15 * np.sin(time), still, still], axis=1),
  )


def landmark_arrays(found):
  """What mediapipe would write of the default head in this motion."""
  head = load_model.default_head()
  seen = face_model.landmarks(head, face_model.motion_vertices(head, found))
  points = np.zeros((found.num_frames, 478, 3), np.float32)
  points[:, head.landmark_ids] = np.asarray(seen) * [1500, -1500, -1500] + 300
  return {
    "landmarks_px": points,
    "detected": np.ones(found.num_frames, bool),
    "fps": np.float32(25),
    "width": np.int32(600),
    "height": np.int32(600),
  }


@pytest.fixture
def folder(tmp_path):
  """Videos a, b, c and d; landmarks of a (good), b (no face) and c (broken)."""
  videos, landmarks = tmp_path / "videos", tmp_path / "landmarks"
  videos.mkdir(), landmarks.mkdir()
  for name in "abcd":
    (videos / f"{name}.mp4").touch()
  arrays = landmark_arrays(nod())
  np.savez(landmarks / "a.npz", **arrays)
  nobody = np.full_like(arrays["landmarks_px"], np.nan)
  np.savez(
    landmarks / "b.landmarks.npz",
    **{**arrays, "landmarks_px": nobody, "detected": np.zeros(FRAMES, bool)},
  )
  (landmarks / "c.npz").write_bytes(b"PK not really")
  rows = [{"clip_id": name, "prompt": f"Prompt {name}."} for name in "abce"]
  write_jsonl(tmp_path / "prompts.jsonl", rows)
  return tmp_path


def run(folder, *more):
  arguments = [str(folder / "videos"), "--out", str(folder / "out"), *more]
  return track.main([*arguments, "--prompts", str(folder / "prompts.jsonl")])


def rows_of(folder):
  lines = (folder / "out" / "tracks.jsonl").read_text().splitlines()
  return {row["clip_id"]: row for row in map(json.loads, lines)}


def test_every_clip_is_tracked_or_has_its_reason(folder, capsys):
  assert run(folder, "--landmarks", str(folder / "landmarks")) == 0
  rows = rows_of(folder)
  reasons = {name: row.get("reason") for name, row in rows.items()}
  assert reasons == {
    "a": None,
    "b": "no_face",
    "c": "bad_landmarks",
    "d": "no_prompt",
    "e": "no_video",
  }
  assert rows["a"]["prompt"] == "Prompt a." and rows["a"]["landmark_error"] < 0.005
  found = motion.load_npz(folder / "out" / rows["a"]["motion"])
  error = np.abs(found.jaw_pose[:, 0] - nod().jaw_pose[:, 0]).mean()
  assert found.valid.all() and error < 0.04
  assert rows["a"]["mouth_range_mm"] > 5 and rows["a"]["mouth_correlation"] > 0.9
  assert rows["a"]["eyes_correlation"] is None  # they do not move
  counts = json.loads((folder / "out" / "summary.json").read_text())
  assert (counts["clips"], counts["tracked"], counts["frames"]) == (5, 1, FRAMES)
  assert "c.npz: is damaged" in capsys.readouterr().err

  # Again: the finished clip is left alone, the mended one is made.
  before = (folder / "out" / rows["a"]["motion"]).stat().st_mtime_ns
  (folder / "landmarks" / "c.npz").write_bytes(
    (folder / "landmarks" / "a.npz").read_bytes()
  )
  leftover, foreign = (folder / "out" / "motions" / f".tmp-{i}.npz" for i in (7, 8))
  leftover.touch(), foreign.touch()
  os.utime(leftover, (0, 0))
  # This time on to records.
  more = (
    "--landmarks",
    str(folder / "landmarks"),
    "--records",
    str(folder / "records"),
  )
  assert run(folder, *more) == 0
  said = json.loads(capsys.readouterr().out)
  assert said["records"]["clips"] == said["quality"]["kept"] == 2
  assert said["quality"]["dropped"] == {"untracked": 3}
  assert sum(said["records"]["splits"].values()) == 2
  assert (folder / "records" / "dataset_info.json").exists()
  rows = rows_of(folder)
  assert rows["c"]["status"] == "tracked"
  assert (folder / "out" / rows["a"]["motion"]).stat().st_mtime_ns == before
  assert not leftover.exists() and foreign.exists()  # another run's, on this minute


def test_openings_by_hand():
  points = np.zeros((1, 478, 3))
  points[0, 263] = [178, 0, 0]  # 178 px are 89 mm
  points[0, 14] = [6, 0, 8]
  points[0, 145] = [0, 4, 0]
  (mouth,), (eyes,) = track_measures.openings_mm(points, range(478)).values()
  assert mouth == pytest.approx(5.0) and eyes == pytest.approx(1.0)


BAD_INPUT = {
  "no folder": (lambda f: f.joinpath("videos").rename(f / "x"), "no such folder"),
  "no video": (lambda f: [p.unlink() for p in (f / "videos").iterdir()], "no videos"),
  "broken line": (
    lambda f: (f / "prompts.jsonl").write_text('{"clip_id": "a"'),
    "prompts.jsonl:1: not JSON",
  ),
  "twice": (
    lambda f: write_jsonl(f / "prompts.jsonl", [{"clip_id": "a", "prompt": "x"}] * 2),
    "clip_id 'a' comes twice",
  ),
  "path": (
    lambda f: write_jsonl(f / "prompts.jsonl", [{"clip_id": "../a", "prompt": "x"}]),
    "clip_id '../a' is no file name",
  ),
  "no landmarks": (lambda f: (f / "landmarks").rename(f / "x"), "no such folder of"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input(folder, capsys, case):
  change, message = BAD_INPUT[case]
  change(folder)
  assert run(folder, "--landmarks", str(folder / "landmarks")) == 2
  said = capsys.readouterr().err
  assert message in said and said.count("\n") == 1


def test_missing_environment_says_how_to_make_it(folder, capsys):
  assert run(folder, "--python", str(folder / "none")) == 2
  assert "make track" in capsys.readouterr().err
  assert run(folder, "--python", "/bin/false") == 2
  assert "has no working mediapipe" in capsys.readouterr().err


@pytest.mark.parametrize(
  "name,said", [("a.json", "a.json: cannot be written (No"), ("tracks.jsonl", "No")]
)
def test_full_disk_is_one_line_and_loses_nothing(
  folder, capsys, monkeypatch, name, said
):
  real = os.replace

  def full(source, target):
    if str(target).endswith(name):
      raise OSError(28, "No space left on device")
    real(source, target)

  with monkeypatch.context() as patch:
    patch.setattr(os, "replace", full)
    assert run(folder, "--landmarks", str(folder / "landmarks")) == 2
  error = capsys.readouterr().err
  assert f"{said} space left on device" in error and "Traceback" not in error
  assert not list((folder / "out").rglob(".tmp*"))
  assert run(folder, "--landmarks", str(folder / "landmarks")) == 0
  assert rows_of(folder)["a"]["status"] == "tracked"


def test_what_is_made_anew_is_tracked_anew(folder):
  """The same names, other landmarks: no old motion is taken for theirs."""
  given = ("--landmarks", str(folder / "landmarks"))
  assert run(folder, *given) == 0
  path = folder / "out" / "motions" / "a.npz"
  first, when = motion.load_npz(path), path.stat().st_mtime_ns
  landmarks = folder / "landmarks" / "a.npz"
  os.utime(landmarks, (1, 1))  # touched, and the same
  assert run(folder, *given) == 0 and path.stat().st_mtime_ns == when
  shut = nod().replace(jaw_pose=0 * nod().jaw_pose)
  np.savez(landmarks, **landmark_arrays(shut))
  assert run(folder, *given) == 0
  again = motion.load_npz(path)
  assert np.abs(again.jaw_pose).max() < 0.5 * np.abs(first.jaw_pose).max()
  held = json.loads(path.with_suffix(".json").read_text())
  head = load_model.default_head()
  assert held["head"] == head.version
  path.with_suffix(".json").write_text(json.dumps({**held, "head": "of last year"}))
  when = path.stat().st_mtime_ns
  assert run(folder, *given) == 0 and path.stat().st_mtime_ns > when


def test_videos_made_anew_are_detected_anew(tmp_path, monkeypatch):
  asked = []

  def track_videos(jobs, python, workers, timeout_s):
    for source, out in jobs:
      asked.append(pathlib.Path(source).name)
      np.savez(out, **landmark_arrays(nod()))
      yield {"out": os.fspath(out), "frames": FRAMES, "detected": FRAMES}

  monkeypatch.setattr(track_landmarks, "track_videos", track_videos)
  monkeypatch.setattr(track_landmarks, "environment_python", lambda python: "python")
  for name in "ab":
    (tmp_path / f"{name}.mp4").write_bytes(name.encode())
  go = lambda: track.track(track.plan(tmp_path), tmp_path / "out", progress=False)
  go(), go()
  assert asked == ["a.mp4", "b.mp4"]
  (tmp_path / "b.mp4").write_bytes(b"c")  # as long, another content
  go()
  assert asked == ["a.mp4", "b.mp4", "b.mp4"]


def test_machines_share_the_work_and_one_gathers_it(folder):
  rows = track.plan(folder / "videos", folder / "prompts.jsonl")
  shares = [[r["clip_id"] for r in track.shard_of(rows, f"{i}/3")] for i in range(3)]
  assert sorted(s for share in shares for s in share) == sorted(
    row["clip_id"] for row in rows
  )
  assert track.shard_of(rows, "3/3") == track.shard_of(rows, "0/3")
  given = ("--landmarks", str(folder / "landmarks"))
  for i in range(2):
    run(folder, *given, "--shard", f"{i}/2")
    assert (folder / "out" / f"tracks-{i}-of-2.jsonl").exists()
  path = folder / "out" / "motions" / "a.npz"
  when = path.stat().st_mtime_ns
  assert not (folder / "out" / "tracks.jsonl").exists()
  assert run(folder, *given) == 0 and path.stat().st_mtime_ns == when
  assert len(rows_of(folder)) == 5


@pytest.mark.parametrize("shard", ["3", "5/3", "0/0", "-1/3", "a/b"])
def test_bad_shards(folder, capsys, shard):
  assert run(folder, f"--shard={shard}") == 2
  assert "give I/N" in capsys.readouterr().err


def test_a_clip_with_a_fault_of_the_program_fails_alone(folder, monkeypatch):
  real = track.fit_landmarks.fit_landmarks

  def fit(head, **tracked):
    if tracked["fps"] == 24:
      raise np.linalg.LinAlgError("singular")
    return real(head, **tracked)

  monkeypatch.setattr(track.fit_landmarks, "fit_landmarks", fit)
  arrays = landmark_arrays(nod())
  np.savez(folder / "landmarks" / "c.npz", **{**arrays, "fps": np.float32(24)})
  assert run(folder, "--landmarks", str(folder / "landmarks")) == 0
  rows = rows_of(folder)
  assert rows["a"]["status"] == "tracked"
  assert (rows["c"]["reason"], rows["c"]["message"]) == (
    "fault",
    "LinAlgError: singular",
  )


FAKE_TRACKER = """
import json, os, sys, time
for line in sys.stdin:
  job = json.loads(line)
  name = os.path.basename(job["video"])
  if name == "crash.mp4":
    print("it hurts", file=sys.stderr)
    os._exit(139)
  if name == "hang.mp4":
    time.sleep(600)
  answer = {"out": job["out"], "frames": 1, "detected": 1}
  if name == "full.mp4":
    answer = {"out": job["out"], "error": "cannot be written (full)", "fatal": True}
  print(json.dumps(answer), flush=True)
"""


def test_a_tracker_that_dies_costs_one_video(tmp_path, monkeypatch):
  script = tmp_path / "fake.py"
  script.write_text(FAKE_TRACKER)
  monkeypatch.setattr(track_landmarks, "SCRIPT", script)
  monkeypatch.setattr(track_landmarks, "_check_environment", lambda python: None)
  names = ["a", "crash", "b", "c", "d"]
  jobs = [(f"{name}.mp4", name) for name in names]
  answers = list(track_landmarks.track_videos(jobs, sys.executable, workers=2))
  assert sorted(answer["out"] for answer in answers) == sorted(names)
  (died,) = [answer for answer in answers if "error" in answer]
  assert died["out"] == "crash" and "exit code 139: it hurts" in died["error"]
  with pytest.raises(UserError, match="cannot be written"):
    list(track_landmarks.track_videos([("full.mp4", "x")], sys.executable))
  jobs = [("hang.mp4", "hang"), ("a.mp4", "a")]
  hung, fine = track_landmarks.track_videos(jobs, sys.executable, 1, timeout_s=2.0)
  assert hung["reason"] == "timeout" and "within 2 s" in hung["error"]
  assert "error" not in fine


@pytest.fixture(scope="module")
def mediapipe():
  try:
    return track_landmarks.environment_python()
  except UserError as error:
    pytest.skip(str(error))


@pytest.mark.slow
def test_bad_videos_are_counted_by_reason(tmp_path, mediapipe, capsys):
  """Corrupt, cut short, without a face, and not there: through mediapipe itself."""
  videos, out = tmp_path / "videos", tmp_path / "out"
  videos.mkdir()
  frames = np.full((10, 96, 96, 3), 128, np.uint8)
  video.write_video(videos / "gray.mp4", frames)
  (videos / "corrupt.mp4").write_bytes(os.urandom(5000))
  (videos / "cut.mp4").write_bytes((videos / "gray.mp4").read_bytes()[:900])
  noise = np.random.default_rng(0).integers(0, 255, (40, 96, 96, 3)).astype(np.uint8)
  video.write_video(videos / "half.mp4", noise)
  whole = (videos / "half.mp4").read_bytes()
  (videos / "half.mp4").write_bytes(whole[: len(whole) // 2])
  names = ("corrupt", "cut", "gray", "gone", "half")
  rows = [{"clip_id": name, "prompt": "She smiles."} for name in names]
  write_jsonl(tmp_path / "prompts.jsonl", rows)
  args = [str(videos), "--prompts", str(tmp_path / "prompts.jsonl"), "--out", str(out)]
  assert track.main([*args, "--python", mediapipe]) == 2, "nothing was tracked"
  said = capsys.readouterr()
  failed = {"cut_short": 1, "no_face": 1, "no_video": 1, "undecodable": 2}
  assert json.loads(said.out)["failed"] == failed
  assert "corrupt: cannot be decoded" in said.err and "gone: no_video" in said.err
  assert "half: is cut short" in said.err
  with np.load(out / "landmarks" / "gray.npz") as arrays:
    assert arrays["landmarks_px"].shape == (10, 478, 3)
    assert arrays["faces"].tolist() == [0, 0] and arrays["fps"] == 25


@pytest.mark.slow
def test_mediapipe_finds_the_landmarks_of_a_real_clip(tmp_path, mediapipe):
  real = os.environ.get("TDMM_REAL_DATA")
  if not real:
    pytest.skip("TDMM_REAL_DATA names no folder of real data")
  clips = pathlib.Path(real) / "open3dfacevid_clips"
  out = tmp_path / "clip.npz"
  (answer,) = track_landmarks.track_videos([(clips / "00002.mp4", out)], mediapipe)
  assert (answer["frames"], answer["detected"]) == (97, 90)
  with np.load(out) as ours, np.load(clips / "00002.landmarks.npz") as theirs:
    np.testing.assert_allclose(
      ours["landmarks_px"], theirs["landmarks_px"], atol=0.01, equal_nan=True
    )
    assert ours["faces"].max() == 2


@pytest.mark.slow
def test_a_telephones_video_is_tracked_upright_and_in_time(mediapipe, tmp_path):
  """The same clip, lying down and at a varying pace."""
  real = os.environ.get("TDMM_REAL_DATA")
  if not real or not pathlib.Path(real, "cases").is_dir():
    pytest.skip("TDMM_REAL_DATA names no folder of real data with 'cases'")
  folder = pathlib.Path(real, "cases", "video_rotated_and_vfr")
  jobs = [
    (folder / f"{name}.mp4", tmp_path / f"{name}.npz") for name in ("rot90tag", "vfr")
  ]
  assert not [a for a in track_landmarks.track_videos(jobs, mediapipe) if "error" in a]
  with np.load(jobs[0][1]) as turned, np.load(jobs[1][1]) as uneven:
    assert (turned["width"], turned["height"]) == (832, 480)
    assert turned["detected"].all() and turned["fps"] == uneven["fps"] == 24
    eyes = turned["landmarks_px"][:, 263, :2] - turned["landmarks_px"][:, 33, :2]
    assert np.abs(np.degrees(np.arctan2(*eyes.T[::-1]))).max() < 20
    seen = uneven["detected"]
    assert len(seen) == 97 and seen[:49].all() and not seen[49:].all()
    off = np.abs(uneven["landmarks_px"] - turned["landmarks_px"])[seen]
    assert off.max() < 0.05 * 480  # each at its time; the rest is the encoders'
