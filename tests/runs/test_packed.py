"""A packed run: the same answers, no optimiser in it, and no damage goes unseen."""

import json
import shutil

import jax
import numpy as np
import pytest
import tiny

import tdmm_jax
from tdmm_jax import files, pack_release
from tdmm_jax.cli import main
from tdmm_jax.codec import motion_codec
from tdmm_jax.errors import UserError
from tdmm_jax.face import head_file
from tdmm_jax.generate import face as inference
from tdmm_jax.runs import checkpoints, locate, packed


@pytest.fixture(scope="module")
def release(tiny_run, tmp_path_factory):
  folder = tmp_path_factory.mktemp("packed") / "release"
  pack_release.pack(tiny_run, folder)
  return folder


def test_parameters_are_those_of_the_run_to_float16(tiny_run, release):
  for part in ("tokenizer", "lm"):
    ours = checkpoints.restore_model(release / part)
    run = checkpoints.restore_model(tiny_run / part)
    assert ours["step"] == run["step"] == tiny.STEPS[part]
    assert jax.tree.structure(ours) == jax.tree.structure(run)
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-7)
    jax.tree.map(close, ours["params"], run["params"])
    jax.tree.map(np.testing.assert_array_equal, ours["collections"], run["collections"])
    assert {x.dtype for x in jax.tree.leaves(ours["params"])} == {np.dtype("float32")}
    assert checkpoints.has_checkpoint(release / part)
    config = (release / part / "config.json").read_text()
    assert str(tiny_run) in (tiny_run / part / "config.json").read_text()
    assert str(tiny_run) not in config and '"/' not in config
  size = (release / "lm" / packed.TENSORS).stat().st_size
  run_params = checkpoints.restore_model(tiny_run / "lm")["params"]
  count = sum(x.size for x in jax.tree.leaves(run_params))
  assert 2 * count < size < 2.3 * count + 8_000


def test_the_linear_paths_keep_their_bits(tiny_run, release):
  ours, run = (
    checkpoints.restore_model(folder / "tokenizer")["params"]
    for folder in (release, tiny_run)
  )
  for name in ("linear_encoder", "linear_decoder"):
    np.testing.assert_array_equal(ours[name], run[name])


def test_a_value_too_large_for_float16_is_refused(tmp_path):
  params = {"layer": {"kernel": np.ones((2, 3), np.float32)}}
  model = {"params": params, "collections": {"stats": {"mean": np.full(3, 1 / 3)}}}
  (tmp_path / "lm").mkdir()
  packed.write_tensors(tmp_path / "lm" / packed.TENSORS, model | {"step": 7})
  packed.write_checksums(tmp_path, {"lm": 7})
  step, read = packed.read(tmp_path / "lm")
  assert step == 7 and read.keys() == {"params", "collections"}
  jax.tree.map(np.testing.assert_array_equal, read, model)
  params["layer"]["kernel"][0, 0] = 1e5
  with pytest.raises(ValueError, match="params/layer/kernel: 100000 is too large"):
    packed.write_tensors(tmp_path / "lm" / packed.TENSORS, model)


def test_it_generates_and_describes(release, tmp_path, capsys):
  out = tmp_path / "out"
  args = ["generate", "She smiles.", "--seconds", "0.4", "--run", str(release)]
  assert main.main([*args, "--out", str(out)]) == 0
  assert main.main(["describe", str(out / "motion.npz"), "--run", str(release)]) == 0
  assert "motion.npz" in capsys.readouterr().out
  assert "language model step 12" in locate.title(release)


def test_bfloat16_is_for_training(tiny_run, tmp_path):
  run = tmp_path / "run"
  shutil.copytree(tiny_run, run, ignore=shutil.ignore_patterns("records"))
  path = run / "lm" / "config.json"
  stored = json.loads(path.read_text())
  stored["config"]["model"]["dtype"] = "bfloat16"
  path.write_text(json.dumps(stored))
  pack_release.pack(run, tmp_path / "release")
  face = inference.Face(tmp_path / "release")
  assert face.model.dtype == np.float32


