"""Paraphrases are true, distinct and reproducible; bad manifests are named."""

import json

import numpy as np
import pytest

from data_prep import paraphrase, sentences
from tdmm_jax.language import lexicon


@pytest.mark.parametrize("split", sentences.PATTERNS)
def test_every_pattern_says_what_is_so(split):
  rng = np.random.default_rng(0)
  spans = {
    "single": [("furious", 5, 0, 4)],
    "then": [("sad", 1, 0, 2.5), ("smiling", 4, 2.5, 4)],
    "both": [("guilty", 2, 0, 4), ("serene", 3, 0, 4)],
    "acts": [("neutral", 3, 0, 4)],
  }
  everyone = [s for g in sentences.PEOPLE.values() for p in g for q in p for s in q]
  subjects = (everyone[0], everyone[-1])
  for kind, patterns in sentences.PATTERNS[split].items():
    for mode in lexicon.SPEAKING_MODES:
      attributes = lexicon.make_attributes(
        spans[kind], ("wink", "gaze_shift"), ("tilt",), mode
      )
      for pattern in patterns:
        for subject in subjects:
          text = paraphrase.fill(pattern, attributes, subject, rng)
          assert paraphrase.same_attributes(text, attributes), text
          assert "{" not in text and "~" not in text and "  " not in text
          assert text[0].isupper() and text.endswith(".")


def test_neutral_still_and_silent_need_no_words():
  attributes = lexicon.make_attributes([("neutral", 3, 0, 4)])
  rng = np.random.default_rng(0)
  for text in paraphrase.captions(attributes, "train", 12, rng):
    assert paraphrase.same_attributes(text, attributes), text


def test_an_emotion_says_how_strong_it_is():
  """Else silence would mean intensity 3, and the likeliest word would be none."""
  words = {w for cells in lexicon.INTENSITIES.values() for c in cells[:2] for w in c}
  rng = np.random.default_rng(0)
  for level in lexicon.INTENSITIES:
    attributes = lexicon.make_attributes([("bored", level, 0, 4)])
    for text in paraphrase.captions(attributes, "train", 12, rng):
      assert any(word in text.lower() for word in words), text


def test_one_beginning_goes_on_in_one_way():
  """ "looks sad" is followed by a comma or by a full stop, never by either."""
  ways = {}
  for split in sentences.PATTERNS.values():
    for pattern in split["single"]:
      before = pattern.split("{ing}")[0].split("{fin}")[0]
      assert before not in ways, pattern
      ways[before] = pattern


def write(path, lines):
  path.write_text("\n".join(lines) + "\n")
  return path


def test_command_line(tmp_path, capsys):
  rows = [
    {"clip_id": "a", "prompt": "A man smiles slightly, nodding."},
    {"clip_id": "b", "prompt": "She is sad, then furious.", "split": "test"},
  ]
  path = write(tmp_path / "in.jsonl", map(json.dumps, rows))
  out = tmp_path / "out.jsonl"
  for _ in range(2):
    assert paraphrase.main([str(path), "--num", "4", "--out", str(out)]) == 0
    done = [json.loads(line) for line in out.read_text().splitlines()]
    for before, after in zip(rows, done):
      assert after["prompt"] == before["prompt"]
      assert len(set(after["captions"])) == 4
      for text in after["captions"]:
        assert paraphrase.same_attributes(text, lexicon.parse(before["prompt"]))
  capsys.readouterr()


BROKEN = [
  (['{"clip_id": "a", "prompt": "x"}', '{"clip_id'], ":2: not JSON"),
  (['{"clip_id": "a"}'], "needs texts 'clip_id' and 'prompt'"),
  (["[1]"], "needs texts"),
  (['{"clip_id": "a", "prompt": "x"}'] * 2, "comes twice"),
  ([""], "no prompts in it"),
]


@pytest.mark.parametrize("lines,message", BROKEN)
def test_broken_manifests(lines, message, tmp_path, capsys):
  path = write(tmp_path / "in.jsonl", lines)
  out = tmp_path / "out.jsonl"
  assert paraphrase.main([str(path), "--out", str(out)]) == 2
  error = capsys.readouterr().err
  assert message in error and "in.jsonl" in error and error.count("\n") == 1
  assert not out.exists()


def test_missing_manifest(tmp_path, capsys):
  missing = str(tmp_path / "none.jsonl")
  assert paraphrase.main([missing, "--out", str(tmp_path / "o")]) == 2
  assert "none.jsonl: No such file" in capsys.readouterr().err
