"""Captions from attributes, offline: sentence patterns filled with the lexicon's words.

A caption names everything that is not the default (a still head, silence, no
micro-action) and the strength of every emotion, and nothing that is not there;
`lexicon.parse` reads the attributes back. Actions come in one order, and of several
words for a thing the first is the usual one and counts alike for all values: a model
that writes the likeliest word then has no reason to prefer one value or silence.

  python -m data_prep.paraphrase prompts.jsonl --num 5 --out more.jsonl

Slots of a pattern: {S} subject ("A man"), {s} the same mid-sentence, {o} as object,
{s's} and {poss} possessives, {he} pronoun; per emotion i: {adj_i} "slightly sad",
{np_i} "a slight smile", {look_i} "a slight sad look", {Look_i}/{Np_i} at a start;
{vp_i} "smiles slightly", {adv_i} "very sadly"; {voice} "speaks"; {ing} ", speaking and
nodding" and {fin} ". He speaks and nods" carry what is left to say; {does} and {doing}
are the whole of it.
"""

import argparse
import re
import sys

import numpy as np

from data_prep import manifest
from data_prep.sentences import (
  FRAMINGS,
  LOOK_NOUNS,
  OPENINGS,
  PATTERNS,
  PEOPLE,
  PERSON_SHARES,
  Subject,
)
from tdmm_jax import errors
from tdmm_jax.errors import UserError
from tdmm_jax.language import acts as acts_lib
from tdmm_jax.language import lexicon, motion_words, wording
from tdmm_jax.language.emotion_words import adverb
from tdmm_jax.language.wording import PARTICIPLE, THIRD, usual

_SLOT = re.compile(r"\{([^}]+)\}")
_CARRIERS = ("looks on", "stares", "gazes ahead")
_BROADLY = ("broadly", "deeply")
_ROOM_S = 30.0  # whatever a text says fits in
_THINNED = 0.3  # of the prompts: people seldom say everything
_PERSON_LIMITS = np.cumsum(PERSON_SHARES)[:-1]


def _pick(rng, options):
  return options[int(rng.integers(len(options)))]


def _with_article(phrase: str) -> str:
  return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def _intensity_word(rng, label: str, level: int, cell: int) -> str:
  """An adjective (cell 0) or adverb (cell 1); a neutral face has none."""
  if label == lexicon.NEUTRAL:
    return ""
  return usual(rng, lexicon.INTENSITIES[level][cell])


def _emotion_phrase(rng, kind: str, segment: dict, plain: bool) -> str:
  """ "adj": slightly sad; "np": slight sadness; "look": a slight sad look; "vp": smiles
  slightly; "adv": very sadly.

  Args:
    plain: whether the middle intensity is left unsaid.
  """
  label, level = lexicon.LABELS[segment["emotion"]], segment["intensity"]
  silent = plain and level == lexicon.DEFAULT_INTENSITY
  degree = lambda cell: "" if silent else _intensity_word(rng, label.name, level, cell)
  if kind == "vp" and label.verbs:
    degree_word = "" if silent else _following(rng, level)
    return f"{usual(rng, label.verbs)[0]} {degree_word}".strip()
  if kind in ("adj", "adv", "vp"):
    adverbs = [adverb(word) for word in _adverbial(label)]
    if kind == "adj" or not adverbs:
      said = f"{degree(1)} {usual(rng, label.adjectives)}".strip()
      return f"looks {said}" if kind == "vp" else said
    said = f"{degree(1)} {usual(rng, adverbs)}".strip()
    return f"{usual(rng, _CARRIERS)} {said}" if kind == "vp" else said
  word = degree(0)
  if kind == "look":
    middle = f"{word} {usual(rng, label.adjectives)}".strip()
    return _with_article(f"{middle} {usual(rng, LOOK_NOUNS)}")
  noun = usual(rng, label.nouns)
  bare = re.sub(r"^an? ", "", noun)
  phrase = f"{word} {bare}".strip()
  return _with_article(phrase) if bare != noun else phrase


