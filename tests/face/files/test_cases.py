"""Files as strangers' tools write them: read rightly, or refused in one line.

The real ones lie in TDMM_REAL_DATA's `cases`; each kind is also made here.
"""

import argparse
import json
import os
import pathlib
import pickle
import re
import zipfile

import numpy as np
import pytest
from scipy.spatial import transform

from tdmm_jax.errors import UserError
from tdmm_jax.export import live_link
from tdmm_jax.face import arkit, motion
from tdmm_jax.face.files import arkit_csv, read

# Case, options, frames at 25 fps, and text of a warning ("": none is needed).
_READ = [
  ("arkit_ok/take.csv", {}, 50, ""),
  ("arkit_ok/prefixed.csv", {}, 50, ""),
  ("arkit_51_no_tongue/take.csv", {}, 50, ""),
  ("arkit_semicolon_decimal_comma/take.csv", {}, 50, ""),
  ("arkit_percent_0_100/take.csv", {}, 50, "percent"),
  ("arkit_angles_degrees/take.csv", {}, 50, "degrees"),
  ("arkit_duplicate_timecodes/take.csv", {}, 50, "60 times repeat"),
  ("arkit_dropframe_semicolon/take.csv", {}, 50, ""),
  ("arkit_ms_timecode/take.csv", {}, 50, ""),
  ("arkit_integer_frames/take.csv", {"fps": 60}, 50, ""),
  ("mediapipe_52_neutral/take.csv", {"fps": 60}, 50, ""),
  ("arkit_gap_10s/take.csv", {}, 300, "600 frames are not valid"),
  ("arkit_mouthclose_real/take.csv", {}, 109, ""),
  ("llf_30in60_even_frames/take5s.csv", {}, 125, ""),
  ("beat_json/a.json", {}, 25, "49 of ARKit's shapes"),
  ("bare56/a.npy", {"layout": "mmhead", "fps": 25}, 90, ""),
  ("beat2_npz/a.npz", {}, 75, "betas"),
  ("cap4d_nofps/a.npz", {}, 90, "frame rate"),
  ("cap4d_nofps/a.npz", {"fps": 30}, 75, "blink"),
  ("deca_npz/a.npz", {}, 90, "frame rate"),
  ("metrical_tracker_6d/frame.npz", {}, 1, "head stands still"),
  ("nersemble_flame/a.npz", {"fps": 50}, 45, ""),
  ("smirk_list_of_dicts/a.pkl", {}, 90, "frame rate"),
  ("smirk_native_names/out.npz", {"fps": 30}, 75, ""),
  ("smirk_pkl/p2.pkl", {}, 90, "frame rate"),
  ("smirk_pkl/p5.pkl", {"fps": 30}, 75, ""),
  ("smirk_pkl_fps60/a.pkl", {}, 38, ""),
  ("smirk_pkl_fps60/a.pkl", {"fps": 30}, 75, "says 60 fps; read at 30"),
  ("vhap_seq_30fps_nofps/flame_param.npz", {}, 90, "frame rate"),
  ("vhap_seq_30fps_nofps/flame_param.npz", {"fps": 30}, 75, ""),
  ("vhap_shape_2d/flame_param.npz", {"fps": 25}, 90, ""),
]
_REFUSED = [
  ("arkit_integer_frames/take.csv", "give the frame rate, fps"),
  ("mediapipe_52_neutral/take.csv", "give the frame rate, fps"),
  ("arkit_nan_cell/take.csv", r"take\.csv:12: JawOpen is NaN"),
  ("bare56/a.npy", "say which with layout"),
  ("emoca_exp_npy/exp.npy", "one frame's expression of EMOCA"),
  ("glb_vrm_foreign/a.glb", "did not write"),
  ("metrical_tracker_frame_zip/00000.frame", r"torch\.save"),
  ("npz_header_bomb/hdr.npy", "asks for 8000000000000 bytes"),
  ("npz_header_bomb/hdr.npz", "asks for 8000000000000 bytes"),
  ("smirk_pkl_nan_frame/a.pkl", "is NaN or infinite at index"),
  ("smirk_pkl_none_frames/a.pkl", "is None in 2 frames"),
  ("smirk_pkl_torch_cuda/a.pkl", "PyTorch tensors"),
]


