"""The lexicon is large, unambiguous, and its parser reads what people write."""

import json
import os
import pathlib

import pytest

from tdmm_jax.language import lexicon, motion_words, reading


def said(text):
  """Emotions with intensity, head motion, micro-actions and voice of a text."""
  attributes = lexicon.parse(text)
  emotions = [(s["emotion"], s["intensity"]) for s in attributes["segments"]]
  return (
    emotions,
    attributes["head_motion"],
    attributes["micro_actions"],
    attributes["speaking"],
  )


def test_size():
  assert len(lexicon.LABELS) >= 187
  assert len(lexicon.FAMILIES) >= 12
  forms = [form for label in lexicon.LABELS.values() for form in label.surface_forms]
  assert len(forms) == len(set(forms)) >= 600
  assert set(lexicon.INTENSITIES) == {1, 2, 3, 4, 5}
  assert {label.family for label in lexicon.LABELS.values()} == set(lexicon.FAMILIES)


@pytest.mark.parametrize("name", lexicon.LABELS)
def test_every_surface_form_means_its_label(name):
  for form in lexicon.LABELS[name].surface_forms:
    for text in (form, f"The man, {form}.", f"She is {form.upper()} today"):
      attributes = lexicon.parse(text)
      assert attributes["emotion"] == name, text
      assert len(attributes["segments"]) == 1, text


@pytest.mark.parametrize("level", lexicon.INTENSITIES)
def test_every_intensity_word_binds_to_the_emotion(level):
  adjectives, adverbs, others = lexicon.INTENSITIES[level]
  for word in (*adjectives, *adverbs, *others):
    assert said(f"A man shows {word} sadness.")[0] == [("sad", level)], word
  for word in adverbs:
    if word.endswith("ly"):
      assert said(f"A man smiles {word}, nodding.")[0] == [("smiling", level)], word


@pytest.mark.parametrize("kind", ["head_motion", "micro_actions"])
def test_every_action_form(kind):
  tables = {
    "head_motion": motion_words.HEAD_MOTIONS,
    "micro_actions": motion_words.MICRO_ACTIONS,
  }
  for name, cells in tables[kind].items():
    for form in (form for cell in cells for form in cell):
      for possessive in ("his", "her", "the", ""):
        text = f"A happy person {form.replace('~', possessive)}."
        attributes = lexicon.parse(text)
        assert attributes[kind] == [name], text
        assert attributes["emotion"] == "happy", text


def test_every_manner_form():
  for manner, cells in motion_words.MANNERS.items():
    for form in (form for cell in cells for form in cell):
      attributes = lexicon.parse(f"A very sad girl {form}, nodding.")
      assert (attributes["speaking"], attributes["manner"]) == ("speaking", manner)
      assert (attributes["emotion"], attributes["intensity"]) == ("sad", 4), form
  assert lexicon.parse("He sings softly.")["manner"] == lexicon.PLAIN


def test_every_voice_form():
  for mode, cells in motion_words.SPEAKING.items():
    for form in (form for cell in cells for form in cell):
      assert said(f"The girl {form}.")[3] == mode, form


SENTENCES = [
  ("", [("neutral", 3)], [], [], "silent"),
  ("A man in a chair.", [("neutral", 3)], [], [], "silent"),
  ("A woman smiles broadly, then nods twice.", [("smiling", 4)], ["nod"], [], "silent"),
  (
    "He talks with barely visible sorrow.",
    [("grieving", 1)],
    [],
    [],
    "speaking",
  ),
  (
    "He looks sad, then she looks very angry.",
    [("sad", 3), ("angry", 4)],
    [],
    [],
    "silent",
  ),
  (
    "Her face shifts from faint boredom to an intense frown.",
    [("bored", 1), ("frowning", 5)],
    [],
    [],
    "silent",
  ),
  (
    "A strong grin gives way to slight fear as he sings.",
    [("grinning", 4), ("afraid", 2)],
    [],
    [],
    "singing",
  ),
  (
    "Muted scorn in his eyes, a pronounced cheerful look.",
    [("scornful", 2), ("cheerful", 4)],
    [],
    [],
    "silent",
  ),
  (
    "She nods slightly, sad, and furrows her brow.",
    [("sad", 3)],
    ["nod"],
    ["brow_furrow"],
    "silent",
  ),
  # one emotion said twice is one segment; framing is not motion
  (
    "A boy looks at the camera: wide, curious eyes, an engaged face.",
    [("curious", 4)],
    [],
    [],
    "silent",
  ),
  (
    "A soft, closed-mouth smile; as she speaks in a warm tone, it widens slightly.",
    [("smiling", 2)],
    [],
    [],
    "speaking",
  ),
  ("She keeps her head still.", [("neutral", 3)], [], [], "silent"),
  (
    "He looks up, then down.",
    [("neutral", 3)],
    ["look_up", "look_down"],
    [],
    "silent",
  ),
]


