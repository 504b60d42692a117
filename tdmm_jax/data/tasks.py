"""The tasks as token sequences, and their mixture. Pure numpy; one file to read.

  task             encoder                                  decoder
  l2m              instruction with prompt, acts read in it motion
  m2l              instruction, motion                      acts read in it, caption
  qa               question, motion                         acts read in it, answer
  continuation     instruction, first frames                the other frames
  inbetween        instruction, frames around <extra_id_0>  the frames between
  unconditional    instruction                              motion
  denoising        instruction, motion with wrong codes     motion
  span_corruption  caption with <extra_id_i> for its spans  <extra_id_i> span, ...

The encoder's tokens start with the sentinel of the task; both sequences end with eos. A
motion is <som> codes <eom>. An instruction to write motion says how many seconds. The
acts that the lexicon reads in a prompt follow it in fixed terms (config.read_acts);
then, at times, <extra_id_0> and the motion's last frames (config.told_ending). Where
the encoder is asked which acts a motion has (config.model.act_reading), the decoder is
told them in the same terms, up to <extra_id_0>, before it writes about the motion.
docs/training.md shows an example.
"""

import dataclasses
import functools
import math
import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from tdmm_jax.errors import UserError
from tdmm_jax.language import (
  act_reading,
  cues,
  instructions,
  lexicon,
  question_wordings,
  questions,
  rewording,
  understanding,
  wording,
)
from tdmm_jax.language import acts as acts_lib
from tdmm_jax.vocab import EOS_ID, TASKS, Vocab

FPS = 25
NUM_MOTION_SPECIALS = 3  # <som>, <eom>, eos around the motion tokens of a target
NOISE = (0.1, 0.4)  # share of a motion's codes that denoising finds wrong
# Raffel et al. 2020, arXiv:1910.10683, section 3.3.4.
SPAN_NOISE, SPAN_LENGTH = 0.15, 3
_WRITES_TEXT = ("m2l", "qa", "span_corruption")
_UNTOLD = ("", np.zeros((0, cues.CUE_FIELDS), np.float32))
# Of a prompt in free words: how often L2M is given it and not one of the captions.
_FREE_SHARE = 0.7
# ... and how often it is told the emotion of one.
_GUESSED_SHARE = 0.6
# How often who writes about a motion is told nothing of it.
_UNREAD_SHARE = 0.05
# Last frames of a motion that L2M is told: at least, at most. Before, up to a second of
# the motion is cut off: the corpus' faces come to rest in it, those that an edit has to
# lead to have not.
ENDING = (4, 24)
_CUT_OFF = FPS


def motion_ids(vocab: Vocab, codes) -> np.ndarray:
  """<som> motion <eom> eos."""
  return _framed(vocab, vocab.motion_to_ids(codes))


def _framed(vocab: Vocab, ids) -> np.ndarray:
  return np.concatenate([[vocab.som_id], ids, [vocab.eom_id, EOS_ID]]).astype(np.int32)


def _first(vocab: Vocab, task: str) -> list[int]:
  """What the encoder's tokens start with."""
  return [*([vocab.bos_id] if vocab.bos_id else []), vocab.task_id(task)]


def _encoder(vocab: Vocab, task: str, spans: Sequence[str], rest) -> np.ndarray:
  """`spans`: the text, in parts that a text encoder reads alone."""
  head = [*_first(vocab, task), *vocab.encode_input(*spans)]
  return np.concatenate([head, rest]).astype(np.int32)


def l2m_encoder(
  vocab: Vocab,
  prompt: str,
  num_frames: int,
  template: str | None = None,
  terms: str | None = None,
) -> np.ndarray:
  """Encoder tokens of Language2Motion; the default template is the first one.

  The prompt is a span of its own, also where it is empty: guidance's null prompt. Where
  the vocabulary reads acts, they follow as text of the T5's own, whoever reads the
  prompt: a pretrained encoder hardly tells left from right.

  Args:
    terms: the acts, in `wording.terms`; by default those read in the prompt, timed.
  """
  template = template or instructions.L2M_TRAIN[0]
  seconds = num_frames / FPS
  before, after = instructions.around_prompt(template, seconds)
  spans = [*([before] if before else []), prompt, *([after] if after else [])]
  if terms is None:
    terms = understanding.terms_of(prompt, seconds, seed=()) if prompt else ""
  told = vocab.encode_text(terms) if terms and vocab.read_acts else []
  return _encoder(vocab, "l2m", spans, [*told, EOS_ID])


