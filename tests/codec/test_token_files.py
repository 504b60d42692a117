"""`tdmm encode`, `decode` and `codebook`: what they write, and what they refuse."""

import json
import re

import numpy as np
import pytest
import tiny

from tdmm_jax.cli import main
from tdmm_jax.codec import codebook, motion_codec, token_files
from tdmm_jax.data import records
from tdmm_jax.errors import UserError
from tdmm_jax.face import face_model, motion, motion_vector
from tdmm_jax.face.files import read


@pytest.fixture(scope="module")
def codec(tiny_run):
  return motion_codec.load(tiny_run / "tokenizer")


@pytest.fixture
def clip(tiny_run, tmp_path):
  path = tmp_path / "clip.npz"
  motion.save_motion(path, tiny.first_motion(tiny_run))
  return path


def run(capsys, *arguments):
  code = main.main([str(a) for a in arguments])
  return code, *capsys.readouterr()


def test_a_motion_goes_through_a_file_of_tokens(tiny_run, codec, clip, capsys):
  tokens, back = clip.with_name("tokens.json"), clip.with_name("back.npz")
  asked = ("encode", clip, "-o", tokens, "--run", tiny_run)
  assert run(capsys, *asked) == (0, f"{tokens}\n", "")
  expected = codec.encode([read.load_motion(clip)])[0]
  stored = json.loads(tokens.read_text())
  assert stored["tokens"] == expected.tolist()
  assert stored["versions"]["tokenizer"] == codec.version and stored["fps"] == 25
  said = json.loads(run(capsys, *asked, "--json")[1])
  assert said["tokens"] == expected.tolist()
  asked = ("decode", tokens, "-o", back, "--run", tiny_run)
  assert run(capsys, *asked) == (0, f"{back}\n", "")
  (decoded,) = codec.decode([expected])
  np.testing.assert_array_equal(
    motion_vector.from_motion(read.load_motion(back)),
    motion_vector.from_motion(decoded),
  )


