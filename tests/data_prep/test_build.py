"""Record directories: complete, resumable, versioned, and read without TensorFlow."""

import collections
import dataclasses
import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds

from data_prep import (
  build,
  build_shards,
  expressions,
  label_distributions,
  manifest,
  prompts,
  records,
  simulate,
  written_sentences,
)
from tdmm_jax.data import records as reading
from tdmm_jax.errors import UserError
from tdmm_jax.face import motion as motion_lib

BASIS = simulate.HeadBasis("standin00000", 5, np.eye(expressions.NUM_ACTION_UNITS))
NUM = 90
ROOT = os.path.dirname(os.path.dirname(build.__file__))
SMALL = {"seconds": (0.8, 1.2), "shard_clips": 32, "progress": False}


@pytest.fixture(autouse=True)
def stand_in_head(monkeypatch):
  monkeypatch.setattr(simulate, "head_basis", lambda: BASIS)


def make(path, num=NUM, seed=0, workers=1, **changes):
  return build.build_corpus(path, num, seed, workers, **(SMALL | changes))


def read(path):
  """clip_id -> record, over all splits."""
  builder = tfds.builder_from_directory(path)
  rows = {}
  for split in builder.info.splits:
    for row in builder.as_data_source(split):
      rows[row["clip_id"].decode()] = row | {"split": split}
  return rows


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
  path = tmp_path_factory.mktemp("corpus") / "records"
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(simulate, "head_basis", lambda: BASIS)
    stats = make(path)
  return path, stats


def test_every_clip_is_there_once_in_its_split(corpus):
  path, stats = corpus
  rows = read(path)
  plans = prompts.make_suite(NUM, 0, SMALL["seconds"])
  assert set(rows) == {plan.clip_id for plan in plans}
  for plan in plans:
    row = rows[plan.clip_id]
    assert row["split"] == plan.split == prompts.split_of(plan.clip_id)
    assert row["prompt"].decode() == plan.prompt
    assert [caption.decode() for caption in row["captions"]] == plan.captions
    assert json.loads(row["attributes"]) == plan.attributes
  splits = collections.Counter(plan.split for plan in plans)
  assert stats["splits"] == dict(splits) and stats["clips"] == NUM
  assert stats["frames"] == sum(len(row["expression"]) for row in rows.values())


def test_a_record_is_its_motion(corpus):
  rows = read(corpus[0])
  plan = prompts.make_suite(NUM, 0, SMALL["seconds"])[4]
  row, again = rows[plan.clip_id], build.example_of(plan, BASIS)
  for name in ("expression", "shape", "valid", *records.FRAME_WIDTHS):
    assert row[name].dtype == again[name].dtype
    np.testing.assert_array_equal(row[name], again[name])
  fields = {f.name for f in dataclasses.fields(motion_lib.FaceMotion)} - {"camera"}
  assert fields <= set(row)
  motion = motion_lib.FaceMotion(
    **{n: row[n] for n in fields - {"face_model"}}, face_model="default_v2"
  )
  motion_lib.validate(motion, "record")
  assert row["fps"] == 25.0
  assert row["generator"].decode() in simulate.GENERATORS
  assert row["tracker"].decode() in simulate.TRACKERS
  versions = {name: value.decode() for name, value in row["versions"].items()}
  assert versions == build.versions(BASIS)


def shard_bytes(path):
  return {p.name: p.read_bytes() for p in path.glob("*.array_record-?????-of-?????")}


def test_workers_do_not_change_the_content(corpus, tmp_path):
  make(tmp_path / "two", workers=2)
  one, two = read(corpus[0]), read(tmp_path / "two")
  assert set(one) == set(two)
  for clip_id, row in one.items():
    np.testing.assert_array_equal(row["expression"], two[clip_id]["expression"])
    assert row["prompt"] == two[clip_id]["prompt"]


