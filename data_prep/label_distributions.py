"""How often each label occurs: evenly, or as in other corpora, for comparison."""

import collections

from tdmm_jax.language import lexicon

DISTRIBUTIONS = ("balanced", "web", "lab")  # see `train_labels`
_WEB_LABELS, _WEB_NEUTRAL, _WEB_COMMONEST = 37, 0.6, 20
_LAB_LABELS = (
  *("neutral", "calm", "happy", "sad"),
  *("angry", "afraid", "disgusted", "surprised"),
)


def suite_labels(per_family: int | None = None) -> list[str]:
  """All labels, or the first `per_family` of each family: its most usual words."""
  rank = collections.Counter()
  names = []
  for name, label in lexicon.LABELS.items():
    rank[label.family] += 1
    if per_family is None or rank[label.family] <= per_family:
      names.append(name)
  return names


def train_labels(labels: str = "balanced", per_family: int | None = None) -> list[str]:
  """One cycle of a distribution of labels, each as often as it occurs.

  Args:
    labels: one of DISTRIBUTIONS: "balanced": each once; "web": 37 of them as in video
      from the web, three of five clips neutral and the others by Zipf's law; "lab": the
      eight of acted laboratory corpora (RAVDESS, Livingstone and Russo 2018).
    per_family: of "balanced", see `suite_labels`.
  """
  if labels == "balanced":
    return suite_labels(per_family)
  if labels == "lab":
    return list(_LAB_LABELS)
  by_rank = [name for rank in range(1, 4) for name in _labels_of_rank(rank)]
  others = [name for name in by_rank if name != lexicon.NEUTRAL][: _WEB_LABELS - 1]
  cycle = []
  for rank, name in enumerate(others, start=1):
    cycle += [name] * max(round(_WEB_COMMONEST / rank), 1)
  neutral = round(len(cycle) * _WEB_NEUTRAL / (1 - _WEB_NEUTRAL))
  return [lexicon.NEUTRAL] * neutral + cycle


def _labels_of_rank(rank: int) -> list[str]:
  """The label of each family that is its rank-th most usual."""
  known = set(suite_labels(rank - 1))
  return [name for name in suite_labels(rank) if name not in known]