def file_of(codec, **changes) -> dict:
  """The content of a good file, changed; None removes a key."""
  codes = np.arange(6) % 2 * (codec.num_codes // 2)
  content = {
    "format_version": 1,
    "versions": {"tokenizer": codec.version},
    "tokens": codes.tolist(),
  }
  content |= changes
  return {key: value for key, value in content.items() if value is not None}


BROKEN = {
  "missing": (None, ["no such file"]),
  "no JSON": ("{", ["not JSON", "tdmm encode"]),
  "binary": (b"\x93NUMPY\x80", ["not JSON"]),
  "deep": ("[" * 100_000, ["not JSON"]),
  "list": ("[1, 2]", ["no motion tokens"]),
  "no tokens": ({"tokens": None}, ["no motion tokens"]),
  "format": ({"format_version": 2}, ["'format_version' is 2", "reads 1"]),
  "no format": ({"format_version": None}, ["'format_version' is None"]),
  "no versions": ({"versions": None}, ["'versions' names no tokenizer"]),
  "other tokenizer": (
    {"versions": {"tokenizer": "0123456789ab"}},
    ["version 0123456789ab", "{version}", "name the run"],
  ),
  "empty": ({"tokens": []}, ["must be a list"]),
  "text": ({"tokens": "0 12 0"}, ["must be a list"]),
  "fraction": ({"tokens": [0, 12.5]}, ["frame 1 is 12.5, not a code"]),
  "true": ({"tokens": [0, True]}, ["frame 1 is True"]),
  "huge": ({"tokens": [10**30]}, ["frame 0", "not a code"]),
  "out of range": ({"tokens": [0, 24]}, ["frame 1 is 24", "0 to 23"]),
  "negative": ({"tokens": [0, 12, -1]}, ["frame 2 is -1", "0 to 23"]),
  "wrong phase": (
    {"tokens": [0, 12, 13]},
    ["frame 2 is 13, a code of phase 1, but frame 2's phase is 0"],
  ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_bad_files_are_refused(name, codec, tiny_run, tmp_path, capsys):
  content, said = BROKEN[name]
  path = tmp_path / "tokens.json"
  if isinstance(content, dict):
    content = json.dumps(file_of(codec, **content))
  if content is not None:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
  with pytest.raises(UserError, match=re.escape(f"{path}: ")) as error:
    token_files.load(path, codec)
  for words in said:
    assert words.format(version=codec.version) in str(error.value)
  if name in ("missing", "wrong phase"):  # and so says the command
    out = tmp_path / "out.npz"
    code, _, err = run(capsys, "decode", path, "-o", out, "--run", tiny_run)
    assert code == 2 and str(error.value) in err and not out.exists()


def test_the_file_that_the_broken_ones_are_made_of_is_good(codec, tmp_path):
  path = tmp_path / "tokens.json"
  path.write_text(json.dumps(file_of(codec)))
  codes = token_files.load(path, codec)
  assert codes.tolist() == [0, 12, 0, 12, 0, 12] and codes.dtype == np.int32


def test_a_code_says_its_own_face_and_neighbours_are_near(codec, tiny_run):
  clips = records.load_clips(tiny_run / "records", "valid")
  codes = codec.encode_vectors([clip["vectors"] for clip in clips])
  book = codebook.study(codec, codes, 100)
  assert sorted(book.codes) == list(range(24)) and book.summary["num_shown"] == 24
  np.testing.assert_array_equal(book.phases, book.codes // 12)
  counts = np.bincount(np.concatenate(codes), minlength=24)
  np.testing.assert_array_equal(book.counts, counts[book.codes])
  assert book.summary["codebook_used"] == (counts > 0).sum()
  for phase in range(2):  # the most used first
    assert (np.diff(book.counts[book.phases == phase]) <= 0).all()
  assert (np.diff(book.distances_mm, axis=1) >= 0).all()
  own = np.arange(24)[:, None]
  assert (book.phases[book.neighbours] == book.phases[:, None]).all()
  assert (book.neighbours != own).all()
  # The definition, worked out for one code: some code of the other phase, which says
  # least, alternates with it for as long as the decoder looks.
  row = int(np.flatnonzero(book.codes == 5)[0])
  found = []
  for other in range(12, 24):
    (decoded,) = codec.decode_vectors([np.tile([5, other], 12)])
    found.append(np.abs(decoded[12] - book.vectors[row]).max())
  assert np.sort(found)[0] < 1e-4 < 1e-3 < np.sort(found)[1]
  faces = motion_vector.to_motion(book.vectors, codec.face.name)
  vertices = face_model.motion_vertices(codec.subset, faces, identity=False)
  squared = ((vertices - vertices[row]) ** 2).sum(-1).mean(-1)
  mm = 1000 * np.sqrt(squared)[(book.phases == 0) & (book.codes != 5)]
  np.testing.assert_allclose(book.distances_mm[row], np.sort(mm)[:3], rtol=1e-3)
  few = codebook.study(codec, codes, 6)
  assert len(few.codes) == 6 and few.summary["num_codes"] == 24
  np.testing.assert_array_equal(few.codes[:3], book.codes[:3])


def test_the_page_shows_every_code(tiny_run, tmp_path, capsys):
  path = tmp_path / "codes.html"
  code, out, _ = run(
    capsys, "codebook", "--run", tiny_run, "-o", path, "-q", "--split", "train"
  )
  assert code == 0 and out == f"{path}\n"
  page = path.read_text()
  assert page.count("data:image/webp;base64,") == 24
  ids = set(re.findall(r'id="code-(\d+)"', page))
  links = set(re.findall(r'href="#code-(\d+)"', page))
  assert ids == set(map(str, range(24))) and links <= ids and len(links) > 6
  assert "http" not in page  # it needs no other file and no network
  pictures = re.findall(r'src="(data:[^"]+)"', page)
  assert len(set(pictures)) > 12


@pytest.mark.parametrize(
  ("arguments", "said"),
  [
    (("encode", "{clip}", "-o", "tokens.txt"), "tokens.txt: a file of tokens"),
    (("encode", "gone.npz"), "gone.npz: no such file"),
    (("codebook", "-o", "codes.pdf"), "codes.pdf: the page of a codebook"),
    (("codebook", "--max_codes", "0"), "--max_codes 0"),
    (("codebook", "--records", "{clip}"), "no records here"),
    (("decode", "gone.json", "--run", "gone"), "gone: no such run directory"),
  ],
)
def test_bad_requests(arguments, said, tiny_run, clip, capsys, monkeypatch):
  monkeypatch.chdir(clip.parent)
  arguments = [a.format(clip=clip) for a in arguments]
  if "--run" not in arguments:
    arguments += ["--run", tiny_run]
  code, out, err = run(capsys, *arguments)
  assert code == 2 and said in err and out == "" and err.count("\n") == 1
