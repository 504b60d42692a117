"""docs/results.md: its tables are what the files of the runs say."""

import json

import pytest
import tiny

from benchmarks import results


def scores(fid: float, cor_e: float) -> dict:
  l2m = {"fid": fid, "cor_e": 4.0, "l2": 0.25, "replications": 20}
  l2m |= {"interval": {"fid": 0.01}, "ceiling": {"fid": 0.1}, "floor": {"fid": 9.0}}
  m2l = {"cor_e": cor_e, "emotion_family_accuracy": 0.5}
  content = {"num_clips": 500, "split": "test", "l2m": l2m, "m2l": m2l}
  return content | {"tokenizer": {"face_error_mm": 0.5}}


@pytest.fixture
def folder(tmp_path):
  files = {
    "reference": scores(1.5, 4.25),
    "t2m_gpt": scores(6.0, 3.5),
    "web": scores(3.0, 2.75),
    "baselines": {"nearest": {"fid": 2.5}},
    "trainings": {"web": {"hardware": "1 GPU", "hours": 0.25}},
  }
  for name, content in files.items():
    (tmp_path / f"{name}.json").write_text(json.dumps(content))
  (tmp_path / "page.md").write_text(
    f"# Results\n\n{results.BEGIN}\nold\n{results.END}\n\nProse.\n"
  )
  return tmp_path


def run(folder) -> int:
  return results.main(["--folder", str(folder), "--page", str(folder / "page.md")])


def test_the_page_holds_the_files_numbers_and_keeps_the_prose(folder):
  assert run(folder) == 0
  page = (folder / "page.md").read_text()
  assert page.startswith("# Results\n") and page.endswith("\n\nProse.\n")
  assert "old" not in page
  assert "| `reference` | 1.500 ± 0.010 |" in page
  assert "| motion of the nearest training text | 2.500 |" in page
  assert "| true motions | 0.100 |" in page
  assert "| `web` | 2.75 |" in page  # of the corpora
  assert "| `configs/ablations.py:web` | 500 test clips | 1 GPU | 0.25 |" in page
  assert "Sizes" not in page  # one row compares nothing
  assert run(folder) == 0
  assert (folder / "page.md").read_text() == page


def test_what_is_missing_is_one_line(folder, capsys):
  (folder / "page.md").write_text("# No marks\n")
  assert run(folder) == 2
  assert "page.md: no '<!-- Tables" in capsys.readouterr().err
  (folder / "web.json").write_text("{")
  assert run(folder) == 2
  assert "web.json: not JSON" in capsys.readouterr().err
  for path in folder.glob("*.json"):
    path.unlink()
  assert run(folder) == 2
  assert "evaluate a run first" in capsys.readouterr().err


@pytest.mark.skipif(
  not (tiny.REPO / results.FOLDER).is_dir(), reason="no results are committed yet"
)
def test_the_committed_page_is_what_the_committed_files_say(tmp_path):
  page = (tiny.REPO / results.PAGE).read_text()
  (tmp_path / "page.md").write_text(page)
  folder = ["--folder", str(tiny.REPO / results.FOLDER)]
  assert results.main([*folder, "--page", str(tmp_path / "page.md")]) == 0
  assert (tmp_path / "page.md").read_text() == page