def test_interrupted_build_goes_on(tmp_path, monkeypatch):
  path = tmp_path / "records"
  real, count = build.example_of, iter(range(10**6))

  def dies(plan, basis):
    if next(count) == 50:
      raise KeyboardInterrupt
    return real(plan, basis)

  monkeypatch.setattr(build, "example_of", dies)
  with pytest.raises(KeyboardInterrupt):
    make(path)
  names = sorted(p.name for p in path.iterdir())
  shard = "simulated_faces-train.array_record-00000-of-00003"
  assert names == ["build.json", "plan", shard, f"{shard}.sums.json"]
  before = shard_bytes(path)
  assert not (path / "dataset_info.json").exists(), "unreadable until complete"
  (path / ".tmp-17.array_record").write_bytes(b"x")
  again = []
  monkeypatch.setattr(
    build, "example_of", lambda plan, basis: again.append(plan) or real(plan, basis)
  )
  make(path)
  assert len(again) == NUM - SMALL["shard_clips"], "a whole shard is not made twice"
  assert shard_bytes(path).items() >= before.items(), "the whole shard was kept"
  assert len(read(path)) == NUM
  assert {p.name for p in path.iterdir()} == {
    *("build.json", "SHA256SUMS", "dataset_info.json", "features.json"),
    *shard_bytes(path),
  }


def test_a_shard_that_does_not_match_its_checksum_is_made_again(corpus, tmp_path):
  path = tmp_path / "records"
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(build_shards, "finish", lambda *args: {})
    make(path)
  damaged = sorted(shard_bytes(path))[1]
  content = bytearray((path / damaged).read_bytes())
  content[len(content) // 2] ^= 1
  (path / damaged).write_bytes(content)
  stats = make(path)
  assert stats["content_sha256"] == corpus[1]["content_sha256"]
  assert shard_bytes(path) == shard_bytes(corpus[0])


def test_verify_finds_a_damaged_and_a_missing_shard(corpus, tmp_path, capsys):
  path = tmp_path / "records"
  shutil.copytree(corpus[0], path)
  args = ["--verify", "--out", str(path)]
  assert build.main(args) == 0
  assert json.loads(capsys.readouterr().out) == {"shards": 5, "sound": True}
  shard = sorted(path.glob("*train*"))[0]
  shard.write_bytes(shard.read_bytes()[:-1])
  assert build.main(args) == 2
  assert "not its SHA-256" in capsys.readouterr().err
  shard.unlink()
  assert build.main(args) == 2
  assert "this shard is missing" in capsys.readouterr().err


def test_the_digest_is_that_of_the_sorted_records(corpus):
  path, stats = corpus
  splits = prompts.SPLITS
  sources = [reading.open_split(path, split) for split in splits]
  raw = [source.raw(i) for source in sources for i in range(len(source))]
  assert stats["content_sha256"] == records.corpus_digest(
    hashlib.sha256(record).hexdigest() for record in raw
  )
  sharded = make(path.parent / "other_shards", shard_clips=17)
  assert sharded["content_sha256"] == stats["content_sha256"]


def test_two_builds_do_not_share_a_directory(tmp_path):
  with build_shards.locked(str(tmp_path / "records")):
    with pytest.raises(UserError, match="another build is at work"):
      make(tmp_path / "records")
  make(tmp_path / "records", num=6)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path, workers, capsys):
  path = tmp_path / "records"
  args = ["--num", "60", "--shard_clips", "32", "--out", str(path)]
  args += ["--workers", str(workers)]
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(build_shards, "run", lambda shards, maker, *_: shards[-1:])
    patch.setattr(build_shards, "finish", lambda *args: {})
    assert build.main(args) == 0  # planned, and nothing more
  shard = build_shards.planned(str(path), prompts.SPLITS, records.SIMULATED_FACES)[-1]
  build_shards.write_shard(shard, build.SimulatedClips(BASIS))
  capsys.readouterr()
  before = shard_bytes(path)
  soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))  # workers inherit it
  try:
    assert build.main(args) == 2
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
  last = capsys.readouterr().err.strip().splitlines()[-1]
  assert "File too large" in last and "make room" in last
  assert not [p for p in path.iterdir() if "tmp" in p.name]
  assert shard_bytes(path).items() >= before.items() and len(before) == 1
  assert build.main([*args[:-1], "1"]) == 0
  assert len(read(path)) == 60


