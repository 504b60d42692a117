"""The statistics page counts what is there, and stands alone."""

import collections
import html.parser
import json
import re

import numpy as np
import pytest

from data_prep import (
  build,
  build_shards,
  expressions,
  prompts,
  simulate,
  stats,
  stats_page,
)

BASIS = simulate.HeadBasis("standin00000", 5, np.eye(expressions.NUM_ACTION_UNITS))
NUM, SECONDS = 60, (0.8, 1.2)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
  path = tmp_path_factory.mktemp("corpus") / "records"
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(simulate, "head_basis", lambda: BASIS)
    build.build_corpus(path, NUM, 0, 1, False, seconds=SECONDS)
  return path


@pytest.fixture(scope="module")
def found(corpus):
  return stats.collect(corpus, num_embedded=30, progress=False)


def test_counts_are_those_of_the_plan(found):
  plans = prompts.make_suite(NUM, 0, SECONDS)
  count = lambda key: dict(collections.Counter(key(plan) for plan in plans))
  counts = found["counts"]
  assert counts["label"] == count(lambda plan: plan.attributes["emotion"])
  assert counts["family"] == count(lambda plan: plan.attributes["family"])
  assert counts["intensity"] == count(lambda p: str(p.attributes["intensity"]))
  assert counts["speaking"] == count(lambda plan: plan.attributes["speaking"])
  assert counts["split"] == count(lambda plan: plan.split)
  nods = sum("nod" in plan.attributes["head_motion"] for plan in plans)
  assert counts["head motion"].get("nod", 0) == nods
  assert sum(counts["generator"].values()) == found["clips"] == NUM
  assert found["durations_s"] and sorted(found["durations_s"]) == pytest.approx(
    sorted(plan.duration_s for plan in plans)
  )
  said = " ".join(plan.prompt.lower() for plan in plans)
  words = collections.Counter(re.findall(r"[a-z]{3,}", said))
  assert found["words"] == {word: words[word] for word in found["words"]}
  assert sorted(found["words"].values()) == sorted(words.values())[-200:]


def test_ranges_are_percentiles_in_degrees():
  frames = np.zeros((1001, 64), np.float32)
  frames[:, 50] = np.linspace(0.0, np.pi / 2, 1001)  # the jaw's x
  row = stats.ranges(frames)["jaw opening"]
  assert row["unit"] == "deg"
  np.testing.assert_allclose(
    row["percentiles"], [0.09, 0.9, 45.0, 89.1, 89.91], atol=1e-3
  )


def test_the_map_keeps_unlike_motions_apart(found):
  rng = np.random.default_rng(0)
  groups = np.repeat([0.0, 5.0], 20)[:, None]
  places = stats.embed(groups + rng.normal(0, 0.3, (40, 12)))
  near = np.linalg.norm(places[:20] - places[:20].mean(0), axis=1).mean()
  apart = np.linalg.norm(places[:20].mean(0) - places[20:].mean(0))
  assert apart > 2 * near
  assert len(found["map"]) == 30


class Page(html.parser.HTMLParser):
  """Remembers what a page refers to, and its text."""

  def __init__(self, text):
    super().__init__()
    self.links, self.tags, self.text = [], collections.Counter(), ""
    self.feed(text)

  def handle_starttag(self, tag, attrs):
    self.tags[tag] += 1
    self.links += [v for k, v in attrs if k in ("src", "href", "xlink:href") and v]

  def handle_data(self, data):
    self.text += data


def test_the_page_stands_alone(corpus, tmp_path, capsys):
  out, numbers = tmp_path / "stats.html", tmp_path / "stats.json"
  args = [str(corpus), "-o", str(out), "--json", str(numbers), "--embed", "20"]
  assert stats.main(args) == 0
  page = Page(out.read_text())
  assert all(link.startswith("#") for link in page.links), "no other file, no network"
  assert page.tags["svg"] >= 12
  held = json.loads(numbers.read_text())
  assert held["clips"] == NUM and held["versions"]["head"] == "standin00000"
  assert all(label in page.text for label in held["counts"]["label"])
  assert "No clip was left out" in page.text
  assert not list(tmp_path.glob("*.tmp"))


def test_reasons_of_dropped_clips_and_foreign_text_are_shown(corpus, found, tmp_path):
  changed = found | {"dropped": {"jitter": 7, "lost frames": 2}, "directory": "<b>"}
  changed["versions"] = found["versions"] | {"face_model": "<script>"}
  text = stats_page.page(changed)
  assert "jitter" in text and "lost frames" in text and "<script>" not in text
  path = tmp_path / "build.json"
  path.write_text('{"stats": {"dropped": {"jitter": 7}}}')
  assert stats._build_stats(tmp_path)["dropped"] == {"jitter": 7}
  assert path.name == build_shards.BUILD_FILE


def test_bad_directories_are_the_users_error(tmp_path, capsys):
  assert stats.main([str(tmp_path)]) == 2
  assert "no records here" in capsys.readouterr().err