def with_ending(vocab: Vocab, encoder, codes) -> np.ndarray:
  """Encoder tokens of Language2Motion, told the last `codes` of what is written."""
  shown = [vocab.extra_id(0), *vocab.motion_to_ids(codes), EOS_ID]
  return np.concatenate([encoder[:-1], shown]).astype(np.int32)


def m2l_encoder(vocab: Vocab, codes, template: str | None = None) -> np.ndarray:
  """Encoder tokens of Motion2Language."""
  template = template or instructions.M2L_TRAIN[0]
  return _encoder(vocab, "m2l", [template], motion_ids(vocab, codes))


def qa_encoder(vocab: Vocab, codes, question: str) -> np.ndarray:
  """Encoder tokens of a question about a motion."""
  return _encoder(vocab, "qa", [question], motion_ids(vocab, codes))


def l2m_example(
  vocab: Vocab,
  prompt: str,
  codes,
  template: str,
  terms: str | None = None,
  told: np.ndarray | None = None,
) -> dict:
  """`told`: the cues of the decoder; by default those of what the prompt says."""
  if told is None:
    told = prompt_cues(vocab, prompt, len(codes))
  return {
    "encoder_tokens": l2m_encoder(vocab, prompt, len(codes), template, terms),
    "decoder_targets": motion_ids(vocab, codes),
    "decoder_cues": told,
  }


def prompt_cues(
  vocab: Vocab,
  prompt: str,
  num_frames: int,
  first_frame: int = 0,
  seed: tuple[int, ...] = (),
  guess: understanding.Guess | None = None,
) -> np.ndarray:
  """The cues of what is read in a prompt of so many frames; none of the empty one.

  Args:
    first_frame: the frame that the decoder writes first.
    seed, guess: see `understanding.placed`.
  """
  if not (prompt and vocab.read_acts):
    return np.zeros((0, cues.CUE_FIELDS), np.float32)
  attributes = understanding.placed(prompt, num_frames / FPS, seed, guess)
  return cues.of(attributes, first_frame=first_frame)


def tells_acts(config) -> bool:
  """Whether who writes about a motion is told the acts that are read in it."""
  return bool(config.model.motion_cues and config.model.act_reading)


def told_acts(vocab: Vocab, attributes: dict | None) -> np.ndarray:
  """What the decoder is told before it writes about a motion, int[n].

  Args:
    attributes: the acts that are read in it (language/act_reading.py); None: nothing
      is told, but where the text begins.
  """
  terms = ""
  if attributes is not None:
    terms = wording.terms(attributes, timed=True, labels=False)
  return np.asarray([*vocab.encode_text(terms), vocab.extra_id(0)], np.int32)


def text_example(
  encoder,
  vocab: Vocab,
  text: str,
  codes,
  asked: str,
  attributes: dict | None = None,
  told: np.ndarray | None = None,
) -> dict:
  """What a motion is asked, by `m2l_encoder` or `qa_encoder`, and the text to say.

  Args:
    attributes: of the motion; the encoder is asked to read its acts.
    told: what `told_acts` returned, which is not to be learnt.
  """
  told = np.zeros(0, np.int32) if told is None else told
  targets = np.asarray([*told, *vocab.encode_text(text), EOS_ID], np.int32)
  example = {
    "encoder_tokens": encoder(vocab, codes, asked),
    "decoder_targets": targets,
    "told_tokens": len(told),
  }
  if attributes is None:
    return example
  return example | {
    "encoder_cues": cues.of(attributes),
    "motion_tokens": len(codes) + NUM_MOTION_SPECIALS,
  }


def _motion_example(vocab: Vocab, task: str, template: str, given, target) -> dict:
  """`given`: what the encoder has after the text; `target`: codes to be written."""
  text = instructions.fill(template, len(target) / FPS)
  return {
    "encoder_tokens": _encoder(vocab, task, [text], given),
    "decoder_targets": motion_ids(vocab, target),
  }


def continuation_example(vocab: Vocab, codes, cut: int, template: str) -> dict:
  """Frames [0, cut) are given, the rest is to be written."""
  given = motion_ids(vocab, codes[:cut])
  return _motion_example(vocab, "continuation", template, given, codes[cut:])


