"""A trained run, ready to use: sentences to motions and motions to sentences.

import tdmm_jax
face = tdmm_jax.load("release")
motion = face.generate("A woman looks very happy, nodding.", seconds=4)
print(face.describe(motion))
motion.save("smile.npz")
motion.save("smile.mp4")
"""

import functools
import json
import pathlib
from collections.abc import Collection, Iterator, Mapping, Sequence

import jax
import ml_collections
import numpy as np

from tdmm_jax import vocab as vocab_lib
from tdmm_jax.codec import motion_codec
from tdmm_jax.data import tasks
from tdmm_jax.decoding import beam, constraints, sample, streaming
from tdmm_jax.errors import UserError
from tdmm_jax.export import save  # noqa: F401 (gives motions their `save`)
from tdmm_jax.face import motion_vector
from tdmm_jax.face.motion import FaceMotion
from tdmm_jax.generate import blinks, editing, joins, windows
from tdmm_jax.generate import takes as takes_lib
from tdmm_jax.language import (
  cues,
  free_words,
  instructions,
  lexicon,
  questions,
  subjects,
  timeline,
  unanswerable,
  understanding,
)
from tdmm_jax.models import bert, t5, t5_layouts
from tdmm_jax.runs import checkpoints, locate

MAX_BEAMS = 64
_BATCH = 16
_ENCODER_MULTIPLE = 32
_CUES_MULTIPLE = 8


