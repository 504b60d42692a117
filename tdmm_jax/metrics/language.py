"""Captions against all texts of the clip: BLEU, ROUGE-L, CIDEr, BERTScore.

Case and punctuation do not count: texts are compared as lower-case words.
"""

import collections
import json
import math
import pathlib
import re
from collections.abc import Sequence

import numpy as np

from tdmm_jax.errors import UserError

_WORD = re.compile(r"[a-z0-9]+(?:['’-][a-z0-9]+)*")
_ROUGE_BETA = 1.2  # as in the COCO caption tools
_CIDER_N, _CIDER_SIGMA = 4, 6.0


def words(text: str) -> list[str]:
  """Lower-case words of a text, without punctuation."""
  return _WORD.findall(text.lower())


def scores(
  said: Sequence[str], references: Sequence[Sequence[str]], bert_model=None
) -> dict:
  """All metrics of captions `said`, each against its clip's `references`.

  Args:
    bert_model: folder of a BERT-like encoder in Hugging Face's format; without it
      `bertscore` is None.

  Returns:
    bleu_1, bleu_4 (sacrebleu's corpus BLEU over 100), rouge_l, cider, bertscore.
  """
  return {
    "bleu_1": bleu(said, references, 1),
    "bleu_4": bleu(said, references, 4),
    "rouge_l": float(np.mean([rouge_l(s, r) for s, r in zip(said, references)])),
    "cider": cider(said, references),
    "bertscore": bertscore(said, references, bert_model) if bert_model else None,
  }


def bleu(said: Sequence[str], references: Sequence[Sequence[str]], order: int) -> float:
  """Corpus BLEU of n-grams up to `order`, 0 .. 1, by sacrebleu (Post 2018)."""
  import sacrebleu  # half a second that other commands can do without

  most = max(map(len, references))
  plain = lambda text: " ".join(words(text))
  # sacrebleu wants the k-th reference of all texts together; None where there is none.
  streams = [
    [plain(r[k]) if k < len(r) else None for r in references] for k in range(most)
  ]
  metric = sacrebleu.BLEU(max_ngram_order=order, tokenize="none", force=True)
  return metric.corpus_score(list(map(plain, said)), streams).score / 100


def rouge_l(said: str, references: Sequence[str]) -> float:
  """F of the longest common subsequence of words, recall counted 1.2 times (Lin 2004).

  Precision and recall are each the best over the references, as in the COCO tools.
  """
  mine = words(said)
  pairs = [(_common(mine, other), len(other)) for other in map(words, references)]
  precision = max((n / len(mine) for n, _ in pairs), default=0.0) if mine else 0.0
  recall = max((n / size for n, size in pairs if size), default=0.0)
  if not precision or not recall:
    return 0.0
  beta2 = _ROUGE_BETA**2
  return (1 + beta2) * precision * recall / (recall + beta2 * precision)


def _common(a: Sequence[str], b: Sequence[str]) -> int:
  """Length of the longest common subsequence."""
  row = [0] * (len(b) + 1)
  for x in a:
    before = 0
    for j, y in enumerate(b, start=1):
      before, row[j] = row[j], before + 1 if x == y else max(row[j], row[j - 1])
  return row[-1]


def cider(said: Sequence[str], references: Sequence[Sequence[str]]) -> float:
  """CIDEr-D (Vedantam et al. 2015, arXiv:1411.5726, section 4), times 10.

  Likeness of n-grams up to 4, weighted by how few clips' references have them; words
  are not stemmed. As the weights come from the clips scored, values of different sets
  do not compare, and one clip alone scores 0.
  """
  refs = [[_grams(words(text)) for text in group] for group in references]
  seen = collections.Counter(
    gram for group in refs for gram in {gram for counts in group for gram in counts}
  )
  weight = lambda gram: math.log(len(refs) / max(seen[gram], 1))
  total = 0.0
  for text, group in zip(said, refs, strict=True):
    mine = _grams(words(text))
    each = [_likeness(mine, other, weight) for other in group]
    total += 10.0 * float(np.mean(each))
  return total / len(refs)


def _grams(tokens: Sequence[str]) -> collections.Counter:
  return collections.Counter(
    tuple(tokens[i : i + n])
    for n in range(1, _CIDER_N + 1)
    for i in range(len(tokens) - n + 1)
  )


def _likeness(mine, other, weight) -> float:
  """Mean over n of the clipped cosine, times the penalty of another length."""
  size = lambda counts: sum(n for gram, n in counts.items() if len(gram) == 1)
  penalty = math.exp(-((size(mine) - size(other)) ** 2) / (2 * _CIDER_SIGMA**2))
  total = 0.0
  for n in range(1, _CIDER_N + 1):
    a, b = _weighted(mine, n, weight), _weighted(other, n, weight)
    norm = math.sqrt(sum(v * v for v in a.values()) * sum(v * v for v in b.values()))
    if norm:
      shared = sum(min(v, b[g]) * b[g] for g, v in a.items() if g in b)
      total += shared / norm
  return total / _CIDER_N * penalty


def _weighted(counts, n: int, weight) -> dict:
  """n-gram -> count · weight."""
  return {g: count * weight(g) for g, count in counts.items() if len(g) == n}


def bertscore(said, references, model_dir) -> float:
  """Mean F of greedily matched word vectors (Zhang et al. 2020), best reference.

  Raises:
    UserError: `bert_score` is not installed.
  """
  try:
    import bert_score
  except ImportError as error:
    raise UserError(
      "bert_model: needs `pip install bert-score`, which this project does not bring"
    ) from error
  found = bert_score.score(
    list(said),
    [list(group) for group in references],
    model_type=str(model_dir),
    num_layers=_last_layer(model_dir),
  )
  return float(found[2].mean())


def _last_layer(model_dir) -> int:
  path = pathlib.Path(model_dir) / "config.json"
  try:
    return int(json.loads(path.read_text())["num_hidden_layers"])
  except (OSError, ValueError, KeyError) as error:
    raise UserError(
      f"bert_model {model_dir}: no encoder in Hugging Face's format there ({error})"
    ) from error