def test_it_is_found_before_the_demo(release, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(locate, "RELEASE_DIR", release)
  assert locate.find() == locate.find("release") == release
  assert tdmm_jax.load().name == tdmm_jax.load("release").name == str(release)


def damaged(release, tmp_path, name: str, content: bytes | None):
  """A copy of the release whose file `name` is another, or missing."""
  copy = tmp_path / "release"
  shutil.copytree(release, copy)
  if content is None:
    (copy / name).unlink()
  else:
    (copy / name).write_bytes(content)
  return copy


DAMAGE = {
  "flipped bit": ("lm/model.safetensors", None, "lm/model.safetensors: damaged"),
  "missing weights": (
    "tokenizer/model.safetensors",
    None,
    "model.safetensors: missing",
  ),
  "missing vocabulary": ("lm/vocab.json", None, "lm/vocab.json: missing"),
  "other config": ("lm/config.json", b"{}", "lm/config.json: damaged"),
  "no checksums": ("checksums.json", None, "checksums.json: missing"),
  "broken checksums": ("checksums.json", b'{"lm/', "checksums.json: damaged"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_one_line_that_names_the_file(case, release, tmp_path, capsys):
  name, content, message = DAMAGE[case]
  if case == "flipped bit":
    flipped = bytearray((release / name).read_bytes())
    flipped[-5] ^= 1
    content = bytes(flipped)
  copy = damaged(release, tmp_path, name, content)
  args = ["generate", "She smiles.", "--run", str(copy), "--out", str(tmp_path / "o")]
  assert main.main(args) == 2
  said = capsys.readouterr().err
  assert message in said and "install the package again" in said
  assert len(said.strip().splitlines()) == 1


def test_too_large_a_run_is_refused_and_nothing_is_left(
  tiny_run, tmp_path, monkeypatch
):
  monkeypatch.setattr(pack_release, "MAX_BYTES", 1_000)
  args = ["--run", str(tiny_run), "--out", str(tmp_path / "release")]
  assert pack_release.main(args) == 2
  assert [*(tmp_path / "release").iterdir()] == []
  assert {path.name for path in tmp_path.iterdir()} == {"release"}


def test_packing_counts_tokens_that_differ(tiny_run, release, tmp_path, capsys):
  assert pack_release.token_difference(tiny_run, tiny_run, tiny_run / "records") == 0
  out = str(tmp_path / "again")
  (tmp_path / "again").mkdir()
  (tmp_path / "again" / "NOTES.md").write_text("kept")
  args = ["--run", str(tiny_run), "--out", out, "--compare", str(tiny_run / "records")]
  assert pack_release.main(args) == 0
  said = json.loads(capsys.readouterr().out)
  assert 0 <= said["share_of_tokens_that_differ"] < 0.05
  assert (tmp_path / "again" / "NOTES.md").read_text() == "kept"
  again = (tmp_path / "again" / packed.CHECKSUMS).read_bytes()
  assert again == (release / packed.CHECKSUMS).read_bytes()


SCORES = {
  "num_clips": 7,
  "split": "test",
  "seed": 0,
  "m2l": {"cor_e": 4.321},
  "l2m": {"replications": 1, "cor_e": 3.5},
  "tokenizer": {"codebook_used": 5, "num_codes": 24, "perplexity": 3.0},
  "versions": {},
  "unavailable": {},
}


def test_a_run_with_versions_of_before_is_refused_and_restamped(
  tiny_run, release, tmp_path, monkeypatch
):
  """Packed and as trained; the weights stay, and so do their versions."""
  monkeypatch.setitem(pack_release._OLD_HEADS, "a881e5b84f71", head_file.DEFAULT)
  for source in (release, tiny_run):
    run = tmp_path / source.name
    for part in ("tokenizer", "evaluator", "lm"):
      shutil.copytree(source / part, run / part)
      path = run / part / checkpoints.CONFIG_FILE
      stored = checkpoints.read_json(path)
      new = dict(stored["versions"])
      own = "evaluator" if part == "evaluator" else "tokenizer"
      stored["versions"] |= {"head": "a881e5b84f71", own: "0123456789ab"}
      files.write_json(path, stored)
    if source == release:
      packed.write_checksums(run, packed.read_checksums(release)["steps"])
    with pytest.raises(UserError, match="pack_release --restamp"):
      motion_codec.load(run / "tokenizer")
    assert pack_release.restamp(run) == ["tokenizer", "lm", "evaluator"]
    assert (
      checkpoints.read_json(run / "lm" / checkpoints.CONFIG_FILE)["versions"] == new
    )
    assert motion_codec.load(run / "tokenizer").version == new["tokenizer"]
    with pytest.raises(UserError, match="nothing to renew"):
      pack_release.restamp(run)


def test_the_model_card_says_what_was_packed_and_measured(tiny_run, tmp_path, capsys):
  scores, out = tmp_path / "scores.json", tmp_path / "release"
  args = ["--run", str(tiny_run), "--out", str(out)]
  assert pack_release.main(args) == 0
  assert "Not scored" in (out / "MODEL_CARD.md").read_text()
  scores.write_text(json.dumps(SCORES))
  assert pack_release.main([*args, "--scores", str(scores)]) == 0
  card = (out / "MODEL_CARD.md").read_text()
  assert "| release | 4.32 |" in card and "7 test clips" in card
  assert "tokenizer 80, lm 12" in card and "Not scored" not in card
  assert pack_release.main(args) == 0  # packed again: the scores stay
  assert (out / "MODEL_CARD.md").read_text() == card
  assert json.loads((out / "scores.json").read_text()) == SCORES
  capsys.readouterr()


def test_using_it_imports_nothing_of_training(release):
  code = (
    "import sys, tdmm_jax; tdmm_jax.load(sys.argv[1])\n"
    "slow = {'orbax', 'optax', 'grain', 'tensorflow_datasets', 'sklearn', 'numba'}\n"
    "print(sorted(slow & set(sys.modules)))"
  )
  assert tiny.run_python(code, release).strip() == "[]"