def test_a_manifest_can_be_acted_out(tmp_path):
  rows = [
    {"clip_id": "a", "prompt": "A man looks very sad, nodding.", "split": "test"},
    {"clip_id": "b", "prompt": "She smiles.", "captions": ["A woman smiles."]},
  ]
  manifest.write(tmp_path / "prompts.jsonl", rows)
  out = tmp_path / "records"
  args = ["--prompts", str(tmp_path / "prompts.jsonl"), "--workers", "1"]
  assert build.main([*args, "--out", str(out)]) == 0
  made = read(out)
  assert set(made) == {"a", "b"} and made["a"]["split"] == "test"
  attributes = json.loads(made["a"]["attributes"])
  assert attributes["emotion"] == "sad" and attributes["head_motion"] == ["nod"]
  assert made["b"]["captions"] == [b"A woman smiles."]
  low, high = (25 * s for s in build.CORPORA["demo"].seconds)
  assert all(low <= len(row["valid"]) <= high for row in made.values())


BAD_MANIFESTS = {
  "broken line": ('{"clip_id": "a", "prom\n', "prompts.jsonl:1: not JSON"),
  "duplicate": (
    '{"clip_id": "a", "prompt": "x"}\n{"clip_id": "a", "prompt": "y"}\n',
    "prompts.jsonl:2: clip_id 'a' comes twice",
  ),
  "empty": ("\n", "no prompts in it"),
  "split": ('{"clip_id": "a", "prompt": "x", "split": "dev"}', "clip 'a': split 'dev'"),
  "duration": ('{"clip_id": "a", "prompt": "x", "duration_s": -1}', "duration_s -1"),
}


@pytest.mark.parametrize("name", BAD_MANIFESTS)
def test_bad_manifests_are_the_users_error(tmp_path, name, capsys):
  text, message = BAD_MANIFESTS[name]
  (tmp_path / "prompts.jsonl").write_text(text)
  args = ["--prompts", str(tmp_path / "prompts.jsonl"), "--out", str(tmp_path / "r")]
  assert build.main(args) == 2
  assert message in capsys.readouterr().err


def test_done_is_done(corpus, monkeypatch):
  path, stats = corpus

  def never(*args):
    raise AssertionError("simulated again")

  monkeypatch.setattr(prompts, "make_suite", never)
  assert make(path) == stats


def test_other_version_is_refused(corpus, monkeypatch):
  path, _ = corpus
  monkeypatch.setattr(simulate, "VERSION", "feedfacecafe")
  with pytest.raises(UserError) as error:
    make(path)
  message = str(error.value)
  assert "feedfacecafe" in message and build.versions(BASIS)["lexicon"] not in message
  assert json.loads((path / "build.json").read_text())["request"]["versions"][
    "simulator"
  ] in (message)


@pytest.mark.parametrize(
  "num,seed,message", [(NUM + 1, 0, "num_clips 90, not 91"), (NUM, 1, "seed 0, not 1")]
)
def test_other_request_is_refused(corpus, num, seed, message):
  with pytest.raises(UserError, match=message):
    make(corpus[0], num, seed)


