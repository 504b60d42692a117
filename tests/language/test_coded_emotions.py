"""Emotions read from action units, as coders of FACS would."""

import csv
import math
import os
import pathlib

import numpy as np
import pytest

from tdmm_jax.language import coded_emotions, lexicon

# What textbooks say each emotion looks like.
TEXTBOOK = {
  "happiness": "6 12",
  "surprise": "1 2 5",
  "anger": "4 7",
  "sadness": "1 4 15",
  "fear": "1 2 4 5",
  "disgust": "9 7",
  "contempt": "14",
  "neutral": "",
}
CODES = [code for unit in coded_emotions.UNITS for code in unit.split()]


def likeliest(levels):
  rest = dict.fromkeys(CODES, 0.0)
  found = coded_emotions.log_likelihoods(rest | levels)
  return max(found, key=found.get)


@pytest.mark.parametrize("family", TEXTBOOK)
def test_textbook_faces_are_read(family):
  assert likeliest(dict.fromkeys(TEXTBOOK[family].split(), 0.5)) == family
  assert family in {label.family for label in lexicon.LABELS.values()}


def test_a_trace_is_no_emotion():
  assert likeliest({"12": 0.05, "6": 0.05}) == lexicon.NEUTRAL


def test_a_neutral_talker_shows_nothing():
  """Who talks lowers the corners of the mouth and raises the brows a little."""
  assert likeliest({"1": 0.08, "2": 0.08, "12": 0.1, "15": 0.2}) == lexicon.NEUTRAL


def test_one_of_two_units_that_look_alike_is_enough():
  levels = {"4": 0.6, "6": 0.6, "9": 0.6}
  assert likeliest(levels) == likeliest({"4": 0.6, "7": 0.6, "10": 0.6}) == "disgust"


def test_a_family_that_nobody_coded_is_as_likely_as_the_others_on_average():
  found = coded_emotions.log_likelihoods(dict.fromkeys(CODES, 0.2))
  mean = np.mean([math.exp(value) for value in found.values()])
  assert coded_emotions.average(found) == pytest.approx(math.log(mean))


def test_what_actors_speak_is_read_far_above_chance():
  path = pathlib.Path(os.environ.get("TDMM_REAL_DATA", ""), "ravdess_openface")
  path = path / "clip_means.csv"
  if not path.is_file():
    pytest.skip("TDMM_REAL_DATA names no folder with ravdess_openface")
  words = {"happy": "happiness", "sad": "sadness", "angry": "anger"}
  words |= {"fearful": "fear", "surprised": "surprise"}
  with open(path, encoding="utf-8") as file:
    rows = [row for row in csv.DictReader(file) if row["emotion"] != "calm"]
  level = lambda row: np.array(
    [float(row[f"AU{int(code):02d}_r"]) / 5 for code in CODES]
  )
  rest = {
    actor: np.mean(
      [level(r) for r in rows if r["actor"] == actor and r["emotion"] == "neutral"], 0
    )
    for actor in {row["actor"] for row in rows}
  }
  right: dict[str, list] = {}
  for row in rows:
    levels = level(row) - rest[row["actor"]]
    found = coded_emotions.log_likelihoods(dict(zip(CODES, levels, strict=True)))
    del found["contempt"]  # which nobody was asked for
    said = max(found, key=found.get)
    right.setdefault(row["emotion"], []).append(
      said == words.get(row["emotion"], row["emotion"])
    )
  assert np.mean([np.mean(hits) for hits in right.values()]) > 0.55
