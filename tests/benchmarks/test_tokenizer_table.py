"""The tokenizer table, its claim about geometry, and real clips: numbers that agree."""

import sys

import numpy as np
import pytest
import tiny

from benchmarks import real_tokens, token_flips, tokenizer_table
from tdmm_jax.codec import motion_codec
from tdmm_jax.data import records
from tdmm_jax.evaluation import evaluate
from tdmm_jax.face import face_model
from tdmm_jax.runs import checkpoints


@pytest.fixture(scope="module")
def codec(tiny_run):
  return motion_codec.load(tiny_run / "tokenizer")


@pytest.fixture(scope="module")
def clips(tiny_run):
  return records.load_clips(tiny_run / "records", "test")[:3]


def test_the_table_has_the_numbers_of_an_evaluation(
  tiny_run, codec, clips, tmp_path, monkeypatch, capsys
):
  for row, seed in (("one", "0"), ("two", "0"), ("two", "1")):
    (tmp_path / row).mkdir(exist_ok=True)
    (tmp_path / row / seed).symlink_to(tiny_run / "tokenizer")
  words = ["--rows", tmp_path, "--records", tiny_run / "records", "--clips", len(clips)]
  words += ["--json", tmp_path / "scores.json"]
  monkeypatch.setattr(sys, "argv", ["tokenizer_table", *map(str, words)])
  tokenizer_table.main()
  stored = checkpoints.read_json(tmp_path / "scores.json")
  assert {row: [*seeds] for row, seeds in stored["rows"].items()} == {
    "one": ["0"],
    "two": ["0", "1"],
  }
  scores = stored["rows"]["two"]["1"]
  for key, value in evaluate.reconstruction(codec, clips).items():
    np.testing.assert_allclose(scores[key], value, rtol=1e-4, atol=1e-6, err_msg=key)
  assert scores["steps"] == 12 and scores["num_codes"] == 24
  assert (
    f"| one | 1 | {scores['parameters_m']:.1f} | 12 | 24 |" in capsys.readouterr().out
  )


def test_a_run_with_refinements_has_a_row_of_all_its_codes(
  tiny_run, clips, tmp_path, monkeypatch, capsys
):
  config = tiny.config_of("tokenizer_demo", tiny_run, total_steps=60, warmup_steps=10)
  config.model.update({"num_phases": 8, "levels": (5, 5, 5), "num_refinements": 1})
  config.update({"eval_every": 60, "save_every": 60})
  tiny.train_on(config, tmp_path / "rows" / "two" / "0")
  words = ["--rows", tmp_path / "rows", "--records", tiny_run / "records"]
  words += ["--json", tmp_path / "scores.json"]
  monkeypatch.setattr(sys, "argv", ["tokenizer_table", *map(str, words)])
  tokenizer_table.main()
  rows = checkpoints.read_json(tmp_path / "scores.json")["rows"]
  assert [*rows] == ["two", "two + refinement"]
  base, refined = (row["0"] for row in rows.values())
  assert refined["head_error_deg"] < base["head_error_deg"]
  assert refined["num_codes"] == base["num_codes"] == 1_000
  assert "| two + refinement | 1 |" in capsys.readouterr().out
  codec = motion_codec.load(tmp_path / "rows" / "two" / "0")
  for key, value in evaluate.reconstruction(codec, clips).items():
    assert np.isfinite(value), key


def test_offsets_change_the_face_by_as_much_as_they_say(codec, clips):
  region = np.asarray(codec.face.regions["face"])
  face = face_model.vertex_subset(codec.face, region)
  std_P = np.asarray(codec.variables["stats"]["params_std"])
  rng = np.random.default_rng(0)
  found = token_flips.offsets(face, clips[0], std_P, 3.0, rng)
  for kind in ("smallest", "random"):
    np.testing.assert_allclose(found[kind]["change_mm"], 0.1, rtol=1e-3)
  for kind, move in found.items():
    offset_KP = move["offset"]
    assert not offset_KP[:, -9:].any()  # gaze and head rotation stay
    np.testing.assert_allclose(
      np.linalg.norm(offset_KP / std_P, axis=1), move["size"], rtol=1e-3, err_msg=kind
    )
  # What the face hardly shows takes long offsets; plausible ones are short.
  assert found["smallest"]["size"].min() > 5 * found["random"]["size"].max()
  assert found["plausible"]["size"].max() <= 3.0
  # The change is the area-weighted RMS over the region's vertices.
  still = face_model.motion_vertices
  vectors = clips[0]["vectors"][clips[0]["valid"]]
  place = lambda x: still(
    codec.face,
    token_flips.motion_vector.to_motion(x, codec.face.name),
    head_fixed=True,
    identity=False,
  )[:, region]
  change = place(vectors + found["random"]["offset"][0]) - place(vectors)
  share_V = np.asarray(codec.face.vertex_areas)[region]
  share_V /= share_V.sum()
  mm = 1000 * np.sqrt((np.sum(change**2, -1) @ share_V).mean())
  np.testing.assert_allclose(mm, 0.1, rtol=0.1)  # lids are clipped here, and all frames


def test_no_offset_flips_no_token_and_a_large_one_does(codec, clips):
  width = clips[0]["vectors"].shape[1]
  none = np.zeros((token_flips.DIRECTIONS, width), np.float32)
  huge = none.copy()
  huge[:, 0] = 9.0
  kinds = {"smallest": none, "plausible": none, "random": huge}
  moves = [{kind: {"offset": x} for kind, x in kinds.items()}] * len(clips)
  rates = token_flips.flip_rates(codec, clips, moves)
  assert rates["smallest"] == rates["plausible"] == 0 < rates["random"] <= 1


def test_real_clips_are_scored_frame_by_frame_alike(codec, clips, tmp_path):
  scores, decoded = real_tokens.scores(codec, clips)
  total = frames = 0.0
  for clip, made in zip(clips, decoded, strict=True):
    total += real_tokens.frame_errors_mm(codec.face, clip, made).sum()
    frames += clip["valid"].sum()
  np.testing.assert_allclose(total / frames, scores["face_error_mm"], rtol=1e-4)
  worst = real_tokens.draw(codec, clips, decoded, tmp_path / "worst.png")
  errors = [column["face_error_mm"] for column in worst]
  assert errors == sorted(errors, reverse=True) and len(errors) == len(clips)
  assert (tmp_path / "worst.png").stat().st_size > 5_000