@pytest.fixture(scope="module")
def cases():
  folder = os.environ.get("TDMM_REAL_DATA")
  if not folder or not pathlib.Path(folder, "cases").is_dir():
    pytest.skip("TDMM_REAL_DATA names no folder of real data with 'cases'")
  return pathlib.Path(folder, "cases")


@pytest.mark.parametrize("case, options, frames, warning", _READ)
def test_case_is_read(cases, caplog, case, options, frames, warning):
  clip = read.load_motion(cases / case, **options)
  assert clip.num_frames == frames and clip.fps == 25 and warning in caplog.text
  if case.startswith("arkit_") and frames == 50:  # one take, as ten tools write it
    truth = read.load_motion(cases / "arkit_ok" / "take.csv")
    for name in ("expression", "jaw_pose", "eyelids", "head_pose"):
      np.testing.assert_allclose(
        getattr(clip, name), getattr(truth, name), atol=0.15, err_msg=name
      )
  assert clip.valid.sum() == (50 if "gap" in case else frames)


@pytest.mark.parametrize("case, message", _REFUSED)
def test_case_is_refused(cases, case, message):
  refused(cases / case, message)


def refused(path, message, **options):
  with pytest.raises(UserError, match=message) as caught:
    read.load_motion(path, **options)
  assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def table(rows=90, timecode=lambda t: f"00:00:{t // 60:02}:{t % 60:02}.000", **columns):
  """Header and rows of a take whose jaw opens steadily."""
  names = ["Timecode", "BlendShapeCount", *arkit.SHAPES, *arkit_csv.ANGLES]
  values = np.zeros((rows, len(names) - 2))
  values[:, arkit.SHAPES.index("JawOpen")] = np.linspace(0, 0.8, rows)
  for name, column in columns.items():
    values[:, names.index(name) - 2] = column
  texts = [[timecode(t), "61", *(f"{x:.6f}" for x in values[t])] for t in range(rows)]
  return [names, *texts]


def write(path, rows, mark=",", encoding="utf-8"):
  path.write_text("\n".join(mark.join(row) for row in rows), encoding=encoding)
  return path


def jaw(path, **options):
  return read.load_motion(path, **options).jaw_pose[:, 0]


def test_tables_of_any_encoding_and_separator_are_one_take(tmp_path):
  truth = jaw(write(tmp_path / "plain.csv", table()))
  assert len(truth) == 38 and truth.max() > 0.3
  commas = [[cell.replace(".", ",") for cell in row] for row in table()]
  percent = [[*row[:2], *(f"{float(x) * 100}" for x in row[2:])] for row in table()[1:]]
  for name, rows, mark, encoding in (
    ("utf16", table(), ",", "utf-16"),
    ("bom", table(), ",", "utf-8-sig"),
    ("tabs", table(), "\t", "utf-8"),
    ("semicolons", table(), ";", "utf-8"),
    ("decimal commas", commas, ";", "utf-16-le"),
    ("percent", [table()[0], *percent], ",", "utf-8"),
  ):
    path = write(tmp_path / name, rows, mark, encoding)
    np.testing.assert_allclose(jaw(path), truth, atol=1e-5, err_msg=name)


