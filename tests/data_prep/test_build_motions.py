"""Tracked or imported motions and a prompt manifest become records, or say why not."""

import json

import numpy as np
import pytest

from data_prep import build, build_motions, manifest
from tdmm_jax.data import records as reading
from tdmm_jax.face import motion as motion_lib


def draw(num_frames, seed, fps=25.0, num_expression=6, face_model="default_v2"):
  rng = np.random.default_rng(seed)
  base = motion_lib.zeros(num_frames, face_model, num_expression, num_shape=4)
  return base.replace(
    expression=rng.normal(size=base.expression.shape).astype(np.float32),
    head_pose=rng.normal(0, 0.1, (num_frames, 3)).astype(np.float32),
    camera=rng.normal(size=(num_frames, 3)).astype(np.float32),
    valid=rng.random(num_frames) > 0.1,
    fps=fps,
  )


@pytest.fixture
def tracked(tmp_path, monkeypatch):
  """A manifest of 12 clips and their motions; returns the arguments of `main`."""
  monkeypatch.setattr(build_motions, "head_version", lambda name, spec: "standin0000")
  rows = [{"clip_id": f"v{i}", "prompt": "A man looks very sad."} for i in range(12)]
  rows[3] |= {"generator": "wan2.1", "quality": 0.5, "captions": ["Very sad."]}
  rows[4] |= {"motion": "elsewhere.npz", "split": "test"}
  manifest.write(tmp_path / "prompts.jsonl", rows)
  for i, row in enumerate(rows):
    name = row.get("motion", f"{row['clip_id']}.npz")
    motion_lib.save_motion(tmp_path / "motions" / name, draw(20 + i, i))
  return [
    *("--prompts", str(tmp_path / "prompts.jsonl")),
    *("--motions", str(tmp_path / "motions"), "--workers", "1"),
    *("--generator", "veo", "--tracker", "mediapipe", "--out", str(tmp_path / "out")),
  ]


def read(path):
  rows = {}
  for split in reading.SPLITS:
    try:
      source = reading.open_split(path, split)
    except reading.UserError:  # twelve clips need not reach every split
      continue
    rows |= {row["clip_id"].decode(): row | {"split": split} for row in source}
  return rows


def test_motions_come_back_whole(tracked, tmp_path, capsys):
  assert build.main(tracked) == 0
  assert json.loads(capsys.readouterr().out)["clips"] == 12
  rows = read(tmp_path / "out")
  assert len(rows) == 12 and rows["v4"]["split"] == "test"
  for i in range(12):
    row, made = rows[f"v{i}"], draw(20 + i, i)
    ours = reading.to_motion(row)
    for name in ("expression", "head_pose", "camera", "valid", "shape"):
      np.testing.assert_array_equal(getattr(ours, name), getattr(made, name))
    assert json.loads(row["attributes"])["emotion"] == "sad"
  assert rows["v3"]["generator"] == b"wan2.1" and rows["v0"]["generator"] == b"veo"
  assert rows["v3"]["quality"] == 0.5 and rows["v3"]["captions"] == [b"Very sad."]
  assert rows["v0"]["tracker"] == b"mediapipe"
  assert rows["v0"]["versions"]["head"] == b"standin0000"
  assert build.main(tracked) == 0, "done is done"


def test_motions_tracked_anew_are_not_taken_for_the_old_ones(tracked, tmp_path, capsys):
  """The same manifest, another motion: not the records of before."""
  assert build.main(tracked) == 0
  path = tmp_path / "motions" / "v1.npz"
  whole = path.read_bytes()
  motion_lib.save_motion(path, draw(21, 99))
  capsys.readouterr()
  assert build.main(tracked) == 2
  assert "was built with motions" in capsys.readouterr().err
  path.write_bytes(whole)  # another time, the same content
  assert build.main(tracked) == 0


def test_other_frame_rates_become_25_fps(tracked, tmp_path):
  motion_lib.save_motion(tmp_path / "motions" / "v0.npz", draw(49, 0, fps=24.0))
  assert build.main(tracked) == 0
  row = read(tmp_path / "out")["v0"]
  assert row["fps"] == 25.0 and len(row["valid"]) == 51  # 48 intervals of 1/24 s