class Face:
  """Tokenizer and language model of one run directory.

  Attributes:
    name: what it was loaded from.
    codec: the tokenizer, with the face model (`codec.face`).
    config, vocab, model, params: the language model.
    text_encoder: the version of its pretrained text encoder; None without one.
    version: changes when anything that a motion depends on does.
  """

  def __init__(self, run_dir):
    run_dir = pathlib.Path(run_dir)
    if not run_dir.is_dir():
      raise UserError(f"{run_dir}: no such run directory; make one with `make train`")
    self.name = str(run_dir)
    workdir = run_dir / locate.LANGUAGE_MODEL
    if not checkpoints.has_checkpoint(workdir):
      raise UserError(
        f"{run_dir}: no trained language model in {workdir}; run `make train`, or "
        "train one with `python -m tdmm_jax.train --config configs/lm_demo.py`"
      )
    stored = checkpoints.read_json(workdir / checkpoints.CONFIG_FILE)
    # Runs from before there was a choice do not name their conditioning, nor a T5Gemma.
    before = {"conditioning": "words", "t5gemma_sizes": {}}
    config = before | stored["config"]
    self.config = ml_collections.ConfigDict(config)
    self.codec = motion_codec.load(run_dir / locate.TOKENIZER)
    if stored["versions"]["tokenizer"] != self.codec.version:
      raise UserError(
        f"{run_dir}: the language model speaks tokenizer version "
        f"{stored['versions']['tokenizer']}, but {run_dir / locate.TOKENIZER} is "
        f"version {self.codec.version}; train the language model again"
      )
    self.vocab = vocab_lib.load(workdir)
    self.text_encoder = stored["versions"].get("text_encoder")
    restored = checkpoints.restore_model(workdir)
    self.model, self.params = t5_layouts.unscanned(
      t5.build_t5(self.config, self.vocab),
      t5.whole(restored["params"], restored["collections"]),
    )
    identity = json.dumps([stored, restored["step"]], sort_keys=True)
    self.version = checkpoints.short_hash(identity)

  @classmethod
  def assemble(cls, config, codec, vocab, model, params) -> "Face":
    """Builds a Face from parts that are already in memory: a run in training."""
    face = cls.__new__(cls)
    face.name = face.version = "training"
    face.config, face.codec, face.vocab = config, codec, vocab
    face.text_encoder = None
    face.model, face.params = t5_layouts.unscanned(model, params)
    return face

  @functools.cached_property
  def shared_params(self):
    """`params` for sample.decode, which takes them under this name."""
    return sample.shared(self.params)

  @property
  def max_seconds(self) -> float:
    """The longest motion, in seconds, that it reads at once or makes in one window."""
    return self.config.max_frames / tasks.FPS

  @property
  def answers_questions(self) -> bool:
    """Whether it was trained with questions about a motion."""
    return "qa" in self.vocab.tasks and self.config.task_rates.qa > 0

  def generate(
    self,
    prompt: str,
    seconds: float = 4.0,
    seed: int = 0,
    temperature: float = 1.0,
    top_p: float = 0.9,
    guidance: float | None = None,
    top_k: int = 0,
    repetition_penalty: float = 1.0,
    takes: int = 1,
  ) -> FaceMotion:
    """Generates a motion that acts the prompt out, seconds · 25 frames long.

    Args:
      prompt: what the face does.
      seconds: 0.04 to 600.
      seed: the same seed gives the same motion, another seed another one.
      temperature: 0 takes the likeliest token each time.
      top_p: samples from the likeliest tokens that together have this probability.
      guidance: scale of classifier-free guidance: 1 is none, higher follows the prompt
        more closely; by default the run's own (`config.guidance`).
      top_k: samples from this many likeliest tokens only; 0 is no limit.
      repetition_penalty: above 1, tokens that have already occurred become less likely.
      takes: so many are made, and the one that does most of what the prompt says, by
        geometry, is kept (`generate.takes`).

    Raises:
      UserError: see `check_request`.
    """
    takes_lib.check(takes)
    options = (temperature, top_p, guidance, top_k, repetition_penalty)
    settings, frames = self.sampling(*options), self.check_request(prompt, seconds)
    codes = {}
    requests = ([prompt] * takes, [frames] * takes)
    for batch in self.generate_batches(*requests, seed, settings):
      codes |= batch
    motions = self.motions_of(dict(sorted(codes.items())), requests[0], seed)
    return takes_lib.best(self.codec.face, motions, prompt)

  def timeline_codes(
    self, segments: str | Sequence[timeline.Segment], seed: int = 0, **sampling
  ) -> np.ndarray:
    """The motion codes int32[T] of `timeline`."""
    spans = windows.spans_of(segments, self.check_request)
    return self._fill(windows.free(spans[-1].stop), spans, seed, sampling)

  def timeline(
    self, segments: str | Sequence[timeline.Segment], seed: int = 0, **sampling
  ) -> FaceMotion:
    """Generates one seamless motion that acts out several prompts, each in its time.

    Args:
      segments: such as "0-3: a slight smile; 3-7: surprise, nodding".
      sampling: temperature, top_p, guidance, top_k, repetition_penalty of `generate`.

    Raises:
      UserError: the timeline has gaps or overlaps, or runs backwards.
    """
    spans = windows.spans_of(segments, self.check_request)
    codes = self._fill(windows.free(spans[-1].stop), spans, seed, sampling)
    return self.decode(codes, spans, seed)

  def stream(
    self, prompt: str, seconds: float | None = 4.0, seed: int = 0, **sampling
  ) -> Iterator[FaceMotion]:
    """Yields the frames of `generate` or `timeline` while tokens are being made.

    Args:
      prompt: as in `generate`; with `seconds` None, a timeline.
      sampling: as in `timeline`.

    Yields:
      motions of a few frames; joined, they are what `generate` or `timeline` returns.
    """
    if seconds is None:
      spans = windows.spans_of(prompt, self.check_request)
    else:
      frames = self.check_request(prompt, seconds)
      spans = [windows.Span(0, frames, frames, prompt)]
    key = sample.row_keys(jax.random.key(seed), 1)[0]
    known, sampling = windows.free(spans[-1].stop), self.sampling(**sampling)
    codes = windows.stream_codes(self, known, spans, key, sampling)
    frames = streaming.frame_stream(self.codec, codes, windows.PIECE)
    joined = joins.follow(frames, windows.changes(spans), self.codec.std_P)
    for vectors in blinks.follow(joined, spans, self.codec.face.name, (seed, 0)):
      yield motion_vector.to_motion(vectors, self.codec.face.name)

  def edit(
    self,
    motion: FaceMotion,
    prompt: str,
    start: int,
    stop: int,
    seed: int = 0,
    where: str = "motion",
    **sampling,
  ) -> FaceMotion:
    """Makes frames start .. stop - 1 of a motion anew and copies all others.

    Args:
      prompt: what the face does in these frames.
      where: what an error calls the motion.
      sampling: as in `timeline`.

    Raises:
      UserError: the frames are outside the motion; see also `check_request`.
    """
    editing.check_frames(motion, start, stop)
    self.check_request(prompt, (stop - start) / tasks.FPS)
    codes = np.array(self.codec.encode([motion], where)[0])
    codes[start:stop] = constraints.FREE
    spans = [windows.Span(start, stop, motion.num_frames, prompt)]
    return self._splice(motion, codes, spans, seed, sampling)

  def extend(
    self,
    motion: FaceMotion,
    seconds: float = 4.0,
    prompt: str | None = None,
    seed: int = 0,
    where: str = "motion",
    **sampling,
  ) -> FaceMotion:
    """Copies the motion and adds `seconds` to its end.

    Args:
      prompt: what comes next; by default what `describe` says about the motion's end.
      where: what an error calls the motion.
      sampling: as in `timeline`.

    Raises:
      UserError: see `check_request`.
    """
    frames = self.check_request("Go on." if prompt is None else prompt, seconds)
    codes = self.codec.encode([motion], where)[0]
    if prompt is None:
      prompt = self.describe_codes([codes[-self.config.max_frames :]])[0]
    total = motion.num_frames + frames
    spans = [windows.Span(motion.num_frames, total, total, prompt)]
    codes = np.concatenate([codes, windows.free(frames)])
    return self._splice(editing.hold(motion, frames), codes, spans, seed, sampling)

  def _splice(self, motion, codes, spans, seed, sampling) -> FaceMotion:
    span = spans[0]
    decoded = self.decode(self._fill(codes, spans, seed, sampling))
    made = editing.splice(motion, decoded, span.start, span.stop, self.codec.std_P)
    return blinks.added(made, spans, (seed, 0))

  def _fill(self, codes, spans, seed: int, sampling: dict) -> np.ndarray:
    """The codes, those of the spans drawn."""
    key = sample.row_keys(jax.random.key(seed), 1)[0]
    return windows.fill(self, codes, spans, key, self.sampling(**sampling))

  def describe(
    self,
    motion: FaceMotion,
    question: str | None = None,
    num_beams: int = 1,
    where: str = "motion",
    stops: Sequence[int] | None = None,
    subject: str = subjects.NEUTRAL,
  ) -> str:
    """Returns a sentence about what the face does, or the answer to a question.

    A motion longer than `max_seconds` is read in parts of one length, whose sentences
    are joined by " · ".

    Args:
      num_beams: 1 is greedy; more searches for a likelier sentence.
      where: what an error calls the motion.
      stops: where its parts end, frames; by default they are as few as can be.
      subject: who it is, "the woman" or a name; a motion does not tell.

    Raises:
      UserError: the motion uses another face model.
    """
    parts = windows.parts(motion, self.config.max_frames, stops)
    codes = self.codec.encode(parts, where)
    texts = self.say(codes, question, num_beams, subject)
    return " · ".join(texts if unanswerable.answer(question) is None else texts[:1])

  def say(
    self,
    codes: Sequence[np.ndarray],
    question: str | None = None,
    num_beams: int = 1,
    subject: str = subjects.NEUTRAL,
  ) -> list[str]:
    """`describe_codes` for people: about this subject, and of one mind.

    What is asked about an emotion is answered from the caption, so that the two agree.
    """
    kind = questions.about_emotion(question) if self._answers(question) else None
    texts = self.describe_codes(codes, None if kind else question, num_beams)
    if kind:
      texts = [questions.answer(kind, lexicon.parse(text)) for text in texts]
    return [subjects.addressed(text, subject) for text in texts]

  def encode(self, motion: FaceMotion) -> np.ndarray:
    """Returns the motion's tokens int32[T], one a frame, in 0 .. codec.num_codes - 1.

    Raises:
      UserError: the motion uses another face model.
    """
    return self.codec.encode([motion])[0]

  def decode(
    self, codes: np.ndarray, spans: Sequence[windows.Span] = (), seed: int = 0
  ) -> FaceMotion:
    """The motion of tokens int[T]; neutral identity.

    Args:
      spans: of generated tokens, what was asked for in which frames: prompts are joined
        (see joins.follow), and eyes blink (see blinks.follow).
      seed: of the blinks.
    """
    (vectors,) = self.codec.decode_vectors([codes])
    joined = joins.follow([vectors], windows.changes(spans), self.codec.std_P)
    pieces = blinks.follow(joined, spans, self.codec.face.name, (seed, 0))
    return motion_vector.to_motion(np.concatenate(list(pieces)), self.codec.face.name)

  def motions_of(
    self, codes: Mapping[int, np.ndarray], prompts: Sequence[str], seed: int = 0
  ) -> list[FaceMotion]:
    """The motions of what `generate_batches` yields, with blinks (blinks.follow).

    Args:
      codes: int[T] by request number.
      prompts, seed: those of the requests.
    """
    motions, made = self.codec.decode(list(codes.values())), []
    for i, motion in zip(codes, motions, strict=True):
      spans = [windows.Span(0, motion.num_frames, motion.num_frames, prompts[i])]
      made.append(blinks.added(motion, spans, (seed, i)))
    return made

  def check_request(self, prompt: str, seconds: float) -> int:
    """Checks a request and returns its number of frames.

    Raises:
      UserError: the prompt is empty or too long, or the duration is out of range.
    """
    if not prompt.strip():
      raise UserError('prompt: empty; say what the face does, e.g. "She smiles."')
    pieces = len(self.vocab.encode_input(prompt))
    if pieces > self.config.max_prompt_pieces:
      raise UserError(
        f"prompt: {pieces} text pieces, the limit is {self.config.max_prompt_pieces}; "
        "shorten it"
      )
    frames = round(seconds * tasks.FPS) if np.isfinite(seconds) else -1
    if not 1 <= frames <= windows.MAX_SECONDS * tasks.FPS:
      raise UserError(
        f"seconds {seconds:g}: out of range; choose {1 / tasks.FPS:g} to "
        f"{windows.MAX_SECONDS:g} s"
      )
    return frames

  def sampling(
    self,
    temperature: float = 1.0,
    top_p: float = 0.9,
    guidance: float | None = None,
    top_k: int = 0,
    repetition_penalty: float = 1.0,
  ) -> sample.Sampling:
    """Packs options of `generate` for decoding; UserError if one is out of range."""
    guidance = self.config.guidance if guidance is None else guidance
    return sample.Sampling(temperature, top_k, top_p, guidance, repetition_penalty)

  def generate_codes(
    self,
    prompts: Sequence[str],
    seconds: Sequence[float],
    seed: int = 0,
    temperature: float = 1.0,
    **sampling,
  ) -> list[np.ndarray]:
    """Motion codes int32[T] for each prompt; exactly seconds · 25 frames each.

    `sampling`: top_p, guidance, top_k, repetition_penalty of `generate`.
    """
    settings = self.sampling(temperature, **sampling)
    frames = [self.check_request(p, s) for p, s in zip(prompts, seconds, strict=True)]
    batches = self.generate_batches(prompts, frames, seed, settings)
    codes = {i: c for batch in batches for i, c in batch.items()}
    return [codes[i] for i in range(len(prompts))]

  def generate_batches(
    self,
    prompts: Sequence[str],
    frames: Sequence[int],
    seed: int,
    sampling: sample.Sampling,
    skip: Collection[int] = (),
    fixed: Sequence[np.ndarray] | None = None,
  ) -> Iterator[dict[int, np.ndarray]]:
    """Codes int32[T] by request number, a batch at a time.

    Requests of similar lengths share a batch, whose content does not depend on `skip`,
    and a request's randomness depends on its number alone, so a resumed job makes the
    same motions.

    Args:
      frames: of each request, as `check_request` gives them.
      skip: request numbers that are not needed; a batch of only these is not made.
      fixed: codes int[T] of each request, constraints.FREE where one is to be drawn; by
        default all are.
    """
    keys = sample.row_keys(jax.random.key(seed), len(prompts))
    order = sorted(range(len(frames)), key=lambda i: frames[i])
    short = [i for i in order if frames[i] <= self.config.max_frames]
    for start in range(0, len(short), _BATCH):
      group = short[start : start + _BATCH]
      if set(group) <= set(skip):
        continue
      filled = group + group[-1:] * (_BATCH - len(group)) if len(short) > 1 else group
      lengths = [frames[i] for i in filled]
      encoder, low, high, told = self.request_tokens(
        [prompts[i] for i in filled],
        lengths,
        sampling,
        keys[np.array(filled)],
        None if fixed is None else [fixed[i] for i in filled],
      )
      tokens = sample.decode(
        self.model,
        self.params,
        *(encoder, low, high),
        keys[np.array(filled)],
        sampling,
        self.shared_params if len(filled) > 1 else None,
        told,
      )
      rows = zip(group, np.asarray(tokens), lengths, strict=False)
      yield {i: self.vocab.ids_to_motion(row[1 : n + 1]) for i, row, n in rows}
    for i in order[len(short) :]:
      if i not in skip:
        spans = [windows.Span(0, frames[i], frames[i], prompts[i])]
        known = windows.free(frames[i]) if fixed is None else fixed[i]
        yield {i: windows.fill(self, known, spans, keys[i], sampling)}

  def guess(self, prompt: str) -> free_words.Guess | None:
    """What a prompt that names no emotion asks for, if the run's text encoder can tell.

    None leaves it to the prompt's words alone (language/free_words.py).
    """
    if self.text_encoder != free_words.encoder() or understanding.names_emotion(prompt):
      return None
    words = self.vocab.wordpieces.encode(prompt)
    words_1S = np.full((1, -(-len(words) // 16) * 16), -1, np.int32)
    words_1S[0, : len(words)] = words
    params = self.params[t5.TEXT_ENCODER]
    vectors_1D = _sentence_vectors(self.model.text_sizes, params, words_1S)
    return free_words.guess(prompt, np.asarray(vectors_1D[0]))

  def understand(
    self, prompt: str, seconds: float = 4.0
  ) -> understanding.Understanding:
    """What is understood of a prompt, in words, and where it is doubtful."""
    return understanding.understand(prompt, seconds, self.guess(prompt))

  def request_tokens(
    self,
    prompts: Sequence[str],
    frames: Sequence[int],
    sampling: sample.Sampling,
    keys_B,
    fixed: Sequence[np.ndarray] | None = None,
    inside: tuple[int, int] | None = None,
  ):
    """What `sample.decode` is given: encoder tokens [B or 2B, M], low, high [B, L] ...

    ... and cues [B or 2B, N, F], None for a model that hears none.

    Args:
      keys_B: PRNG keys of the requests, which choose when acts happen.
      inside: (frames of the whole that a prompt is for, which of them comes first), if
        it is for more, or for fewer, than its frames here.
    """
    rows, told, unguided = [], [], []
    for prompt, n, key in zip(prompts, frames, keys_B, strict=True):
      seed = tuple(jax.random.key_data(key).tolist())
      total, first = inside or (n, 0)
      whole = inside == (n, 0) or fixed is None
      times = seed if whole else None
      guess, seconds, terms = self.guess(prompt), total / tasks.FPS, ""
      if self.vocab.read_acts:
        terms = understanding.terms_of(prompt, seconds, times, guess)
      elif prompt:
        prompt = understanding.in_known_words(prompt, seconds)
      rows.append(tasks.l2m_encoder(self.vocab, prompt, n, terms=terms))
      # Away from a motion of no prompt "no smile" leads to a smile.
      denies = prompt and self.vocab.read_acts and understanding.denies(prompt)
      other = rows[-1] if denies else tasks.l2m_encoder(self.vocab, "", n)
      unguided.append(other)
      # Codes that are fixed here and there know better when something happens.
      known = prompt if whole or inside else ""
      told.append(tasks.prompt_cues(self.vocab, known, total, first, seed, guess))
    if sampling.guidance != 1.0:
      rows += unguided
      told += told  # words are what is guided by: cues say all there is to say of when
    length = self.config.max_frames + tasks.NUM_MOTION_SPECIALS
    limits = constraints.exact_motion(
      self.vocab, frames, length, self.codec.num_phases, fixed
    )
    if not self.model.motion_cues:
      return _padded(rows), *limits, None
    most = -(-max(map(len, told)) // _CUES_MULTIPLE) * _CUES_MULTIPLE
    cues_BNF = np.stack([cues.padded(each, max(most, 1)) for each in told])
    return _padded(rows), *limits, cues_BNF

  def generate_many(self, prompts, seconds, seed=0, **sampling) -> list[FaceMotion]:
    """FaceMotions of prompts, in batches; see `generate_codes`."""
    codes = self.generate_codes(prompts, seconds, seed, **sampling)
    return self.motions_of(dict(enumerate(codes)), prompts, seed)

  def _answers(self, question: str | None) -> bool:
    """Whether it is a question that the run was trained to answer.

    A request for a caption, and any question to a run that was trained without
    questions, is an instruction of Motion2Language.
    """
    asked = question and not instructions.captions_asked_for(question)
    return bool(asked) and self.answers_questions

  def describe_codes(
    self,
    codes: Sequence[np.ndarray],
    question: str | None = None,
    num_beams: int = 1,
  ) -> list[str]:
    """One sentence for each motion, greedily decoded or by beam search.

    A question that no motion can answer (the eyes' colour) is answered so.
    """
    if not 1 <= num_beams <= MAX_BEAMS:
      raise UserError(
        f"num_beams {num_beams}: out of range; give 1 (greedy) to {MAX_BEAMS}"
      )
    if refusal := unanswerable.answer(question):
      return [refusal] * len(codes)
    ask = tasks.qa_encoder if self._answers(question) else tasks.m2l_encoder
    encoders = [ask(self.vocab, c, question) for c in codes]
    longest = max(len(encoder) for encoder in encoders)
    texts = []
    for start in range(0, len(encoders), _BATCH):
      group = encoders[start : start + _BATCH]
      if len(encoders) > 1:
        group = group + group[-1:] * (_BATCH - len(group))
      limits = constraints.text_only(
        self.vocab, len(group), self.config.max_caption_pieces
      )
      inputs = (self.model, self.params, _padded(group, longest), *limits)
      if num_beams == 1:
        shared = self.shared_params if len(group) > 1 else None
        tokens = sample.decode(*inputs, jax.random.key(0), shared_params=shared)
      else:
        tokens, _ = beam.decode(*inputs, num_beams=num_beams)
      texts += [self.vocab.decode_text(row) for row in np.asarray(tokens)]
    return texts[: len(codes)]


_sentence_vectors = jax.jit(bert.sentence_vectors, static_argnums=0)


def _padded(rows: Sequence[np.ndarray], longest: int = 0) -> np.ndarray:
  """int32[rows, width], 0 = padding; few widths, so that little is compiled."""
  longest = max(longest, *map(len, rows))
  width = -(-longest // _ENCODER_MULTIPLE) * _ENCODER_MULTIPLE
  tokens = np.zeros((len(rows), width), np.int32)
  for row, encoder in zip(tokens, rows, strict=True):
    row[: len(encoder)] = encoder
  return tokens