def test_clocks(tmp_path, caplog):
  clock = lambda name, timecode: write(tmp_path / name, table(90, timecode))
  seconds = lambda path: len(jaw(path)) / 25
  two = lambda t: f"23:59:{58 + t // 30:02}:{t % 30 * 2:02}.4" if t < 60 else None
  midnight = lambda t: two(t) or f"00:00:00:{t % 30 * 2:02}.4"
  assert seconds(clock("30 on 60, over midnight", midnight)) == 3.0
  decimal = lambda t: f"10:00:{t // 30:02}.{t % 30 * 100 // 3:03}"
  assert seconds(clock("seconds", decimal)) == 3.0
  # Drop frame: 00:00:59;29 is followed by 00:01:00;02, and nothing was lost.
  drop = lambda t: f"00:00:58;{t:02}" if t < 30 else _second_of_drop(t)
  assert read.load_motion(clock("drop frame", drop)).valid.all()
  jump = lambda t: f"00:00:{t // 30 + (5 if t >= 60 else 0):02}:{t % 30:02}.0"
  clip = read.load_motion(clock("jump", jump))
  assert clip.num_frames == 200 and (~clip.valid).sum() in range(124, 127)
  lost = lambda t: f"{10 if t >= 60 else 0}:00:{t // 30:02}:{t % 30:02}.0"
  refused(clock("ten hours", lost), "clock jumps by 3600. s after frame 59")
  back = lambda t: f"00:00:{5 - t // 30:02}:{t % 30:02}.0"
  refused(clock("back", back), "do not rise at row")
  numbers = clock("numbers", lambda t: str(t + (10 if t >= 60 else 0)))
  clip = read.load_motion(numbers, fps=25)
  assert clip.num_frames == 100 and (~clip.valid).sum() == 10


def _second_of_drop(t):
  if t < 60:
    return f"00:00:59;{t - 30:02}"
  return f"00:01:00;{t - 58:02}" if t < 88 else f"00:01:01;{t - 88:02}"


def test_units_that_are_none_are_refused(tmp_path):
  path = write(tmp_path / "a.csv", table(EyeBlinkLeft=3000.0))
  refused(path, "weights up to 3000 are neither")
  path = write(tmp_path / "b.csv", table(HeadYaw=1000.0))
  refused(path, "angles up to 1000 are neither")
  tracks = smirk()
  tracks["jaw"] = [row + [[20.0, 0, 0]] for row in tracks["jaw"]]
  (tmp_path / "c.pkl").write_bytes(pickle.dumps(tracks))
  refused(tmp_path / "c.pkl", "likely degrees")


def test_angles_turn_the_way_that_phones_mean(cases):
  """A take says its gaze twice: as angles and as EyeLook weights."""
  for take in ("arkit_mouthclose_real/take.csv", "llf_30in60_even_frames/take5s.csv"):
    curves = arkit_csv.read_csv(cases / take)
    weight = dict(zip(arkit.SHAPES, curves.weights_TA.T))
    left = weight["EyeLookOutLeft"] - weight["EyeLookInLeft"]
    down = weight["EyeLookDownLeft"] - weight["EyeLookUpLeft"]
    assert np.corrcoef(curves.eyes_T6[:, 0], left)[0, 1] > 0.9
    assert np.corrcoef(curves.eyes_T6[:, 1], down)[0, 1] > 0.9


def test_the_heads_angles_are_left_handed_in_files(tmp_path):
  made = write(tmp_path / "a.csv", table(HeadYaw=0.3, HeadPitch=0.1))
  head = arkit_csv.read_csv(made).head_T3
  np.testing.assert_allclose(head[0], [-0.3, 0.1, 0.0], atol=1e-6)
  live_link.write_csv(tmp_path / "b.csv", arkit_csv.read_csv(made))
  written = dict(zip(*[line.split(",") for line in
    (tmp_path / "b.csv").read_text().splitlines()[:2]]))  # fmt: skip
  assert float(written["HeadYaw"]) == pytest.approx(0.3)
  np.testing.assert_allclose(
    arkit_csv.read_csv(tmp_path / "b.csv").head_T3, head, atol=1e-6
  )


