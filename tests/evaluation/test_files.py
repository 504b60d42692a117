"""Other systems' motions: matched by name, scored without any model."""

import json

import numpy as np
import pytest

from tdmm_jax.cli import main
from tdmm_jax.data import records
from tdmm_jax.errors import UserError
from tdmm_jax.evaluation import files, tables
from tdmm_jax.face import motion as motion_lib
from tdmm_jax.face.fit import between_heads


def motion(seed, frames=20, scale=0.3):
  rng = np.random.default_rng(seed)
  drift = lambda width: np.cumsum(rng.normal(size=(frames, width)), 0) * scale / 5
  made = motion_lib.zeros(frames, "default_v2", num_expression=50)
  return made.replace(
    expression=drift(50).astype(np.float32),
    jaw_pose=np.abs(drift(3)).astype(np.float32) / 5,
    head_pose=drift(3).astype(np.float32) / 5,
  )


def fill(folder, motions, texts=()):
  folder.mkdir()
  for name, made in motions.items():
    motion_lib.save_motion(folder / f"{name}.npz", made)
  if texts:
    rows = [json.dumps(dict(clip_id=name, **row)) for name, row in texts]
    (folder / "prompts.jsonl").write_text("\n".join(rows) + "\n")
  return folder


@pytest.fixture
def folders(tmp_path):
  truth = {name: motion(i) for i, name in enumerate("abc")}
  made = {name: motion(i + 10) for i, name in enumerate("bcd")} | {"a": truth["a"]}
  ref = fill(
    tmp_path / "ref",
    truth,
    [
      ("a", {"prompt": "She is very sad.", "captions": ["A woman looks very sad."]}),
      ("b", {"prompt": "He nods.", "captions": ["A man nods."]}),
    ],
  )
  pred = fill(
    tmp_path / "pred",
    made,
    [("a", {"prompt": "She is sad."}), ("b", {"prompt": "He nods."})],
  )
  (pred / "a.mp4").write_bytes(b"beside the motions")
  return pred, ref


def test_clips_are_matched_by_name(folders):
  found = files.scores(*folders)
  assert found["num_clips"] == 3 and found["frames"] == 60
  assert found["unmatched"] == {"pred": 1, "ref": 0} and found["cut"] == 0
  assert found["unavailable"] == {}
  motion, m2l = found["motion"], found["m2l"]
  assert motion["l2"] > 0 and motion["fd"] > 0 and motion["face_error_mm"] > 0
  assert motion["floor"]["face_error_mm"] > 0 < motion["constant_face_error_mm"]
  assert m2l["num_clips"] == 2
  # "very sad" against "sad": the emotion is right twice, the intensity one level off.
  assert m2l["cor_e"] == 5 and m2l["cor_i"] == 4.5
  text = tables.files_markdown(found, "theirs")
  assert "| theirs | " in text and "LVE-sq" in text and "## Captions" in text


def test_the_truth_against_itself_has_no_error(folders):
  _, ref = folders
  found = files.scores(ref, ref)["motion"]
  for name in ("l2", "fd", "face_error_mm", "lip_error_mm", "fdd_mm2", "mve_mm"):
    np.testing.assert_allclose(found[name], 0, atol=1e-4, err_msg=name)
  np.testing.assert_allclose(found["jitter_ratio"], 1.0)


def test_a_clip_that_is_longer_is_cut_and_counted(tmp_path):
  pred = fill(tmp_path / "p", {"a": motion(0, 30), "b": motion(1)})
  ref = fill(tmp_path / "r", {"a": motion(0, 20), "b": motion(2)})
  found = files.scores(pred, ref)
  assert found["cut"] == 1 and found["frames"] == 40 and found["m2l"] is None
  assert "prompts.jsonl" in found["unavailable"]["m2l"]


def test_vertices_need_the_motions_own_face(tmp_path):
  flame = motion(0).replace(face_model="flame2020")
  folder = fill(tmp_path / "p", {"a": flame, "b": flame})
  found = files.scores(folder, folder)
  assert found["motion"]["l2"] == 0 and "face_error_mm" not in found["motion"]
  assert "'flame2020'" in found["unavailable"]["vertices"]
  assert "- vertices: the motions" in tables.files_markdown(found, "x")


def test_motions_of_the_earlier_head_are_carried_over(tmp_path, caplog):
  before = {
    name: motion(i).replace(face_model="default_v1") for i, name in enumerate("ab")
  }
  now = {name: between_heads.carry(m, "default_v2") for name, m in before.items()}
  pred, ref = fill(tmp_path / "p", before), fill(tmp_path / "r", now)
  found = files.scores(pred, ref)["motion"]
  assert found["face_error_mm"] < 1e-3 < found["floor"]["face_error_mm"]
  assert [record.getMessage() for record in caplog.records] == [
    f"{pred}: of 'default_v1'; carried over to 'default_v2'"
  ]
  caplog.clear()
  assert files.scores(pred, pred)["motion"]["face_error_mm"] == 0  # on their own head
  assert not caplog.records


def test_a_record_directory_is_a_side_too(tiny_run):
  found = files.scores(tiny_run / "records", tiny_run / "records", "valid")
  clips = records.load_clips(tiny_run / "records", "valid")
  assert found["num_clips"] == len(clips)
  assert found["frames"] == sum(len(clip["vectors"]) for clip in clips)
  assert found["m2l"]["cor_e"] == 5.0 and found["motion"]["l2"] == 0


def test_what_is_wrong_is_said(folders, tmp_path):
  pred, ref = folders
  empty = tmp_path / "empty"
  empty.mkdir()
  with pytest.raises(UserError, match=r"empty: no motion files \(.npz"):
    files.scores(empty, ref)
  with pytest.raises(UserError, match="gone: no such folder"):
    files.scores(tmp_path / "gone", ref)
  other = fill(tmp_path / "other", {"z": motion(0)})
  with pytest.raises(UserError, match="no clip of the same name in both, such as 'z'"):
    files.scores(other, ref)
  flame = fill(tmp_path / "flame", {"a": motion(0).replace(face_model="flame2020")})
  with pytest.raises(UserError, match="a: face_model is 'flame2020' in pred"):
    files.scores(flame, ref)
  (pred / "prompts.jsonl").write_text('{"clip_id": "a"}\n')
  with pytest.raises(UserError, match=r"prompts.jsonl:1: no text of a clip"):
    files.scores(pred, ref)


def test_the_command_writes_json_and_tables(folders, tmp_path, capsys):
  pred, ref = folders
  out, page = tmp_path / "s.json", tmp_path / "s.md"
  words = ["evaluate", "--pred", pred, "--ref", ref, "--json", out, "--markdown", page]
  assert main.main([str(word) for word in words]) == 0
  scores = json.loads(out.read_text())
  assert scores["schema_version"] == 2 and scores["motion"]["l2"] > 0
  assert page.read_text().startswith("# pred\n")
  assert "face_error_mm" in capsys.readouterr().out
  assert main.main(["evaluate", "--pred", str(pred)]) == 2
  assert "--pred, --ref: give both" in capsys.readouterr().err
