"""The emotion and facial-action labels, their families and their surface forms.

The words themselves are in `emotion_table`.
"""

import dataclasses
import re

from tdmm_jax.language.emotion_table import TABLE
from tdmm_jax.language.motion_words import listed

NEUTRAL = "neutral"


@dataclasses.dataclass(frozen=True)
class Label:
  """One emotion or facial-action word.

  `adjectives`, `nouns` (with the article where countable) and `verbs` (third
  person, participle) make captions; `surface_forms` is all that the parser reads.
  """

  name: str
  family: str
  adjectives: tuple[str, ...]
  nouns: tuple[str, ...]
  verbs: tuple[tuple[str, str], ...]
  surface_forms: tuple[str, ...]
  valence: float
  arousal: float


def adverb(adjective: str) -> str:
  """happy -> happily, tragic -> tragically, humble -> humbly, sad -> sadly."""
  if adjective.endswith("y") and adjective not in ("shy", "coy"):
    return adjective[:-1] + "ily"
  if adjective.endswith("ic"):
    return adjective + "ally"
  if adjective.endswith("le"):
    return adjective[:-1] + "y"
  return adjective + "ly"


def _label(name, family, cells, valence, arousal) -> Label:
  adjectives, nouns, verbs, others = (listed(cell) for cell in cells)
  pairs = tuple(tuple(verb.split("/")) for verb in verbs)
  bare_nouns = [re.sub(r"^an? ", "", noun) for noun in nouns]
  plurals = [bare + "s" for noun, bare in zip(nouns, bare_nouns) if noun != bare]
  forms = [*adjectives, *bare_nouns, *plurals, *(form for p in pairs for form in p)]
  forms += [*others, *(adverb(a) for a in adjectives if " " not in a)]
  return Label(
    name=name,
    family=family,
    adjectives=adjectives,
    nouns=nouns,
    verbs=pairs,
    surface_forms=tuple(dict.fromkeys(forms)),
    valence=valence,
    arousal=arousal,
  )


def _build() -> dict[str, Label]:
  labels = {}
  for family, (valence, arousal, text) in TABLE.items():
    joined = re.sub(r"\s*\n(?!\s*\w+: )\s*", " ", text.strip())  # a line may go on
    for line in joined.splitlines():
      name, _, rest = line.strip().partition(":")
      cells = [cell.strip() for cell in rest.split("|")]
      cells += [""] * (4 - len(cells))
      labels[name] = _label(name, family, cells, valence, arousal)
  return labels


LABELS: dict[str, Label] = _build()
FAMILIES: tuple[str, ...] = tuple(TABLE)