BROKEN = {
  "missing": (lambda folder: (folder / "v1.npz").unlink(), "'v1': has no motion"),
  "twice": (
    lambda folder: (folder / "v1.pkl").write_bytes(b"x"),
    "'v1': has several motions: v1.npz, v1.pkl",
  ),
  "corrupt": (lambda folder: (folder / "v1.npz").write_bytes(b"PK\x03"), "is damaged"),
  "other basis": (
    lambda folder: motion_lib.save_motion(
      folder / "v1.npz", draw(20, 1, face_model="flame2020")
    ),
    "is flame2020 with 6 expression and 4 shape coefficients, those before it default",
  ),
  "other width": (
    lambda folder: motion_lib.save_motion(
      folder / "v1.npz", draw(20, 1, num_expression=9)
    ),
    "with 9 expression",
  ),
  "never seen": (
    lambda folder: motion_lib.save_motion(
      folder / "v1.npz", draw(20, 1).replace(valid=np.zeros(20, bool))
    ),
    "no frame is valid",
  ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_clip_is_named_counted_and_can_be_left_out(
  tracked, tmp_path, name, capsys
):
  breaks, message = BROKEN[name]
  breaks(tmp_path / "motions")
  assert build.main(tracked) == 2
  error = capsys.readouterr().err
  assert message in error and "1 of 12 clips" in error and "--keep_going" in error
  assert not (tmp_path / "out").exists(), "nothing was begun"
  assert build.main([*tracked, "--keep_going"]) == 0
  stats = json.loads(capsys.readouterr().out)
  assert stats["clips"] == 11 and stats["dropped"] == {"unusable": 1}
  (dropped,) = map(json.loads, (tmp_path / "out" / "dropped.jsonl").open())
  assert dropped["clip_id"] == "v1" and message.split(": ")[-1] in dropped["reason"]


def test_the_quality_filters_output_is_read_as_it_is(tracked, tmp_path, capsys):
  kept = tmp_path / "kept"
  rows = [{"clip_id": "a", "prompt": "She smiles.", "quality": 0.7}]
  rows[0]["motion"] = "motions/a.npz"
  motion_lib.save_motion(kept / "motions" / "a.npz", draw(30, 1))
  manifest.write(kept / "clips.jsonl", rows)
  (kept / "quality.json").write_text('{"dropped": {"jitter": 3, "short": 1}}')
  assert build.main(["--motions", str(kept), "--out", str(tmp_path / "out")]) == 0
  stats = json.loads(capsys.readouterr().out)
  assert stats["clips"] == 1 and stats["dropped"] == {"jitter": 3, "short": 1}
  assert read(tmp_path / "out")["a"]["quality"] == np.float32(0.7)


def test_folders_without_motions_are_refused(tracked, tmp_path, capsys):
  (tmp_path / "empty").mkdir()
  at = tracked.index("--motions") + 1
  for folder, message in (("empty", "12 of 12 clips"), ("none", "no such folder")):
    tracked[at] = str(tmp_path / folder)
    assert build.main(tracked) == 2
    assert message in capsys.readouterr().err
  tracked[at] = str(tmp_path / "empty")
  del tracked[:2]  # --prompts
  assert build.main(tracked) == 2
  assert "needs --prompts" in capsys.readouterr().err


def test_flame_needs_its_model_file():
  with pytest.raises(build_motions.UserError, match="give its model file"):
    build_motions.head_version("flame2020", None)


def test_a_row_says_what_its_file_does_not(tmp_path):
  rng = np.random.default_rng(0)
  codes = rng.normal(0, 0.1, (31, 56)).astype(np.float32)
  np.save(tmp_path / "a.npy", codes)
  np.save(tmp_path / "b.npy", codes)
  rows = [{"clip_id": name, "prompt": "She smiles."} for name in "ab"]
  rows[0]["import"] = {"layout": "mmhead", "fps": 30}
  plan, dropped, form = build_motions.pair(rows, tmp_path, "", "")
  assert [row["clip_id"] for row in plan] == ["a"] and dropped[0]["clip_id"] == "b"
  assert "MMHead's" in dropped[0]["reason"] and form[0] == "flame2020"
  versions = {"head": "x", "simulator": "none", "lexicon": "y"}
  example = build_motions.TrackedClips(form[1], form[2], versions)(plan[0])
  assert len(example["valid"]) == 26  # 1 s at 25 fps
  np.testing.assert_allclose(example["neck_pose"][0], codes[0, 50:53], atol=1e-6)
  for wrong, message in (
    ({"skip": 1}, "it may hold fps, layout"),
    ({"fps": "fast"}, "fps 'fast' is not a number"),
    ({"head_pose": "none.npy"}, "no such file"),
  ):
    rows[0]["import"] = wrong
    _, dropped, _ = build_motions.pair(rows, tmp_path, "", "")
    assert message in dropped[0]["reason"]
