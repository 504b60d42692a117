"""What people install and cite: the wheel, its checkpoint, the citation."""

import itertools
import json
import re
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import tiny
import yaml

import tdmm_jax
from tdmm_jax import pack_release
from tdmm_jax.evaluation import evaluator
from tdmm_jax.face import motion as motion_lib
from tdmm_jax.language import lexicon
from tdmm_jax.runs import locate, packed

RELEASED = (locate.RELEASE_DIR / packed.CHECKSUMS).exists()


def test_citation_and_changelog_name_this_version():
  cited = yaml.safe_load((tiny.REPO / "CITATION.cff").read_text())
  needed = {"cff-version", "message", "title", "authors", "version", "license"}
  assert needed <= cited.keys()
  assert cited["version"] == tdmm_jax.__version__
  assert "2603.16936" in str(cited["references"])
  versions = re.findall(
    r"^## (\S+) \((\S+)\)", (tiny.REPO / "CHANGELOG.md").read_text(), re.MULTILINE
  )
  assert versions[0] == (cited["version"], cited["date-released"])


@pytest.mark.skipif(not RELEASED, reason="the checkout carries no checkpoint")
def test_the_release_is_whole_small_and_has_its_card():
  for part in (locate.TOKENIZER, locate.LANGUAGE_MODEL):
    packed.verify(locate.RELEASE_DIR / part)
  files = [path for path in locate.RELEASE_DIR.rglob("*") if path.is_file()]
  assert sum(path.stat().st_size for path in files) < pack_release.MAX_BYTES
  scores = json.loads((locate.RELEASE_DIR / pack_release.SCORES).read_text())
  assert scores["split"] == "test"
  card = (locate.RELEASE_DIR / pack_release.CARD).read_text()
  assert f"| {scores['m2l']['cor_e']:.2f} |" in card
  stored = json.loads((locate.RELEASE_DIR / "lm" / "config.json").read_text())
  assert stored["versions"]["tokenizer"] == scores["versions"]["tokenizer"]
  assert not re.search(r'"(/|~)', json.dumps(stored)), "a path of one machine"


@pytest.mark.skipif(not RELEASED, reason="the checkout carries no checkpoint")
def test_a_head_at_rest_is_so_until_the_motion_ends():
  codec = tdmm_jax.load("release").codec
  still = motion_lib.zeros(
    60, codec.face.name, num_expression=codec.face.num_expression
  )
  (decoded,) = codec.decode(codec.encode([still]))
  assert np.degrees(np.abs(decoded.head_pose)).max() < 1.0


@pytest.mark.skipif(not RELEASED, reason="the checkout carries no checkpoint")
def test_the_release_hears_the_order_of_words():
  face = tdmm_jax.load("release")
  pairs = list(itertools.permutations(("happy", "sad", "angry", "surprised"), 2))
  prompts = [f"She looks very {a}, then very {b}." for a, b in pairs]
  codes = face.generate_codes(prompts, [4.0] * len(pairs), seed=0)
  cut = 6 * face.codec.num_phases  # the first emotion takes 58 to 70 % of 100 frames
  family = lambda text: lexicon.parse(text)["family"]
  begun = [family(text) for text in face.describe_codes([c[:cut] for c in codes])]
  word = lambda adjective: family(f"She looks {adjective}.")
  firsts = [found == word(a) for found, (a, _) in zip(begun, pairs, strict=True)]
  seconds = [found == word(b) for found, (_, b) in zip(begun, pairs, strict=True)]
  assert sum(firsts) >= 9 and sum(seconds) <= 2  # of 12


@pytest.mark.skipif(not RELEASED, reason="the checkout carries no checkpoint")
def test_what_a_sentence_means_or_denies_is_shown():
  face = tdmm_jax.load("release")
  wanted = {
    "Her dog died this morning.": {"sadness"},
    "He is not smiling.": {lexicon.NEUTRAL},
    "He just won the lottery.": {"happiness", "surprise"},
  }
  codes = face.generate_codes(list(wanted), [4.0] * len(wanted), seed=0)
  for says, (prompt, families) in zip(face.describe_codes(codes), wanted.items()):
    assert lexicon.parse(says)["family"] in families, (prompt, says)