def inbetween_example(
  vocab: Vocab, codes, start: int, stop: int, template: str
) -> dict:
  """Frames [start, stop) are to be written, those around them are given."""
  ids = vocab.motion_to_ids(codes)
  given = _framed(vocab, [*ids[:start], vocab.extra_id(0), *ids[stop:]])
  return _motion_example(vocab, "inbetween", template, given, codes[start:stop])


def unconditional_example(vocab: Vocab, codes, template: str) -> dict:
  return _motion_example(vocab, "unconditional", template, [EOS_ID], codes)


def denoising_example(vocab: Vocab, codes, noisy, template: str) -> dict:
  """`noisy` is what the encoder sees of `codes`, as long as they are."""
  given = motion_ids(vocab, noisy)
  return _motion_example(vocab, "denoising", template, given, codes)


def span_corruption_example(vocab: Vocab, text: str, rng: np.random.Generator) -> dict:
  """T5's pre-training: spans of the text are left out, and are to be written."""
  ids = vocab.encode_text(text)
  encoder, targets = _first(vocab, "span_corruption"), []
  at = 0
  for index, (start, stop) in enumerate(_spans(len(ids), vocab.num_extra_ids, rng)):
    sentinel = vocab.extra_id(index)
    encoder += [*ids[at:start], sentinel]
    targets += [sentinel, *ids[start:stop]]
    at = stop
  return {
    "encoder_tokens": np.asarray([*encoder, *ids[at:], EOS_ID], np.int32),
    "decoder_targets": np.asarray([*targets, EOS_ID], np.int32),
  }


def _spans(length: int, most: int, rng) -> list[tuple[int, int]]:
  """Half-open spans, apart from each other, that cover T5's share of a text."""
  if not length:
    return []
  noise = min(max(round(length * SPAN_NOISE), 1), length)
  kept = length - noise
  count = max(min(round(noise / SPAN_LENGTH), kept + 1, most), 1)
  # Text, span, text, ... span, text: only the first and the last text may be empty.
  texts = _parts(kept + 2, count + 1, rng)
  texts[0] -= 1
  spans, at = [], 0
  for text, span in zip(texts, _parts(noise, count, rng)):
    spans.append((at + text, at + text + span))
    at += text + span
  return spans


def _read_by_the_lexicon(clip: dict) -> bool:
  """Whether the prompt says in the lexicon's words what the clip shows.

  A prompt in free words ("Her dog died this morning.") is a good prompt, but no
  description of a face.
  """
  return _said(clip["prompt"]) == lexicon.comparable(clip["attributes"])


@functools.lru_cache(maxsize=200_000)  # an epoch asks for each prompt several times
def _said(prompt: str) -> tuple:
  return lexicon.comparable(lexicon.parse(prompt))


def _parts(total: int, count: int, rng) -> list[int]:
  """`count` random lengths of at least 1 that sum to `total`."""
  cuts = np.sort(rng.permutation(total - 1)[: count - 1]) + 1
  return np.diff([0, *cuts, total]).astype(int).tolist()


def clip_texts(clip: dict) -> list[str]:
  """All that is said of a clip."""
  return [clip["prompt"], *clip["captions"]]


def attributes_key(attributes: dict) -> int:
  """A number that is the same for all clips of which a text says the same."""
  return zlib.crc32(repr(lexicon.comparable(attributes)).encode()) & 0x7FFFFFFF


def texts(
  rates: Mapping[str, float], clips: Sequence[dict], most: int, read_acts: bool = False
) -> list[str]:
  """What a vocabulary is trained on: captions, training wordings, answers.

  Args:
    rates: see Mixture; a task with rate 0 adds nothing.
    clips: see Mixture.draw.
    most: the most captions, and the most answers.
    read_acts: whether prompts are followed by their acts.
  """
  used = [task for task in TASKS if rates.get(task, 0.0) > 0]
  captions = [text for clip in clips for text in clip_texts(clip)]
  found = captions[:most] + instructions.training_texts(used)
  if read_acts and "l2m" in used:
    found += [wording.terms(clip["attributes"], True) for clip in clips[:most]]
  if "qa" in used:
    kinds = question_wordings.QUESTION_KINDS
    found += [
      questions.answer(kinds[i % len(kinds)], clip["attributes"])
      for i, clip in enumerate(clips[:most])
    ]
  return found


