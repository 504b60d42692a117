"""The page of good and bad examples, on a tiny run."""

import numpy as np
import pytest

from demo import gallery, showcase


@pytest.fixture
def small(monkeypatch):
  monkeypatch.setattr(showcase, "SECONDS", 0.4)
  monkeypatch.setattr(showcase, "SIZE", 32)


def test_each_sentence_is_shown_with_what_is_seen_of_it(
  small, tiny_run, tmp_path, capsys
):
  sentences = tmp_path / "mine.txt"
  sentences.write_text("She winks with her left eye.\n\nPoker face.\n")
  out = tmp_path / "page"
  arguments = ["--run", str(tiny_run), "--sentences", str(sentences), "--out", str(out)]
  assert gallery.main(arguments) == 0
  page = (out / "report.html").read_text()
  assert str(out / "report.html") in capsys.readouterr().out
  assert "understood as: She winks with her left eye" in page
  assert page.count("geometry sees") == 2 and page.count("<video") == 2


def test_the_page_has_thirty_sentences_of_its_own():
  rows = gallery.sentences_of(gallery.SENTENCES)
  assert len(rows) == len({row["prompt"] for row in rows}) == 30


@pytest.mark.parametrize(
  "make, said",
  [
    (lambda p: ["--sentences", str(p / "none.txt")], "none.txt: cannot be read"),
    (lambda p: ["--sentences", str(p / "empty.txt")], "no sentence in it"),
    (lambda p: ["--clips", str(p / "bare")], "no *.landmarks.npz"),
    (lambda p: ["--clips", str(p / "blind")], "take.mp4: missing"),
  ],
)
def test_bad_input_is_one_line(tmp_path, capsys, make, said):
  (tmp_path / "empty.txt").write_text("\n")
  for name in ("bare", "blind"):
    (tmp_path / name).mkdir()
  np.savez(tmp_path / "blind" / "take.landmarks.npz", fps=25)
  assert gallery.main([*make(tmp_path), "--out", str(tmp_path / "out")]) == 2
  error = capsys.readouterr().err
  assert said in error and error.count("\n") == 1
  assert not (tmp_path / "out").exists()