def _adverbial(label) -> list[str]:
  """The adjectives of a label that make an adverb people use."""
  if label.name == lexicon.NEUTRAL:
    return []
  return [
    word
    for word in label.adjectives
    if not word.endswith(("ed", "ing", "n", "sore", "lost")) and " " not in word
  ]


def _following(rng, level: int) -> str:
  """An adverb of intensity that may stand behind its verb: not "very"."""
  words = [w for w in lexicon.INTENSITIES[level][1] if w.endswith("ly")]
  return usual(rng, words + [w for w in _BROADLY if level == 4])


def _join(parts) -> str:
  return (
    " and ".join(parts)
    if len(parts) < 3
    else f"{', '.join(parts[:-1])} and {parts[-1]}"
  )


def _voice(attributes: dict):
  """The lexicon's cells for the voice: third person, participle, others."""
  manner = attributes.get("manner", lexicon.PLAIN)
  if manner != lexicon.PLAIN:
    return motion_words.MANNERS[manner]
  return motion_words.SPEAKING[attributes["speaking"]]


def _phrase(act, form: int, seed: int | None) -> str:
  """The act in words; those of one seed are the same in every form."""
  return wording.phrase(
    act, form, None if seed is None else np.random.default_rng(seed)
  )


def _actions(rng, attributes: dict, with_voice: bool):
  """What the pattern itself does not say.

  Returns:
    [(third person, participle)] of what may come at any time, or at the time it says;
    of what comes last, one after the other; of what is not done.
  """
  free, last, absent = [], [], []
  for act in acts_lib.acts_of(attributes):
    if act.emotion and not act.absent:
      continue
    seed = None if rng is None else int(rng.integers(1 << 30))
    pair = tuple(_phrase(act, form, seed) for form in (THIRD, PARTICIPLE))
    if act.absent:
      absent.append(pair)
    elif act.when == "then":
      last.append(pair)
    elif act.when == "while" and free:
      free[-1] = tuple(f"{said} while {pair[1]}" for said in free[-1])
    else:
      free.append(pair)
  if with_voice and attributes["speaking"] != "silent":
    cells = _voice(attributes)
    free.append(usual(rng, list(zip(cells[0], cells[1], strict=True))))
  return free, last, absent


class _Filler:
  """Fills the slots of one pattern."""

  def __init__(self, rng, attributes, subject, pattern, plain):
    self._rng, self._attributes, self._subject = rng, attributes, subject
    self._plain = plain
    with_voice = "{voice}" not in pattern
    actions = _actions(rng, attributes, with_voice)
    self._free, self._last, self._absent = actions

  def __call__(self, match) -> str:
    slot, subject, rng = match[1], self._subject, self._rng
    if slot in ("S", "s"):
      return subject.nominative
    if slot == "o":
      return subject.objective
    if slot == "he":
      return subject.pronoun
    if slot == "s's":
      pronoun = subject.nominative in ("he", "she")
      return subject.possessive if pronoun else f"{subject.nominative}'s"
    if slot == "voice":
      return usual(rng, _voice(self._attributes)[0])
    if slot in ("ing", "fin", "does", "doing"):
      return self._rest(slot)
    kind, number = slot.lower().split("_")
    segment = self._attributes["segments"][int(number) - 1]
    emotion = self._emotion(segment)
    said = _emotion_phrase(rng, kind, segment, self._plain)
    told = [emotion.when] if emotion else []
    if emotion and emotion.tempo:
      said = self._with_tempo(kind, emotion, said)
    if emotion and emotion.hold == "brief" and kind in ("adj", "vp", "adv"):
      said = f"{said} briefly"
    if emotion and told[0] not in ("", "then"):
      said = f"{said} {wording.when_of(emotion, rng)}"
    return said

  def _emotion(self, segment):
    """The act of a segment, if it says more than an emotion."""
    for act in acts_lib.acts_of(self._attributes):
      if act.emotion and not act.absent and act.name == segment["emotion"]:
        return act
    return None

  def _with_tempo(self, kind: str, act, said: str) -> str:
    if kind in ("np", "look"):
      adjective = {"slow": "slow", "quick": "quick"}[act.tempo]
      article = re.match(r"an? ", said)
      bare = said[article.end() :] if article else said
      return _with_article(f"{adjective} {bare}") if article else f"{adjective} {bare}"
    words = {"slow": ("slowly", "gradually"), "quick": ("quickly", "suddenly")}
    word = usual(self._rng, words[act.tempo])
    return f"{said} {word}" if kind == "adj" else f"{word} {said}"

  def _rest(self, slot: str) -> str:
    column = 1 if slot in ("ing", "doing") else 0
    possessive, pronoun = self._subject.possessive, self._subject.pronoun
    word = lambda pair, column=column: pair[column].replace("~", possessive)
    free, last = [word(pair) for pair in self._free], list(self._last)
    absent = [word(pair) for pair in self._absent]
    if slot in ("does", "doing"):
      free, absent = free or absent, absent if free else []
      said = _join(free)
    elif free:
      said = f", {_join(free)}" if column else f". {pronoun} {_join(free)}"
    elif last:
      said = f". Then {pronoun} {word(last.pop(0), 0)}"
    else:
      said = ""
    for pair in last:
      said += f", then {word(pair, column if free else 0)}"
    if absent:
      joined = _join(absent)
      said += f", {joined}" if column else f". {pronoun} {joined}"
    return said