def smirk(frames=10):
  widths = {"expression": 50, "pose": 3, "eyelid": 2, "jaw": 3, "identity": 300}
  return {name: [np.full((1, w), 0.1)] * frames for name, w in widths.items()}


def test_smirks_tracks_in_other_arrangements(tmp_path, caplog):
  tracks = smirk()
  frames = [{name: rows[t] for name, rows in tracks.items()} for t in range(10)]
  (tmp_path / "list.pkl").write_bytes(pickle.dumps(frames))
  assert read.load_motion(tmp_path / "list.pkl").num_frames == 10
  assert "frame rate" in caplog.text
  frames[4] = {}
  (tmp_path / "lost.pkl").write_bytes(pickle.dumps(frames))
  refused(tmp_path / "lost.pkl", "frame 4 holds other tracks")
  tracks["jaw"][3] = None
  (tmp_path / "none.pkl").write_bytes(pickle.dumps(tracks))
  refused(tmp_path / "none.pkl", "'jaw' is None in 1 frames, the first of them 3")


def test_json_of_beat_and_of_audio2face(tmp_path):
  frames = [{"weights": [0.1, t / 50], "time": t / 50} for t in range(50)]
  (tmp_path / "a.json").write_text(json.dumps({"names": ["a", "jawOpen"],
    "frames": frames}))  # fmt: skip
  np.testing.assert_allclose(
    jaw(tmp_path / "a.json"), 0.4 * np.arange(25) / 25, atol=1e-5
  )
  made = {"exportFps": 50, "facsNames": ["jawOpen"], "weightMat": [[0.5]] * 50}
  (tmp_path / "b.json").write_text(json.dumps(made))
  assert len(jaw(tmp_path / "b.json")) == 25
  (tmp_path / "c.json").write_text('{"prompt": "smile"}')
  refused(tmp_path / "c.json", "neither BEAT's")
  (tmp_path / "d.json").write_text('{"names": [')
  refused(tmp_path / "d.json", "not complete JSON")


def test_a_folder_of_single_frames_is_a_clip(tmp_path):
  rng = np.random.default_rng(0)
  whole = {
    "expr": rng.normal(size=(12, 100)),
    **{name: rng.normal(size=(12, 3)) * 0.1 for name in ("rotation", "neck_pose")},
    "jaw_pose": np.linspace(0, 0.3, 36).reshape(12, 3),
    "eyes_pose": np.zeros((12, 6)),
  }
  for t in range(12):
    if t != 7:  # a lost frame is not observed
      frame = {name: rows[t : t + 1] for name, rows in whole.items()}
      np.savez(tmp_path / f"{t}.npz", shape=np.zeros(300), **frame)
  clip = read.load_motion(tmp_path, fps=25)
  assert clip.num_frames == 12 and np.flatnonzero(~clip.valid).tolist() == [7]
  np.testing.assert_allclose(clip.jaw_pose, whole["jaw_pose"], atol=1e-3)
  for t in range(3):
    (tmp_path / "emoca" / f"{t:06}_000").mkdir(parents=True)
    for name, width in (("exp", 50), ("pose", 6)):
      np.save(tmp_path / "emoca" / f"{t:06}_000" / name, np.full(width, t / 10))
  clip = read.load_motion(tmp_path / "emoca", fps=25)
  np.testing.assert_allclose(clip.jaw_pose[:, 0], [0, 0.1, 0.2], atol=1e-6)
  (tmp_path / "none").mkdir()
  refused(tmp_path / "none", "is a folder, not a motion")


