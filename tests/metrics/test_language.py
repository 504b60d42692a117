"""BLEU against sacrebleu's own examples, ROUGE-L and CIDEr by hand."""

import math

import numpy as np
import pytest
import sacrebleu

from tdmm_jax.errors import UserError
from tdmm_jax.metrics import language

SAID = ["A man smiles broadly.", "She looks sad and nods"]
REFS = [
  ["The man smiles broadly!", "A man grins."],
  ["She looks very sad, and she nods.", "A sad woman nods.", "She nods, sad."],
]


def test_bleu_is_sacrebleus_over_all_references():
  streams = [
    ["the man smiles broadly", "she looks very sad and she nods"],
    ["a man grins", "a sad woman nods"],
    [None, "she nods sad"],
  ]
  plain = ["a man smiles broadly", "she looks sad and nods"]
  wanted = sacrebleu.corpus_bleu(plain, streams, tokenize="none", force=True).score
  np.testing.assert_allclose(language.bleu(SAID, REFS, 4), wanted / 100)
  # Unigrams by hand: all 4, and all 5, are in some reference; lengths 4+5 against
  # the closest references', 4 and 4: no brevity penalty.
  np.testing.assert_allclose(language.bleu(SAID, REFS, 1), 1.0)


def test_case_and_punctuation_say_nothing():
  assert language.words("A man's smile, wide-eyed!") == [
    "a",
    "man's",
    "smile",
    "wide-eyed",
  ]
  score = language.bleu(["a MAN smiles, broadly!"], [["A man smiles broadly"]], 4)
  np.testing.assert_allclose(score, 1.0)


def test_rouge_l_by_hand():
  # "a man smiles" of 3 in "the man always smiles" of 4: 2 in common.
  p, r, b2 = 2 / 3, 2 / 4, 1.44
  wanted = (1 + b2) * p * r / (r + b2 * p)
  np.testing.assert_allclose(
    language.rouge_l("A man smiles.", ["The man always smiles."]), wanted
  )
  assert language.rouge_l("a b c", ["x y", "a b c"]) == 1.0  # the best reference
  assert language.rouge_l("", ["a b"]) == 0.0 == language.rouge_l("c", ["a b"])
  # Order matters: one word of the two in a row.
  assert language.rouge_l("b a", ["a b"]) == 0.5


def test_cider_by_hand():
  said = ["a b", "c d"]
  refs = [["a b"], ["c d"]]
  # Every n-gram is in one of two clips' references: weight log 2 each, cosine 1 for
  # n = 1 and 2, and there are no longer ones: (1 + 1 + 0 + 0) / 4, times 10.
  np.testing.assert_allclose(language.cider(said, refs), 5.0)
  # Half of the words: the cosine of 1-grams is 1/2, of 2-grams 0, and as long.
  np.testing.assert_allclose(language.cider(["a c", "c d"], refs), (1.25 + 5.0) / 2)
  # What all clips' references have weighs nothing.
  assert language.cider(["a", "a"], [["a"], ["a"]]) == 0.0
  # Four words more than the reference: exp(-16 / 72); five times one word counts once.
  long = language.cider(["a a a a a", "c d"], [["a"], ["c d"]])
  np.testing.assert_allclose(long, (10 / 4 / 5 * math.exp(-16 / 72) + 5.0) / 2)


def test_scores_of_the_truth_and_of_nonsense():
  perfect = language.scores([r[0] for r in REFS], REFS)
  np.testing.assert_allclose([perfect["bleu_4"], perfect["rouge_l"]], 1.0)
  assert perfect["cider"] > 1
  assert perfect["bertscore"] is None
  wrong = language.scores(["xyzzy", ""], REFS)
  assert wrong["bleu_1"] == wrong["rouge_l"] == wrong["cider"] == 0.0


def test_bertscore_without_its_package_says_what_is_missing(tmp_path):
  with pytest.raises(UserError, match="bert_model"):
    language.bertscore(SAID, REFS, tmp_path)