@dataclasses.dataclass(frozen=True)
class Mixture:
  """Which tasks an epoch has, how often and how much they count.

  Attributes:
    rates: task -> examples of each clip in an epoch; 0.5 is every other clip.
    split: whose wordings are used.
    motion_weight, text_weight: of the loss, where motion and where text is written.
    prompt_dropout: share of L2M's prompts left empty, from which the model learns the
      motion of no prompt that guidance leads away from; cues stay.
    num_phases: motions are cut where a frame of the tokenizer's first phase begins.
    reword: share of L2M's prompts that are put in other words (rewording.py).
    disturb: share of these prompts, and of questions, in which words that say nothing
      about the face are changed.
    acts_dropout: share of L2M's prompts that no acts follow, words alone must do; as
      many again are followed by acts without times, and as many have their times in
      the decoder's cues alone.
    told_ending: share of L2M's motions whose last frames the encoder is told, so that
      the model learns to lead into what comes after.
    encoder_length: of a row; an ending that finds no room in it is not told.
    tells_acts: whether who writes about a motion is told the acts that are read in it.
    decoder_length: of a row; acts that find no room in it are not told.
  """

  rates: Mapping[str, float]
  split: str = "train"
  motion_weight: float = 1.0
  text_weight: float = 1.0
  prompt_dropout: float = 0.0
  num_phases: int = 1
  reword: float = 0.0
  disturb: float = 0.0
  acts_dropout: float = 0.0
  told_ending: float = 0.0
  encoder_length: float = math.inf
  tells_acts: bool = False
  decoder_length: float = math.inf

  def __post_init__(self):
    for task, rate in self.rates.items():
      if task not in TASKS:
        raise UserError(f"config.task_rates.{task}: no such task; there are {TASKS}")
      if not 0 <= rate < math.inf:
        raise UserError(f"config.task_rates.{task}: {rate:g}; give 0 (never) or more")
    if not any(self.rates.values()):
      raise UserError("config.task_rates: all are 0; give one task a rate above 0")

  def draw(
    self, vocab: Vocab, clips: Sequence[dict], rng: np.random.Generator
  ) -> list[dict]:
    """One epoch's examples.

    Args:
      clips: dicts of codes int[T], prompt str, captions list[str], attributes dict;
        of those that are `heard_only`, only text is learnt.
    """
    examples = []
    for clip in clips:
      for task in TASKS:  # not in the order in which a config names them
        rate = self.rates.get(task, 0.0)
        if clip.get("heard_only") and task not in _WRITES_TEXT:
          continue
        for _ in range(int(rate) + (rng.random() < rate % 1)):
          example = self._example(vocab, task, clip, rng)
          writes_motion = example["decoder_targets"][0] == vocab.som_id
          weight = self.motion_weight if writes_motion else self.text_weight
          examples.append(example | {"weight": weight})
    return examples

  def _example(self, vocab: Vocab, task: str, clip: dict, rng) -> dict:
    """A random example of the task."""
    pick = lambda options: options[int(rng.integers(len(options)))]
    codes, captions = clip["codes"], list(clip["captions"])
    free = bool(captions) and not _read_by_the_lexicon(clip)
    texts = captions if free else clip_texts(clip)
    if task == "span_corruption":
      return span_corruption_example(vocab, pick(clip_texts(clip)), rng)
    if task == "qa":
      kind = pick(question_wordings.QUESTION_KINDS)
      question = question_wordings.asked(kind, self.split, rng)
      if self.disturb and rng.random() < self.disturb:
        question = rewording.disturbed(question, rng)
      answer = questions.answer(kind, clip["attributes"])
      return self._text_example(qa_encoder, vocab, answer, clip, question, rng)
    template = pick(instructions.templates(task, self.split))
    if task == "l2m":
      prompt = "" if rng.random() < self.prompt_dropout else pick(texts)
      prompt, *told = self._asked(vocab, clip, prompt, free, rng)
      if self.told_ending and rng.random() < self.told_ending:
        return self._ended_example(vocab, prompt, codes, template, told, rng)
      return l2m_example(vocab, prompt, codes, template, *told)
    if task == "m2l":
      return self._text_example(m2l_encoder, vocab, pick(texts), clip, template, rng)
    if task == "continuation":
      (cut,) = self._cuts(len(codes), 1, rng)
      return continuation_example(vocab, codes, cut, template)
    if task == "inbetween":
      return inbetween_example(vocab, codes, *self._cuts(len(codes), 2, rng), template)
    if task == "denoising":
      return denoising_example(vocab, codes, self._noisy(vocab, codes, rng), template)
    return unconditional_example(vocab, codes, template)

  def _asked(
    self, vocab: Vocab, clip: dict, prompt: str, free: bool, rng
  ) -> tuple[str, str, np.ndarray]:
    """L2M's prompt as it is put, and what `_told` says beside it."""
    told = self._told(clip, prompt, free, rng) if vocab.read_acts else _UNTOLD
    if not prompt:  # what guidance leads away from: cues alone, or nothing at all
      return "", "", told[1]
    if free and rng.random() < _FREE_SHARE:
      # No word may go: the lexicon cannot say which of them carries the meaning.
      if vocab.read_acts:
        told = self._told(clip, clip["prompt"], True, rng)
      return clip["prompt"], *told
    if self.reword and rng.random() < self.reword:
      prompt = rewording.reworded(prompt, rng)
    if self.disturb and rng.random() < self.disturb:
      prompt = rewording.disturbed(prompt, rng)
    return prompt, *told

  def _ended_example(self, vocab, prompt, codes, template, told, rng) -> dict:
    """An example of L2M, told the last frames of its motion, which may end early."""
    cut_off = int(rng.integers(min(_CUT_OFF, len(codes) // 4) + 1))
    shown = int(rng.integers(ENDING[0], ENDING[1] + 1))
    codes = codes[: len(codes) - cut_off]
    example = l2m_example(vocab, prompt, codes, template, *told)
    tokens = with_ending(vocab, example["encoder_tokens"], codes[-shown:])
    if len(tokens) > self.encoder_length:
      return example
    return example | {"encoder_tokens": tokens}

  def _told(self, clip: dict, prompt: str, free: bool, rng) -> tuple[str, np.ndarray]:
    """The terms that follow a prompt, and the decoder's cues.

    Of free words only what is read in them, and often the emotion, which is guessed in
    use (language/free_words.py).
    """
    draw = rng.random()
    if draw < self.acts_dropout:
      return _UNTOLD
    timed, names = draw >= 2 * self.acts_dropout, None
    attributes = clip["attributes"]
    if free:
      read = lexicon.parse(prompt, len(clip["codes"]) / FPS)
      names = [act.name for act in acts_lib.acts_of(read)]
      if rng.random() < _GUESSED_SHARE:
        names += [a.name for a in acts_lib.acts_of(attributes) if a.emotion]
      attributes = attributes | {key: read[key] for key in ("speaking", "manner")}
    # Where a motion is made in windows, cues alone say when.
    without_times = draw >= 1 - self.acts_dropout
    told = cues.of(attributes, names) if timed else _UNTOLD[1]
    return wording.terms(attributes, timed and not without_times, names), told

  def _text_example(self, encoder, vocab, text: str, clip: dict, asked: str, rng):
    """`text_example`, told what is read in the clip's motion, if it finds room."""
    about = (encoder, vocab, text, clip["codes"], asked, clip["attributes"])
    example = text_example(*about, self._told_acts(vocab, clip, rng))
    if len(example["decoder_targets"]) <= self.decoder_length:
      return example
    return text_example(*about, told_acts(vocab, None))

  def _told_acts(self, vocab: Vocab, clip: dict, rng) -> np.ndarray | None:
    """What is read in a clip's motion, not always rightly, and seldom nothing."""
    if not self.tells_acts:
      return None
    if rng.random() < _UNREAD_SHARE:
      return told_acts(vocab, None)
    seen = act_reading.visible(clip["attributes"])
    return told_acts(vocab, act_reading.misread(seen, rng))

  def _cuts(self, num_frames: int, count: int, rng) -> list[int]:
    """Ascending multiples of num_phases inside the motion; 0 where there are none."""
    places = np.arange(self.num_phases, num_frames, self.num_phases)
    cuts = np.sort(rng.permutation(places)[:count]).tolist()
    return [0] * (count - len(cuts)) + cuts

  def _noisy(self, vocab: Vocab, codes, rng) -> np.ndarray:
    """The codes with some of them wrong, of the right phase."""
    per_phase = vocab.num_codes // self.num_phases
    codes = np.asarray(codes)
    wrong = codes // per_phase * per_phase + rng.integers(per_phase, size=len(codes))
    return np.where(rng.random(len(codes)) < rng.uniform(*NOISE), wrong, codes)
