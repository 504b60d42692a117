"""`make demo` and `make train`, on a tiny run: what they write, and going on."""

import json
import shutil

import pytest
import tiny

from demo import run, showcase, stages, train
from tdmm_jax import files
from tdmm_jax.runs import checkpoints, locate


@pytest.fixture
def small(tiny_run, tmp_path, monkeypatch):
  """One prompt and one test motion, drawn small; a folder with the tiny records.

  The scores are the release's: evaluation has tests of its own.
  """
  prompts = tmp_path / "prompts.jsonl"
  prompts.write_text(showcase.PROMPTS.read_text().splitlines()[0] + "\n")
  monkeypatch.setattr(showcase, "PROMPTS", prompts)
  monkeypatch.setattr(showcase, "SECONDS", 0.4)
  monkeypatch.setattr(showcase, "SIZE", 32)
  monkeypatch.setattr(showcase, "NUM_TEST_MOTIONS", 1)
  monkeypatch.delenv("TDMM_REAL_DATA", raising=False)
  stats = checkpoints.read_json(tiny_run / "records" / "build.json")["stats"]
  monkeypatch.setattr(run.build, "build_corpus", lambda *args, **kwargs: stats)
  scores = checkpoints.read_json(locate.RELEASE_DIR / "scores.json")
  evaluate = lambda trained, *args, **kwargs: (
    scores | {"versions": {"run": trained.version}}
  )
  monkeypatch.setattr(stages.evaluate, "evaluate", evaluate)
  folder = tmp_path / "out"
  folder.mkdir()
  (folder / "records").symlink_to(tiny_run / "records")
  return folder


def stop(*_):
  raise KeyboardInterrupt


def summary_of(folder) -> dict:
  summary = json.loads((folder / "summary.json").read_text())
  assert {"seconds", "corpus", "tokenizer", "m2l", "l2m", "real"} == set(summary)
  assert summary["real"]["clips"] == 0 and summary["seconds"]["total"] >= 0
  return summary


def test_the_demo_goes_on_and_shows_a_checkpoint(small, tiny_run, monkeypatch, capsys):
  arguments = ["--run", str(small), "--checkpoint", str(tiny_run)]
  with monkeypatch.context() as patch:
    patch.setattr(showcase, "sections", stop)
    assert run.main(arguments) == 130
  assert "`make demo` goes on from here" in capsys.readouterr().err
  monkeypatch.setattr(stages.evaluate, "evaluate", stop)  # nothing is scored again
  assert run.main(arguments) == 0
  said = capsys.readouterr().out
  assert "already scored" in said and f"report: {small}/report.html" in said
  summary_of(small)
  page = (small / "report.html").read_text()
  movies = [path.name for path in (small / "media").glob("*.mp4")]
  assert len(movies) == 2 and all(f"media/{name}" in page for name in movies)


def test_scores_of_another_checkpoint_are_not_kept(small, tiny_run, monkeypatch):
  files.write_json(small / "scores.json", {"versions": {"run": "another"}})
  monkeypatch.setattr(showcase, "sections", lambda *args: [])
  assert run.main(["--run", str(small), "--checkpoint", str(tiny_run)]) == 0
  assert "m2l" in summary_of(small)


def test_the_chain_skips_what_is_trained_and_compares_with_the_release(
  small, tiny_run, monkeypatch, capsys
):
  for name in (locate.TOKENIZER, locate.LANGUAGE_MODEL):
    shutil.copytree(tiny_run / name, small / name)
  monkeypatch.setattr(showcase, "sections", lambda *args: [])
  tokenizer_steps, lm_steps = (
    str(tiny.STEPS[name]) for name in (locate.TOKENIZER, locate.LANGUAGE_MODEL)
  )
  steps = ["--tokenizer_steps", tokenizer_steps, "--lm_steps", lm_steps]
  assert train.main(["--run", str(small), *steps]) == 0
  said = capsys.readouterr().out
  assert said.count("already trained (") == 2
  assert "beside the released checkpoint" in said
  summary_of(small)
  assert run.main(["--run", str(small)]) == 2  # the demo spares a trained run
  assert "holds a trained run" in capsys.readouterr().err