def fill(
  pattern: str, attributes: dict, subject: Subject, rng, plain: bool = False
) -> str:
  """One caption of the pattern; without rng, in the usual words.

  Args:
    plain: whether the middle intensity is left unsaid, as people do.
  """
  filler = _Filler(rng, attributes, subject, pattern, plain)
  text = _SLOT.sub(filler, pattern)
  # A sentence starts with a capital, whichever slot opens it.
  return re.sub(r"(^|[.] )([a-z])", lambda m: m[1] + m[2].upper(), text)


def subjects_of(rng) -> tuple[Subject, ...]:
  """The ways to speak of one person, drawn at random."""
  groups = PEOPLE[_pick(rng, ("he", "she"))]
  return _pick(rng, groups[int(np.searchsorted(_PERSON_LIMITS, rng.random()))])


def _patterns(attributes: dict, split: str) -> tuple[str, ...]:
  """The split's patterns that fit; the first is the plain one."""
  patterns = PATTERNS[split][lexicon.structure(attributes)]
  alone = lexicon.structure(attributes) == "single"
  if alone and attributes["emotion"] == lexicon.NEUTRAL and _does(attributes):
    return (patterns[0], *PATTERNS[split]["acts"], *patterns[1:3])
  without = [
    f"{{adv_{i}}}"
    for i, segment in enumerate(attributes["segments"], 1)
    if not _adverbial(lexicon.LABELS[segment["emotion"]])
  ]
  return tuple(p for p in patterns if not any(slot in p for slot in without))


def _does(attributes: dict) -> bool:
  """Whether a neutral face does something that fills a sentence."""
  acts = [a for a in acts_lib.acts_of(attributes) if not a.emotion]
  free = [a for a in acts if a.when != "then"]
  return bool(free or (attributes["speaking"] != "silent" and not acts))


def captions(
  attributes: dict, split: str, count: int, rng, subjects=None, plain: bool = False
) -> list[str]:
  """`count` distinct captions of the split's patterns, patterns repeated only if few.

  The first is the plain one: the first pattern, a pronoun, the usual words. Every clip
  has it, so that a model finds one way to say what it sees.

  Args:
    attributes: of a record, with one or two segments.
    split: "train", "valid" or "test".
    count: how many.
    rng: np.random.Generator; the same state gives the same captions.
    subjects: of `subjects_of`, drawn if there are none: one clip, one person.
    plain: see `fill`.
  """
  patterns = _patterns(attributes, split)
  subjects = subjects or subjects_of(rng)
  texts = [fill(patterns[0], attributes, subjects[0], None)]
  if count == 1:
    return texts
  for _ in range(50):
    for i in rng.permutation(len(patterns)):
      text = fill(patterns[i], attributes, _pick(rng, subjects), rng, plain)
      if text not in texts:
        texts.append(text)
      if len(texts) == count:
        return texts
  return texts