def test_tokens_and_back_in_a_process_that_has_imported_nothing_else(tmp_path):
  """`decode` needs what saves a motion, and may not count on another import for it."""
  script = """
from tdmm_jax.cli import main
from tdmm_jax.face import motion
motion.save_motion("a.npz", motion.zeros(16))
assert main.main(["encode", "a.npz", "-o", "a.json"]) == 0
assert main.main(["decode", "a.json", "-o", "b.npz"]) == 0
"""
  run(sys.executable, "-c", script, cwd=tmp_path)
  assert (tmp_path / "b.npz").exists()


def copy_of_the_source(folder):
  """The files that a wheel is built of, with a checkpoint, the real one if there is."""
  for name in ("tdmm_jax", "data_prep", "configs", "launch"):
    skip = shutil.ignore_patterns("__pycache__")
    shutil.copytree(tiny.REPO / name, folder / name, ignore=skip)
  names = [path.name for path in tiny.REPO.glob("requirements*.txt")]
  for name in ("pyproject.toml", "README.md", "LICENSE", *names):
    shutil.copyfile(tiny.REPO / name, folder / name)
  return folder


def data_files(source) -> set[str]:
  """What a wheel carries beside code: all but the dummy data of the datasets' tests."""
  paths = [path.relative_to(source) for path in source.rglob("*") if path.is_file()]
  return {
    path.as_posix()
    for path in paths
    if len(path.parts) > 1
    and path.suffix != ".py"
    and not {"dummy_data", "codes"} & set(path.parts)  # codes: other tests' corpora
  }


def pins(name: str) -> list[str]:
  """The requirements of requirements-NAME.txt."""
  lines = (tiny.REPO / f"requirements-{name}.txt").read_text().splitlines()
  return [line.split("#")[0].strip() for line in lines if not line.startswith("#")]


def run(*words, **options) -> str:
  done = subprocess.run(words, capture_output=True, text=True, timeout=300, **options)
  assert done.returncode == 0, done.stdout + done.stderr[-3000:]
  return done.stdout


@pytest.mark.slow
@pytest.mark.skipif(not RELEASED, reason="no release in this checkout")
def test_the_evaluator_network_is_in_working_order():
  network = evaluator.load(locate.RELEASE_DIR / locate.EVALUATOR)
  rows = network.embed_texts(["A man smiles.", "She is furious."])
  assert rows.shape[0] == 2 and not (rows[0] == rows[1]).all()


def test_the_wheel_generates_and_describes_right_after_installation(tmp_path, tiny_run):
  (tmp_path / "source").mkdir()
  source = copy_of_the_source(tmp_path / "source")
  if not RELEASED:
    pack_release.pack(tiny_run, source / "tdmm_jax" / "release")
  needed = data_files(source)  # before the build leaves its own copies there
  pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "-q")
  options = ("--no-deps", "--no-build-isolation", "--no-index")
  run(*pip, "wheel", *options, "-w", str(tmp_path), str(source))
  (wheel,) = tmp_path.glob("*.whl")
  archive = zipfile.ZipFile(wheel)
  assert "tdmm_jax/release/lm/model.safetensors" in needed
  assert not needed - set(archive.namelist())
  (metadata,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
  declared = archive.read(metadata).decode()
  names = ("studio", "export", "live", "data")
  extras = {name: name for name in names} | {"dev": "test"}
  for extra, name in extras.items():
    found = re.findall(rf'^Requires-Dist: (\S+); extra == "{extra}"', declared, re.M)
    assert found == pins(name), extra
  installed = tmp_path / "installed"
  run(*pip, "install", *options, "--target", str(installed), str(wheel))
  # An empty folder, and of Python's path only the wheel and what it depends on.
  env = tiny.users_environment()
  env |= {"PYTHONPATH": str(installed), "JAX_PLATFORMS": "cpu"}
  (tmp_path / "work").mkdir()
  command = "import sys; from tdmm_jax.cli import main; sys.exit(main.main())"
  tdmm = lambda *words: run(
    sys.executable, "-c", command, *words, cwd=tmp_path / "work", env=env
  )
  assert f"checkpoint: {installed}/tdmm_jax/release" in tdmm("--version")
  seconds = "4" if RELEASED else "0.4"
  assert "motion.npz" in tdmm("generate", "She smiles.", "--seconds", seconds)
  path = next((tmp_path / "work").rglob("motion.npz"))
  said = tdmm("describe", str(path))
  assert len(said.split()) >= (3 if RELEASED else 0)
