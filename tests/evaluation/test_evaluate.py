"""A run's evaluation: the same twice, honest about what it lacks, told in tables."""

import json

import numpy as np
import pytest
import tiny

from tdmm_jax.errors import UserError
from tdmm_jax.evaluation import evaluate, motion_sets, tables
from tdmm_jax.language import endpoint, lexicon
from tdmm_jax.metrics import judge, llm_judge
from tdmm_jax.runs import locate


def scored(run, run_dir, seed=0, network=None, **options):
  options = evaluate.Options(max_clips=4, seed=seed, **options)
  return evaluate.evaluate(run, run_dir / "records", options, network)


@pytest.fixture(scope="module")
def thorough(loaded_run, tiny_run):
  network, why = evaluate.network_of(tiny_run)
  assert not why
  return scored(loaded_run, tiny_run, network=network, replications=2)


@pytest.fixture(scope="module")
def quick(loaded_run, tiny_run):
  return scored(loaded_run, tiny_run, quick=True)


@pytest.mark.slow
def test_another_process_writes_the_same_bit_for_bit(thorough, tiny_run, tmp_path):
  """Its sets have another order, too: Python draws it anew for every process."""
  code = "import sys; from tdmm_jax.cli import main; sys.exit(main.main(sys.argv[1:]))"
  options = ["--max_clips", 4, "--replications", 2, "--json", tmp_path / "scores.json"]
  tiny.run_python(code, "evaluate", "--run", tiny_run, *options)
  assert json.loads((tmp_path / "scores.json").read_text()) == thorough


def leaves(scores: dict, prefix: str = "") -> dict:
  flat = {}
  for key, value in scores.items():
    nested = isinstance(value, dict)
    flat |= leaves(value, f"{prefix}{key}.") if nested else {prefix + key: value}
  return flat


def test_a_seed_changes_what_is_sampled(quick, loaded_run, tiny_run):
  a, b = leaves(quick), leaves(scored(loaded_run, tiny_run, seed=1, quick=True))
  assert a.keys() == b.keys()
  changed = {key for key in a if a[key] != b[key]}
  assert {"seed", "l2m.l2", "l2m.fd"} <= changed
  sampled = ("seed", "l2m.", "m2l.floor.")  # motions, pairs, pools, shuffles
  assert all(key.startswith(sampled) for key in changed), changed
  fixed = {"token_accuracy", "chance", "majority", "num_clips", "classifier_ceiling"}
  assert not {f"l2m.{key}" for key in fixed} & changed
  assert not any(key.endswith(("seconds", "_s", "time")) for key in a)


def test_replications_have_an_interval_and_what_is_not_sampled_has_none(thorough):
  for part in ("l2m", "continuation", "inbetween"):
    group = thorough[part]
    assert group["replications"] == 2
    assert group["interval"]["l2"] > 0 and np.isfinite(group["fid"])
  assert thorough["l2m"]["multimodality"] > 0
  assert thorough["l2m"]["multimodality_samples"] == 2
  assert "token_accuracy" not in thorough["l2m"]["interval"]
  assert "interval" not in thorough["m2l"]


def test_true_tokens_are_the_best_of_completions(thorough):
  for task in ("continuation", "inbetween"):
    group = thorough[task]
    assert group["tokenizer"]["face_error_mm"] < group["face_error_mm"]
    assert group["floor"]["face_error_mm"] > group["tokenizer"]["face_error_mm"]


def test_real_motions_stand_above_and_shuffled_ones_below(thorough):
  l2m, m2l = thorough["l2m"], thorough["m2l"]
  assert l2m["ceiling"]["l2"] == 0 < l2m["tokenizer"]["l2"] < l2m["floor"]["l2"]
  assert m2l["real_captions"]["cor_e"] == 5 > m2l["floor"]["cor_e"]
  assert m2l["real_captions"]["bleu_4"] > m2l["floor"]["bleu_4"]


def test_the_tables_have_a_row_for_each(thorough):
  text = tables.markdown(thorough, "our run", "our corpus")
  for words in (
    "## Motion2Language",
    "## Language2Motion",
    "## Corpus",
    "| our run | ",
    "| captions of other clips (floor) | ",
    "| real motions | ",
    "| shuffled (floor) | ",
    "R@3",
    "MultiModality",
    "## Continuation, new frames",
    "± ",
    "2 replications",
    "- bertscore: no --bert_model",
  ):
    assert words in text, words
  rows = [line for line in text.splitlines() if line.startswith("|")]
  assert all(line.endswith("|") for line in rows) and "nan" not in text


@pytest.mark.slow
def test_without_an_evaluator_it_says_so_and_goes_on(quick, tmp_path):
  network, why = evaluate.network_of(tmp_path)
  assert network is None and f"no evaluator network in {tmp_path / 'evaluator'}" in why
  found = quick
  assert found["l2m"]["fid"] is None is found["l2m"]["text_top3"]
  assert found["l2m"]["multimodality"] is None
  assert found["unavailable"]["evaluator space"] == "no evaluator network was given"
  assert "continuation" not in found and "FID" not in tables.markdown(found, "a", "b")


def test_a_judge_that_answers_is_reported_with_its_agreement(monkeypatch, tmp_path):
  """Scores of a stand-in that says 1 and 5 in turn; the HTTP side has its own tests."""
  clip = {"prompt": "She is sad.", "attributes": lexicon.parse("She is sad.")}
  captions = ["She is sad.", "He is happy.", "She is sad.", "He laughs."]
  answers = {name: np.array([5.0, 1.0, 5.0, np.nan]) for name in judge.ASPECTS}
  monkeypatch.setattr(
    llm_judge, "judge_all", lambda *_: (answers, {"unreadable": 1, "asked": 3})
  )
  options = evaluate.Options(judge=endpoint.Endpoint("http://x/v1", "m"))
  found = evaluate.llm_scores([clip] * 4, captions, options)
  assert found["model"] == "m" and found["unreadable"] == 1
  np.testing.assert_allclose(found["cor_e"], 11 / 3)
  assert found["agreement"]["cor_e"]["clips"] == 3
  np.testing.assert_allclose(found["agreement"]["cor_e"]["spearman"], 1.0)
  assert "asked" not in found  # the same evaluation again asks nothing


def test_averages_keep_what_is_not_measured():
  rows = [{"a": 1.0, "b": None}, {"a": 3.0, "b": None}]
  found = motion_sets.averaged(rows)
  assert found["a"] == 2.0 and found["b"] is None
  assert found["interval"] == {"a": pytest.approx(1.96 / np.sqrt(2)), "b": None}


def test_an_evaluator_of_another_face_is_refused(loaded_run, tiny_run):
  network, _ = evaluate.network_of(tiny_run)
  network.versions = network.versions | {"head": "other"}
  with pytest.raises(UserError, match="evaluator: trained on 'default_v2' version oth"):
    scored(loaded_run, tiny_run, network=network)
  assert locate.EVALUATOR == "evaluator"