def prompt_of(attributes: dict, split: str, rng, subjects) -> str:
  """A prompt, as people write them: in any words, and not everything said."""
  told = thinned(attributes, rng) if rng.random() < _THINNED else attributes
  texts = captions(told, split, 2, rng, subjects, plain=bool(rng.random() < 0.5))
  return framed(texts[-1], split, rng)


def thinned(attributes: dict, rng) -> dict:
  """The attributes with less said of each act: "he winks", with which eye is left out.

  What comes after what, and what is absent, stays.
  """
  acts = []
  for act in acts_lib.acts_of(attributes):
    if not act.emotion and not act.absent:
      kind = acts_lib.KINDS.get(act.name)
      keep = lambda value, empty: value if rng.random() < 0.5 else empty
      act = act.replace(
        side=keep(act.side, ""),
        direction=act.direction if act.name == "lean" else keep(act.direction, ""),
        count=keep(act.count, 0),
        tempo=keep(act.tempo, ""),
        size=keep(act.size, acts_lib.USUAL_SIZE),
      )
      if kind and act.when in ("start", "end", "after"):
        act = act.replace(when=keep(act.when, ""))
    acts.append(act)
  end_s = max(row["end_s"] for row in attributes["segments"])
  return lexicon.attributes_of(
    acts, end_s, attributes["speaking"], attributes["manner"]
  )


def framed(caption: str, split: str, rng) -> str:
  """The caption as a prompt: a quarter of them also mention the picture."""
  draw = rng.random()
  if draw < 0.1 and caption.startswith(("A ", "An ", "The ", "He ", "She ")):
    return _pick(rng, OPENINGS[split]) + caption[0].lower() + caption[1:]
  return f"{caption} {_pick(rng, FRAMINGS[split])}" if draw < 0.25 else caption


def same_attributes(text: str, attributes: dict) -> bool:
  """Whether the text, parsed, has exactly these attributes (except for times)."""
  return lexicon.comparable(lexicon.parse(text, _ROOM_S)) == lexicon.comparable(
    attributes
  )


def add_captions(row: dict, count: int, seed) -> dict:
  """The manifest row with `count` captions that say what its attributes say.

  Attributes that the row lacks are read from its prompt.
  """
  attributes = row.get("attributes") or lexicon.parse(row["prompt"])
  split = row.get("split", "train")
  rng = np.random.default_rng(seed)
  texts = captions(attributes, split, count + 1, rng)
  fresh = [text for text in texts if text != row["prompt"]][:count]
  return row | {"attributes": attributes, "captions": fresh}


@errors.entry_point("data_prep.paraphrase")
def main(argv=None) -> None:
  parser = argparse.ArgumentParser(
    prog="python -m data_prep.paraphrase",
    description="Give every prompt of a manifest true paraphrases, offline.",
    epilog="python -m data_prep.polish has a language model write them",
  )
  parser.add_argument("manifest", help="JSON lines of clip_id, prompt[, attributes]")
  parser.add_argument(
    "--num", type=int, default=5, help="captions a prompt (default 5)"
  )
  parser.add_argument("--seed", type=int, default=0)
  parser.add_argument("--out", required=True, help="the JSON-lines file to write")
  args = parser.parse_args(argv)
  if args.num < 1:
    raise UserError(f"--num: {args.num} captions asked for; give at least 1")
  rows = manifest.read(args.manifest)
  done = [add_captions(row, args.num, (args.seed, i)) for i, row in enumerate(rows)]
  manifest.write(args.out, done)
  print(f"{args.out}: {len(done)} prompts, {args.num} captions each")


if __name__ == "__main__":
  sys.exit(main())
