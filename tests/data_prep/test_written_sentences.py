"""The written collection keeps its rules, and the rules can be broken."""

import importlib.resources
import json

import pytest

from data_prep import written_sentences as written
from tdmm_jax.language import lexicon


def test_the_collection_keeps_its_rules():
  rows = written.load()
  assert len(rows) >= 2_500
  assert written.problems(rows) == []
  assert {row["voice"] for row in rows} == set(written.VOICES)


def test_a_file_holds_its_family():
  folder = importlib.resources.files("data_prep") / "written"
  for file in folder.iterdir():
    rows = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    assert {written.family(row) for row in rows} == {file.name.split(".")[0]}


def test_a_fifth_is_held_out_by_situation():
  rows, train, aside = (written.load(split) for split in (None, *written.SPLITS))
  assert len(train) + len(aside) == len(rows)
  assert 0.18 <= len(aside) / len(rows) <= 0.22
  situations = [{row["situation"] for row in part} for part in (train, aside)]
  assert not situations[0] & situations[1]
  for name in (*lexicon.FAMILIES, lexicon.NEUTRAL):
    assert sum(written.family(row) == name for row in aside) >= 20, name
  # The split is for good: these must never change sides.
  assert all(map(written.held_out, ("exam_failed", "smile_slightly", "frown_angrily")))
  assert not any(map(written.held_out, ("dog_died", "lottery_win", "over_the_moon")))


def test_most_sentences_do_without_the_lexicons_emotion_words():
  read = [lexicon.parse(row["text"]) for row in written.load()]
  silent = [r["emotion"] == lexicon.NEUTRAL for r in read]
  assert 0.5 < sum(silent) / len(silent) < 0.8


ROW = {
  "text": "He waves.",
  "situation": "wave",
  "voice": "plain",
  "emotion": "happy",
  "intensity": 3,
}


@pytest.mark.parametrize(
  "rows, message",
  [
    ([ROW | {"emotion": "hungry"}], "'hungry' is no label"),
    ([ROW | {"then": {"emotion": "sad", "intensity": 6}}], "intensity 6"),
    ([ROW | {"voice": "opera"}], "unknown voice 'opera'"),
    ([ROW | {"mood": "dark"}], "unknown keys mood"),
    ([{k: v for k, v in ROW.items() if k != "situation"}], "lacks situation"),
    ([ROW | {"text": "?!"}], "has no words"),
    ([ROW, ROW | {"text": "he waves!"}], "comes 2 times: he waves"),
    ([ROW | {"text": f"He is a {n} man."} for n in range(5)], "one frame"),
    ([ROW], "happiness: nothing of intensity [1, 2, 4, 5]"),
    ([ROW], "sadness: 0 sentences"),
  ],
)
def test_a_broken_rule_is_named(rows, message):
  assert any(message in problem for problem in written.problems(rows))


def test_an_unknown_split_is_refused():
  with pytest.raises(ValueError, match="'test': give one of train, held_out"):
    written.load("test")