@pytest.mark.parametrize("text,emotions,head,micro,voice", SENTENCES)
def test_sentences(text, emotions, head, micro, voice):
  assert said(text) == (emotions, head, micro, voice)


def test_mixture_overlaps_and_transition_follows():
  both = lexicon.parse("Anger mixed with fear.", 4.0)["segments"]
  assert [(s["start_s"], s["end_s"]) for s in both] == [(0.0, 4.0), (0.0, 4.0)]
  then = lexicon.parse("Anger, then fear.", 4.0)
  spans = [(s["start_s"], s["end_s"]) for s in then["segments"]]
  assert spans == [(0.0, 2.0), (2.0, 4.0)]
  assert then["emotion"] == "angry"  # ties to the first


def test_top_level_is_the_longest_segment():
  attributes = lexicon.make_attributes(
    [("sad", 2, 0.0, 1.0), ("happy", 5, 1.0, 4.0)], head_motion=["tilt", "nod"]
  )
  assert (attributes["emotion"], attributes["intensity"]) == ("happy", 5)
  assert attributes["family"] == "happiness"
  assert attributes["head_motion"] == ["nod", "tilt"]


def test_known_and_nearest_words():
  assert lexicon.known_word("a Furious man")
  assert lexicon.known_word("she blinks")
  assert not lexicon.known_word("")
  assert not lexicon.known_word("a very slight man before the camera")
  assert lexicon.nearest_words("a hapy face", 1) == ["happy"]
  assert "surprised" in lexicon.nearest_words("suprized", 3)
  assert len(lexicon.nearest_words("", 3)) == 3


def test_no_form_means_two_things(monkeypatch):
  reading.index.cache_clear()
  label = lexicon.LABELS["sad"]
  monkeypatch.setitem(
    lexicon.LABELS, "calm", lexicon.LABELS["calm"].__class__(**vars(label))
  )
  monkeypatch.setitem(
    motion_words.SPEAKING, "singing", (("sings",), ("singing",), ("nods",))
  )
  with pytest.raises(ValueError, match="'nods' means both"):
    reading.index()
  reading.index.cache_clear()


# clip -> (families, intensities, voice), read by a person from the real prompts
REAL = {
  "00000": ({"sadness"}, [1], "speaking"),
  "00001": ({"fear"}, [5], "speaking"),
  "00002": ({"happiness", "calm"}, [2, 3], "silent"),
  "00004": ({"contempt", "happiness"}, [2, 4], "silent"),
  "00005": ({"sadness", "anger"}, [3, 5], "silent"),
  "00007": ({"pride"}, [3], "speaking"),
  "av_00001": ({"happiness"}, [2], "speaking"),
  "av_00002": ({"happiness", "interest"}, [3, 3], "silent"),
}


def test_real_prompts():
  root = pathlib.Path(os.environ.get("TDMM_REAL_DATA", "/nonexistent"))
  path = root / "open3dfacevid_clips" / "prompts.jsonl"
  if not path.exists():
    pytest.skip("TDMM_REAL_DATA names no folder with open3dfacevid_clips/prompts.jsonl")
  for line in path.read_text(encoding="utf-8").splitlines():
    row = json.loads(line)
    attributes = lexicon.parse(row["prompt"])
    families = {s["family"] for s in attributes["segments"]}
    intensities = [s["intensity"] for s in attributes["segments"]]
    found = (families, intensities, attributes["speaking"])
    assert found == REAL[row["clip_id"]], row["prompt"]
    assert attributes["head_motion"] == []


def test_the_demo_prompts_are_read_as_they_say():
  path = pathlib.Path(__file__).parents[2] / "demo" / "prompts.jsonl"
  rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
  assert len(rows) >= 8
  for row in rows:
    assert lexicon.parse(row["prompt"], 4.0) == row["attributes"], row["prompt"]