def test_smplx_and_6d_rotations(tmp_path):
  turn = transform.Rotation.from_rotvec
  poses = np.zeros((10, 55, 3))
  poses[:, 12], poses[:, 15] = [0, 0.2, 0], [0, 0.3, 0]
  poses[:, 22], poses[:, 23] = [0.1, 0, 0], [0, 0.05, 0]
  made = {"poses": poses.reshape(10, 165), "expressions": np.ones((10, 100))}
  np.savez(tmp_path / "a.npz", betas=np.zeros(300), mocap_frame_rate=25, **made)
  clip = read.load_motion(tmp_path / "a.npz")
  np.testing.assert_allclose(clip.head_pose[0], [0, 0.5, 0], atol=1e-6)
  np.testing.assert_allclose(clip.jaw_pose[0], [0.1, 0, 0], atol=1e-6)
  np.testing.assert_allclose(clip.eye_pose[0], [0, 0.05, 0, 0, 0, 0], atol=1e-6)
  six = lambda vector: turn(vector).as_matrix()[:2].reshape(1, 6)
  eyes = np.concatenate([six([0, 0.2, 0]), six([0, -0.1, 0])], axis=1)
  made = {"exp": np.zeros((1, 100)), "eyes": eyes, "jaw": six([0.3, 0, 0])}
  np.savez(tmp_path / "b.npz", eyelids=[[0.2, 0.9]], **made)
  clip = read.load_motion(tmp_path / "b.npz", fps=25)
  np.testing.assert_allclose(clip.jaw_pose[0], [0.3, 0, 0], atol=1e-6)
  np.testing.assert_allclose(clip.eye_pose[0], [0, 0.2, 0, 0, -0.1, 0], atol=1e-6)
  np.testing.assert_allclose(clip.eyelids[0], [0.2, 0.9], atol=1e-6)


def test_nothing_is_allocated_for_a_header_that_lies(tmp_path):
  np.save(tmp_path / "a.npy", np.zeros(4))
  content = (tmp_path / "a.npy").read_bytes()
  bomb = content.replace(
    b"'shape': (4,), }            ", b"'shape': (4000000000000,), }"
  )
  assert len(bomb) == len(content)
  (tmp_path / "a.npy").write_bytes(bomb)
  refused(tmp_path / "a.npy", "asks for 32000000000000 bytes")
  with pytest.raises(UserError, match="is damaged"):
    read.load_motion(tmp_path / "a.npy", head_pose=tmp_path / "a.npy")


def test_own_files_say_their_rate_and_the_option_wins_aloud(tmp_path, caplog):
  motion.save_motion(tmp_path / "a.npz", motion.zeros(50).replace(fps=50.0))
  assert read.load_motion(tmp_path / "a.npz").num_frames == 25 and not caplog.text
  assert read.load_motion(tmp_path / "a.npz", fps=25).num_frames == 50
  assert "says 50 fps; read at 25" in caplog.text


def test_the_page_has_every_case_with_its_verdict():
  """docs/troubleshooting.md: the table is what these tests hold."""
  page = pathlib.Path(__file__).parents[3] / "docs" / "troubleshooting.md"
  rows = re.findall(r"^\| .*: `(.+?/.+?)` \| (.*) \| (.+) \|$", page.read_text(), re.M)
  options = lambda given: " ".join(f"`--{k} {v}`" for k, v in given.items())
  wanted = [
    (case, options(given), f"read; says: {warning}" if warning else "read")
    for case, given, _, warning in _READ
  ]
  wanted += [(c, "", f"refused: {m.replace(chr(92), '')}") for c, m in _REFUSED]
  assert [(case, given.strip(), verdict) for case, given, verdict in rows] == wanted


def test_hours_are_refused_before_they_are_resampled(tmp_path):
  clip = motion.zeros(10_000).replace(fps=1.0)
  motion.save_motion(tmp_path / "a.npz", clip)
  refused(tmp_path / "a.npz", r"10000 s long, at 1 frames a second.* give .* fps")
  with pytest.raises(UserError, match=r"400 s long, .*up to 30 s .*cut it$"):
    read.load_motion(tmp_path / "a.npz", fps=25, longest_s=30.0)


