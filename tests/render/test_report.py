"""The report: everything measured is on the page, nothing in it can run."""

import html.parser
import json
import pathlib
import urllib.parse
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from tdmm_jax.render import contact_sheet, report, report_tables, video
from tdmm_jax.runs import locate

SUMMARY = {
  "seconds": {"total": 640.2, "install": 31.0, "corpus": 60.0, "tokenizer": 170.0},
  "corpus": {"clips": 2400},
  "tokenizer": {
    "face_error_mm": 0.412,
    "constant_face_error_mm": 1.02,
    "head_error_deg": 1.1,
    "constant_head_error_deg": 6.4,
    "lip_error_mm": 0.9,
    "jitter_ratio": 1.1,
    "num_codes": 1000,
    "codebook_used": 0.93,
    "perplexity": 512.3,
  },
  "m2l": {
    "emotion_family_accuracy": 0.81,
    "intensity_accuracy": 0.5,
    "ceiling": {"emotion_family_accuracy": 0.92},
    "chance": {"emotion_family_accuracy": 1 / 14},
  },
  "l2m": {"emotion_family_accuracy": 0.7, "classifier_ceiling": 0.9, "novel": 0.125},
  "real": {"clips": 8, "landmark_error": 0.021, "frozen_landmark_error": 0.035},
}

CURVES = {
  "tokenizer/train": [(step, 3.0 * 0.98**step) for step in range(0, 200, 5)],
  "tokenizer/valid": [(step, 3.2 * 0.98**step) for step in range(0, 200, 20)],
  "lm/train": [(step, 6.0 / (1 + step / 40)) for step in range(0, 300, 10)],
  "learning_rate": [(0, 0.0), (10, 1e-3), (300, 1e-5)],
}

EVIL = "A man <script>alert('x')</script> & \"grins\""


class Page(html.parser.HTMLParser):
  """Collects the tags, the links and the text of a page."""

  def __init__(self, text):
    super().__init__()
    self.tags, self.links, self.text = [], [], ""
    self.feed(text)

  def handle_starttag(self, tag, attrs):
    self.tags.append(tag)
    self.links += [value for key, value in attrs if key in ("src", "href")]

  def handle_data(self, data):
    self.text += data


def write_fake_report(out_dir: pathlib.Path) -> pathlib.Path:
  """A whole report from made-up clips: what a run would fill."""
  rng = np.random.default_rng(0)
  frames = np.full((30, 96, 96, 3), 255, np.uint8)
  for t in range(30):
    frames[t, 30:70, t : t + 40] = 120
  cards = []
  for name in ("first clip #1", "second"):
    path = out_dir / "clips" / name
    cards.append(
      report.Card(
        title=EVIL,
        sheet=contact_sheet.contact_sheet(frames, f"{path}.png", EVIL),
        video=video.write_video(f"{path}.mp4", frames, caption=EVIL),
        says="A man grins faintly while he speaks.",
        reference="The man smirks.",
        tokens=rng.integers(0, 1000, 30).tolist(),
        attributes={"emotion": "grin", "head_motion": ["nod", "tilt"], "none": []},
        notes=["landmark error 0.021"],
      )
    )
  sections = [
    report.Section("Prompts acted out", "Each prompt is a sentence.", cards),
    report.Section("Only words", cards=[report.Card(title="bare")]),
  ]
  return report.write_report(out_dir, SUMMARY, sections, CURVES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  folder = tmp_path_factory.mktemp("run")
  write_fake_report(folder)
  return folder


def test_prompt_text_is_shown_and_cannot_run(folder):
  text = (folder / "report.html").read_text(encoding="utf-8")
  page = Page(text)
  assert "<script>alert" not in text and page.tags.count("script") == 1
  assert EVIL in page.text


def test_links_are_relative_and_lead_to_files(folder):
  page = Page((folder / "report.html").read_text(encoding="utf-8"))
  files = [link for link in page.links if not link.startswith("#")]
  assert len(files) == 2 * 3 + 1  # per card: picture, its link, video; and the curves
  for link in files:
    assert "://" not in link and not link.startswith("/")
    assert (folder / urllib.parse.unquote(link)).is_file(), link


def test_everything_measured_is_on_the_page(folder):
  page = Page((folder / "report.html").read_text(encoding="utf-8"))
  for shown in (
    "0.412 mm",
    "mean frame as output 1.02 mm",
    "93.0 %",
    "81.0 %",
    "regression 92.0 %",
    "chance 7.1 %",
    "novel",
    "0.125",
    "2,400",
    "640.2 s",
    "with a frozen face 0.035",
    "A man grins faintly while he speaks.",
    "The man smirks.",
    "nod, tilt",
    "30 motion tokens",
    "Only words",
    "bare",
  ):
    assert shown in page.text, shown
  assert "not a number" not in page.text


def test_every_summary_key_is_in_some_row():
  def count(node):
    return sum(map(count, node.values())) if isinstance(node, dict) else 1

  tables = report_tables.tables(SUMMARY)
  shown = 0
  for table in tables:
    for _, _, beside, _ in table["rows"]:
      shown += 1 + len(beside)
  assert shown >= count(SUMMARY)


def test_what_an_evaluation_measures_has_words_and_not_its_key():
  scores = json.loads((locate.RELEASE_DIR / "scores.json").read_text())
  summary = {name: scores[name] for name in ("tokenizer", "m2l", "l2m")}
  summary["corpus"] = {
    "clips": 3,
    "splits": {"train": 1, "valid": 1, "test": 1},
    "hours": 0.5,
    "versions": {"head": "a", "simulator": "b", "lexicon": "c"},
  }
  summary["seconds"] = dict.fromkeys(("evaluation", "real clips", "pictures"), 1.5)
  rows = [row for table in report_tables.tables(summary) for row in table["rows"]]
  words = [row[0] for row in rows]
  assert [text for text in words if not text[0].isupper() or "_" in text] == []
  shown = {text: value for text, value, *_ in rows}
  assert scores["m2l"]["bertscore"] is None and "BERTScore, F" not in shown
  assert shown["Length"] == "0.5 h" and shown["Scoring"] == "1.5 s"
  assert shown["Prompt finds its motion, top 3"].endswith(" %")


def test_numbers_are_rounded_with_their_unit():
  number = report_tables.number
  assert number(0.4567, "mm") == "0.457 mm"
  assert number(0.8123, "%") == "81.2 %"
  assert number(812, "%") == "812"
  assert number(12, "s") == "12 s"
  assert number(640.25, "s") == "640.2 s"
  assert number(float("nan"), "mm") == "not a number"
  assert number(None) == "–"
  assert number("cpu") == "cpu"


def test_curves_are_a_picture_that_does_not_change(folder, tmp_path):
  ElementTree.parse(folder / "curves.svg")
  report.draw_curves(tmp_path / "curves.svg", CURVES)
  assert (tmp_path / "curves.svg").read_bytes() == (folder / "curves.svg").read_bytes()


def test_empty_run_still_gives_a_page(tmp_path):
  path = report.write_report(tmp_path, {}, [], {})
  assert "TDMM-JAX" in path.read_text(encoding="utf-8")
  assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_token_colors_are_colors_and_differ():
  colors = [report.token_color(token) for token in range(1024)]
  assert all(len(color) == 7 and int(color[1:], 16) >= 0 for color in colors)
  assert len(set(colors)) > 1000