def test_labels_of_another_distribution_are_another_request(corpus, tmp_path, capsys):
  path, _ = corpus
  with pytest.raises(UserError, match="built with labels None, not lab"):
    make(path, labels="lab")
  stats = make(tmp_path / "lab", labels="lab")
  rows = read(tmp_path / "lab")
  held_out = {key for key, row in rows.items() if row["split"] == "test"}
  balanced = read(path)
  assert held_out and stats["clips"] == NUM
  for key in held_out:
    np.testing.assert_array_equal(rows[key]["expression"], balanced[key]["expression"])
  said = {
    json.loads(row["attributes"])["emotion"]
    for key, row in rows.items()
    if key not in held_out
  }
  assert said == set(label_distributions.train_labels("lab"))
  args = ["--prompts", "p.jsonl", "--labels", "lab", "--out", str(tmp_path / "r")]
  assert build.main(args) == 2
  assert "--labels: of the own suite only" in capsys.readouterr().err


def test_a_corpus_has_its_share_of_written_prompts(corpus, tmp_path, capsys):
  with pytest.raises(UserError, match=r"built with written None, not 0\.5"):
    make(corpus[0], written=0.5)
  args = ["--num", "40", "--workers", "1", "--corpus", "demo", "--out"]
  assert build.main([*args, str(tmp_path / "usual")]) == 0
  request = json.loads((tmp_path / "usual" / "build.json").read_text())["request"]
  assert request["written"] == build.CORPORA["demo"].written == 0.25
  known = {row["text"] for row in written_sentences.load("train")}
  of_people = [r for r in read(tmp_path / "usual").values() if said_by(r) in known]
  assert 3 <= len(of_people) <= 17 and {r["split"] for r in of_people} == {"train"}
  args += [str(tmp_path / "r"), "--written"]
  assert build.main([*args, "1.5"]) == 2
  assert "written 1.5: no share of clips; give 0 (none) to 1" in capsys.readouterr().err
  assert build.main([*args, "0.5", "--prompts", "p.jsonl"]) == 2
  assert "--written: of the own suite only" in capsys.readouterr().err


def said_by(row) -> str:
  return row["prompt"].decode()


def test_strange_directories_are_refused(tmp_path):
  (tmp_path / "photo.jpg").write_bytes(b"x")
  with pytest.raises(UserError, match="not empty"):
    make(tmp_path)
  broken = tmp_path / "broken"
  broken.mkdir()
  (broken / "build.json").write_text('{"requ')
  with pytest.raises(UserError, match="unreadable"):
    make(broken)


def test_reading_needs_no_tensorflow(corpus):
  code = (
    "import sys, tensorflow_datasets as tfds\n"
    "source = tfds.builder_from_directory(sys.argv[1]).as_data_source('train')\n"
    "assert source[0]['expression'].shape[1] == 50 and len(source) > 50\n"
    "assert 'tensorflow' not in sys.modules\n"
  )
  subprocess.run([sys.executable, "-c", code, str(corpus[0])], check=True)


def test_writing_needs_no_tensorflow(tmp_path):
  code = (
    "import sys, numpy as np\n"
    "from data_prep import build, simulate\n"
    "basis = simulate.HeadBasis('h', 5, np.eye(50))\n"
    "simulate.head_basis = lambda: basis\n"
    "build.build_corpus(sys.argv[1], 12, 0, 1, False, (0.8, 1.0), 8)\n"
    "assert 'tensorflow' not in sys.modules and 'jax' not in sys.modules\n"
  )
  subprocess.run(
    [sys.executable, "-c", code, str(tmp_path / "r")], check=True, cwd=ROOT
  )


def test_command_line(tmp_path, capsys):
  out = tmp_path / "records"
  args = ["--num", "6", "--workers", "1", "--out", str(out)]
  with pytest.raises(SystemExit):
    build.main([*args, "--runner=DirectRunner"])
  assert "unrecognized arguments" in capsys.readouterr().err
  assert build.main(args) == 0
  assert json.loads(capsys.readouterr().out)["clips"] == 6
  assert build.main([*args[:1], "7", *args[2:]]) == 2
  assert "not 7" in capsys.readouterr().err
  assert build.main(["--num", "0", "--out", str(tmp_path / "none")]) == 2
  assert not (tmp_path / "none").exists()