def test_bombs_of_other_containers(tmp_path, monkeypatch):
  monkeypatch.setattr(motion, "MAX_BYTES", 1 << 20)
  monkeypatch.setattr(read, "_MAX_FRAMES", 100)
  text = b"{'descr': '<f8', 'fortran_order': False, 'shape': (9999999999, 50), }"
  header = np.lib.format.magic(1, 0) + (118).to_bytes(2, "little")
  with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
    archive.writestr("expression.npy", header + text.ljust(117) + b"\n")
  refused(tmp_path / "a.npz", "asks for 3999999999600 bytes")
  with zipfile.ZipFile(tmp_path / "b.npz", "w", zipfile.ZIP_DEFLATED) as archive:
    with archive.open("expression.npy", "w", force_zip64=True) as member:
      for _ in range(11):
        member.write(bytes(100_000))
  refused(tmp_path / "b.npz", "unpacks to more than 1 GiB")
  (tmp_path / "c.pkl").write_bytes(b"\x80\x05\x96" + (10**13).to_bytes(8, "little"))
  refused(tmp_path / "c.pkl", "is damaged")
  row = np.zeros(50)
  tracks = {name: [row] * 101 for name in ("expression", "pose", "eyelid", "jaw")}
  (tmp_path / "d.pkl").write_bytes(pickle.dumps(tracks))
  refused(tmp_path / "d.pkl", "has 101 frames")
  document = {
    "asset": {"extras": {"tdmm": {"face_model": "default_v2"}}},
    "meshes": [{"extras": {"targetNames": []}, "weights": []}],
    "animations": [{"channels": [{"sampler": 0, "target": {"node": 0, "path": "x"}}],
      "samplers": [{"output": 0}]}],
    "accessors": [{"bufferView": 0, "type": "VEC4", "count": 10**12}],
    "bufferViews": [{"byteOffset": 0}],
  }  # fmt: skip
  for change in ({}, {"animations": "none"}, {"accessors": [{"bufferView": {}}]}):
    body = json.dumps(document | change).encode()
    size = (20 + len(body)).to_bytes(4, "little")
    head = b"glTF" + (2).to_bytes(4, "little") + size + len(body).to_bytes(4, "little")
    (tmp_path / "e.glb").write_bytes(head + b"JSON" + body)
    refused(tmp_path / "e.glb", "is damaged")


READERS = ("edit", "continue", "describe", "encode", "render", "export", "cut",
  "retarget")  # fmt: skip
_NAMED = re.compile(r"\b(fps|layout|head_pose|blink_scale|face_model)\b|--(\w+)")


@pytest.mark.parametrize("command", READERS)
def test_every_hint_names_an_option_that_its_command_has(command, tmp_path, capsys):
  """The lines that a file without a rate, or of no known layout, is refused with."""
  from tdmm_jax.cli import main

  np.save(tmp_path / "bare.npy", np.zeros((90, 56), np.float32))
  write(tmp_path / "frames.csv", table(timecode=str))
  motion.save_motion(tmp_path / "hours.npz", motion.zeros(9000).replace(fps=1.0))
  (commands,) = (
    action.choices
    for action in main._parser()._actions
    if isinstance(action, argparse._SubParsersAction)
  )
  known = {name.lstrip("-") for name in commands[command]._option_string_actions}
  more = {
    "edit": ["She smiles.", "--frames", "0-9"],
    "cut": ["--frames", "0-9"],
    "render": ["-o", str(tmp_path / "a.mp4")],
    "export": ["-o", str(tmp_path / "a.csv")],
    "retarget": ["-o", str(tmp_path / "a.npz"), "--face_model", "default_v2"],
  }
  for name, hint in (
    ("bare.npy", "layout"),
    ("frames.csv", "fps"),
    ("hours.npz", "fps"),
  ):
    assert main.main([command, str(tmp_path / name), *more.get(command, [])]) == 2
    said = capsys.readouterr().err.replace(str(tmp_path), "")
    named = {plain or dashed for plain, dashed in _NAMED.findall(said)}
    assert hint in named and named <= known, said
