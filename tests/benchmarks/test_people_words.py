"""`benchmarks.people --run`: what counts as right, by hand, and one run to the end."""

import json

import numpy as np
import pytest

from benchmarks import people, people_clips, people_words
from data_prep import simulate
from tdmm_jax.face import motion
from tdmm_jax.face.fit import fit_landmarks
from tdmm_jax.language import lexicon

EMOTIONS = ("happy", "neutral", "angry")
PROMPT = "A man speaks with a slight smile."


def test_a_family_counts_and_so_does_its_valence():
  asked = [["happiness"], ["anger"], ["neutral"], ["contempt", "happiness"]]
  said = ["happiness", "sadness", "surprise", "anger"]
  found = people_words.right_emotion(said, asked)
  assert (found["family"], found["valence"], found["clips"]) == (1, 4, 4)
  said = ["interest", "happiness", "anger", "calm"]
  found = people_words.right_emotion(said, asked)
  assert (found["family"], found["valence"]) == (0, 2)


def test_chance_is_of_guesses_and_of_one_answer_for_all():
  asked = [[family] for family in people_words.FAMILIES]
  chance = people_words.by_chance(asked)
  assert chance["random"]["family"] == chance["commonest"]["family"] == 1
  assert chance["commonest"]["valence"] == 5
  assert chance["random"]["valence"] == pytest.approx((1 + 2 * 2 + 5 * 5) / 8)


@pytest.mark.parametrize(
  ("axis", "angle_T", "said", "right"),
  [
    (0, 8 * np.sin(np.arange(75) / 4), "He nods.", 1),
    (1, 8 * np.sin(np.arange(75) / 4), "He nods.", 0),
    (1, np.full(75, 20.0), "He turns his head to the left.", 0),  # how one sits
    (1, np.where(np.arange(75) > 50, 12.0, 0.0), "He turns his head to the left.", 1),
    (1, np.where(np.arange(75) > 50, 12.0, 0.0), "He turns his head to the right.", 0),
  ],
)
def test_the_head_is_judged_beside_its_own_pose(axis, angle_T, said, right):
  turns = np.zeros((75, 3), np.float32)
  turns[:, axis] = np.radians(angle_T)
  track = people_words.head_track(motion.zeros(75).replace(head_pose=turns))
  named = people_words.head_named(lexicon.parse(said))
  assert len(named) == 1
  assert people_words.head_right(named, track) == right


@pytest.fixture
def real(tmp_path, loaded_run):
  """Names of clips, and their fits as an earlier call would have left them."""
  folder, work = tmp_path / "real", tmp_path / "work"
  face = loaded_run.codec.face
  fits = f"fits-{face.name}-{face.version}-{fit_landmarks.VERSION}"
  names = [("mead_a", emotion) for emotion in EMOTIONS]
  for actor, emotion in names:
    (folder / actor).mkdir(parents=True, exist_ok=True)
    (folder / actor / f"A_front_{emotion}_level3_001.landmarks.npz").touch()
  prompted = people_clips.PROMPTED
  row = {"clip_id": "00002", "prompt": PROMPT, "landmarks": "00002.landmarks.npz"}
  (folder / prompted).mkdir()
  (folder / prompted / "prompts.jsonl").write_text(json.dumps(row) + "\n")
  for i, (actor, name) in enumerate([*names, (prompted, "00002")]):
    acted = simulate.simulate(lexicon.parse(f"A {name} man speaks."), i, 1.2)
    for how in (people_clips.NEUTRAL, people_clips.ALONE):
      motion.save_motion(work / f"{fits}-{how}" / f"{actor}-{name}.npz", acted)
  return folder, work


def test_a_run_is_read_to_the_end(real, tiny_run, tmp_path, capsys):
  folder, work = real
  out, png = tmp_path / "found.json", tmp_path / "who.png"
  options = ["--run", tiny_run, "--real", folder, "--work", work, "--clips", 1]
  assert people.main([str(x) for x in (*options, "--json", out, "--picture", png)]) == 0
  found = json.loads(out.read_text())
  said = capsys.readouterr().out
  assert [row["name"] for row in found["clips"]] == [*sorted(EMOTIONS), "00002"]
  assert all(row["says"] in said for row in found["clips"])
  scores = found["scores"]["mead_a"]
  assert scores["run"] == scores["alone"] and scores["run"]["clips"] == 3  # same fits
  assert f"({scores['alone']['family']} of clips fitted alone)" in said
  assert set(found["scores"]["mead_a"]["readers"]) == {"simulation"}  # no RAVDESS here
  assert found["clips"][-1]["not_shown"] == people_words.NOT_SHOWN["00002"]
  assert 1 <= found["scores"][people_clips.PROMPTED]["judged"]["cor_e"]["own"] <= 5
  counts = people_words.confusions(found)["run"]
  assert counts.sum() == 3
  assert counts[people_words.FAMILIES.index("happiness")].sum() == 1
  assert png.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
  ("options", "message"),
  [
    (["--run", "release", "--real", "."], "no mead_*/"),
    (["--picture", "a.png"], "name one with --run"),
    (["--clips", "0"], "--clips 0: give 1 at least"),
  ],
)
def test_mistakes_are_said_in_one_line(options, message, tmp_path, monkeypatch, capsys):
  monkeypatch.chdir(tmp_path)
  assert people.main(options) == 2
  said = capsys.readouterr().err
  assert message in said and said.count("\n") == 1
