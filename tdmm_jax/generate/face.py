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
from collections.abc import Iterator, Mapping, Sequence

import jax
import ml_collections
import numpy as np

from tdmm_jax import files
from tdmm_jax import vocab as vocab_lib
from tdmm_jax.codec import motion_codec
from tdmm_jax.data import tasks
from tdmm_jax.decoding import constraints, sample, streaming
from tdmm_jax.errors import UserError
from tdmm_jax.export import save  # noqa: F401 (gives motions their `save`)
from tdmm_jax.face import at_rest, motion_vector
from tdmm_jax.face.motion import FaceMotion
from tdmm_jax.generate import (
  batch,
  blinks,
  describe,
  editing,
  emotions,
  finishing,
  inputs,
  keeping,
  reading,
  windows,
)
from tdmm_jax.generate import keys as keys_lib
from tdmm_jax.generate import takes as takes_lib
from tdmm_jax.language import (
  caption_words,
  subjects,
  timeline,
  unanswerable,
  understanding,
)
from tdmm_jax.models import t5, t5_layouts
from tdmm_jax.runs import checkpoints, locate


class Face:
  """Tokenizer and language model of one run directory.

  Motions of another head that the package ships are carried over to the run's, with a
  warning; those of any other face model are refused.

  Attributes:
    name: what it was loaded from.
    codec: the tokenizer, with the face model (`codec.face`).
    config, vocab, model, params: the language model.
    text_encoder: the version of its pretrained text encoder; None without one.
    heard_simulation: whether it was trained on simulated clips, and their captions.
    version: changes when anything that a motion depends on does.
  """

  def __init__(self, run_dir):
    run_dir = files.as_path(run_dir)
    if not files.is_folder(run_dir):
      raise UserError(f"{run_dir}: no such run directory; make one with `make train`")
    self.name = str(run_dir)
    workdir = run_dir / locate.LANGUAGE_MODEL
    if not checkpoints.has_checkpoint(workdir):
      raise UserError(
        f"{run_dir}: no trained language model in {workdir}; run `make train`, or "
        "train one with `python -m tdmm_jax.train --config configs/lm_demo.py`"
      )
    stored = checkpoints.read_json(workdir / checkpoints.CONFIG_FILE)
    # Runs from before there was a choice do not say what they chose.
    before = {"conditioning": "words", "t5gemma_sizes": {}, "told_ending": 0.0}
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
    self.heard_simulation = "simulator" in stored["versions"]
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
    face.text_encoder, face.heard_simulation = None, False
    face.model, face.params = t5_layouts.unscanned(model, params)
    return face

  @functools.cached_property
  def shared_params(self):
    """`params` for sample.decode, which takes them under this name."""
    return sample.shared(self.params)

  @functools.cached_property
  def caption_words(self) -> constraints.Words | None:
    """The words it writes captions in; None where its captions are not known."""
    if not self.heard_simulation or self.vocab.bos_id:
      return None
    return constraints.words_of(self.vocab, caption_words.load())

  @property
  def max_seconds(self) -> float:
    """The longest motion, in seconds, that it reads at once or makes in one window."""
    return self.config.max_frames / tasks.FPS

  @property
  def answers_questions(self) -> bool:
    """Whether it was trained with questions about a motion."""
    return "qa" in self.vocab.tasks and self.config.task_rates.qa > 0

  @property
  def knows_endings(self) -> bool:
    """Whether it was taught to lead into what comes after (config.told_ending)."""
    return self.config.told_ending > 0

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
    keys: Sequence[keys_lib.Key | tuple[float, FaceMotion | str]] = (),
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
      keys: poses that it meets: (seconds, pose), where a pose is one frame of a motion,
        "neutral" or a few words, "eyes closed" (`generate.keys`).

    Raises:
      UserError: see `check_request`; of keys, see `generate.keys.posed`.
    """
    takes_lib.check(takes)
    posed = keys_lib.posed(self, keys, self.check_request(prompt, seconds))
    motions = self.generate_many(
      [prompt] * takes,
      [seconds] * takes,
      seed,
      temperature=temperature,
      top_p=top_p,
      guidance=guidance,
      top_k=top_k,
      repetition_penalty=repetition_penalty,
    )
    led = [keys_lib.lead(motion, posed, self.codec.std_P) for motion in motions]
    return takes_lib.best(self.codec.face, led, prompt)

  def timeline_codes(
    self, segments: str | Sequence[timeline.Segment], seed: int = 0, **sampling
  ) -> np.ndarray:
    """The motion codes int32[T] of `timeline`."""
    spans = windows.spans_of(segments, self.check_request)
    return self._fill(windows.free(spans[-1].stop), spans, seed, sampling)

  def timeline(
    self,
    segments: str | Sequence[timeline.Segment],
    seed: int = 0,
    keys: Sequence[keys_lib.Key | tuple[float, FaceMotion | str]] = (),
    **sampling,
  ) -> FaceMotion:
    """Generates one seamless motion that acts out several prompts, each in its time.

    Args:
      segments: such as "0-3: a slight smile; 3-7: surprise, nodding".
      keys: as in `generate`.
      sampling: temperature, top_p, guidance, top_k, repetition_penalty of `generate`.

    Raises:
      UserError: the timeline has gaps or overlaps, or runs backwards; of keys, see
        `generate.keys.posed`.
    """
    spans = windows.spans_of(segments, self.check_request)
    posed = keys_lib.posed(self, keys, spans[-1].stop)
    codes = self._fill(windows.free(spans[-1].stop), spans, seed, sampling)
    return keys_lib.lead(self.decode(codes, spans, seed), posed, self.codec.std_P)

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
    for vectors in finishing.finished(self, frames, spans, seed):
      yield motion_vector.to_motion(vectors, self.codec.face.name)

  def edit(
    self,
    motion: FaceMotion,
    prompt: str,
    start: int = 0,
    stop: int | None = None,
    seed: int = 0,
    where: str = "motion",
    keep: str | Sequence[str] = (),
    **sampling,
  ) -> FaceMotion:
    """Makes frames start .. stop - 1 of a motion anew and copies all others.

    The new frames follow those before them; they lead into those after them, too, if
    the run `knows_endings`, else the join alone takes care of their end.

    Args:
      prompt: what the face does in these frames.
      stop: by default the motion's end.
      where: what an error calls the motion.
      keep: parts that stay the motion's own in the new frames, too (generate.keeping):
        "head" and "face" are copied bit for bit; of "lips" the jaw is, of "upper" lids
        and gaze are, and the skin there stays within a fraction of a millimetre.
      sampling: as in `timeline`.

    Raises:
      UserError: the frames are outside the motion, or there is no such part; see also
        `check_request`.
    """
    parts = keeping.checked(keep)
    stop = motion.num_frames if stop is None else stop
    editing.check_frames(motion, start, stop)
    self.check_request(prompt, (stop - start) / tasks.FPS)
    motion = self.codec.adopt(motion, where)
    codes = np.array(self.codec.encode([motion], where)[0])
    codes[start:stop] = constraints.FREE
    known = (motion.num_frames, prompt, self.knows_endings)
    spans = [windows.between(start, stop, *known)]
    made = self._splice(motion, codes, spans, seed, sampling)
    return keeping.kept(self.codec.face, motion, made, parts)

  def inbetween(
    self,
    first: FaceMotion,
    second: FaceMotion,
    seconds: float,
    prompt: str,
    seed: int = 0,
    where: tuple[str, str] = ("first", "second"),
    **sampling,
  ) -> FaceMotion:
    """Joins two motions by `seconds` of new frames, and copies both.

    The new frames are made as by `edit`.

    Args:
      seconds: how long it takes from one to the other.
      prompt: what the face does meanwhile.
      where: what errors call the motions.
      sampling: as in `timeline`.

    Returns:
      first, what is between, second; identity is the first one's, neck, translation and
      camera go straight from one to the other.

    Raises:
      UserError: a motion of another face model; see also `check_request`.
    """
    frames = self.check_request(prompt, seconds)
    first, second = map(self.codec.adopt, (first, second), where)
    start = first.num_frames
    whole = editing.bridge(first, second, frames)
    return self.edit(whole, prompt, start, start + frames, seed, **sampling)

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
    motion = self.codec.adopt(motion, where)
    codes = self.codec.encode([motion], where)[0]
    if prompt is None:
      prompt = self.describe_codes([codes[-self.config.max_frames :]])[0]
    total = motion.num_frames + frames
    spans = [windows.Span(motion.num_frames, total, total, prompt)]
    codes = np.concatenate([codes, windows.free(frames)])
    return self._splice(editing.hold(motion, frames), codes, spans, seed, sampling)

  def _splice(self, motion, codes, spans, seed, sampling) -> FaceMotion:
    span, name = spans[0], motion.face_model
    drawn = self.codec.decode_vectors([self._fill(codes, spans, seed, sampling)])
    vectors = np.concatenate(list(finishing.as_asked(self, drawn, spans, seed)))
    decoded = motion_vector.to_motion(vectors, name)
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
      UserError: the motion is of a face model that is neither the run's nor shipped.
    """
    motion = self.codec.adopt(motion, where)
    parts = windows.parts(motion, self.config.max_frames, stops)
    texts = describe.about(self, parts, question, num_beams, subject, where)
    return " · ".join(texts if unanswerable.answer(question) is None else texts[:1])

  def emotions(self, motion: FaceMotion, where: str = "motion") -> dict[str, float]:
    """How probable each family of emotions is, the likeliest first.

    Of a motion that a camera saw (its `camera` is known), the action units have their
    say; see generate/emotions.py. Parts of a motion longer than `max_seconds` count by
    their lengths. Empty of a run that reads no acts (config.model.act_reading).

    Raises:
      UserError: see `describe`.
    """
    motion = at_rest.before_camera(self.codec.adopt(motion, where))
    parts = windows.parts(motion, self.config.max_frames)
    codes = self.codec.encode(parts, where)
    rows = [tasks.m2l_encoder(self.vocab, c) for c in codes]
    read = reading.shares(self, inputs.padded(rows)) or []
    total: dict[str, float] = {}
    for part, shares_TR in zip(parts, read):
      share = part.num_frames / motion.num_frames
      for name, value in emotions.probabilities(self, part, shares_TR).items():
        total[name] = total.get(name, 0.0) + share * value
    return dict(sorted(total.items(), key=lambda item: -item[1]))

  def encode(self, motion: FaceMotion) -> np.ndarray:
    """Returns the motion's tokens int32[T], one a frame, in 0 .. codec.num_codes - 1.

    Raises:
      UserError: the motion is of a face model that is neither the run's nor shipped.
    """
    return self.codec.encode([motion])[0]

  def decode(
    self, codes: np.ndarray, spans: Sequence[windows.Span] = (), seed: int = 0
  ) -> FaceMotion:
    """The motion of tokens int[T]; neutral identity.

    Args:
      spans: of generated tokens, what was asked for in which frames: prompts are joined
        (joins), slow and quick acts are so (tempo), what is denied is gone
        (restraint), and eyes blink (blinks).
      seed: of the request.
    """
    drawn = self.codec.decode_vectors([codes])
    pieces = list(finishing.finished(self, drawn, spans, seed))
    return motion_vector.to_motion(np.concatenate(pieces), self.codec.face.name)

  def motions_of(
    self, codes: Mapping[int, np.ndarray], prompts: Sequence[str], seed: int = 0
  ) -> list[FaceMotion]:
    """The motions of what `batch.draw` yields, in their tempo and with blinks.

    Args:
      codes: int[T] by request number.
      prompts, seed: those of the requests.
    """
    made = []
    for i, vectors in zip(codes, self.codec.decode_vectors(list(codes.values()))):
      spans = [windows.Span(0, len(vectors), len(vectors), prompts[i])]
      pieces = list(finishing.finished(self, [vectors], spans, seed, i))
      made.append(motion_vector.to_motion(np.concatenate(pieces), self.codec.face.name))
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
    batches = batch.draw(self, prompts, frames, seed, settings)
    codes = {i: c for drawn in batches for i, c in drawn.items()}
    return [codes[i] for i in range(len(prompts))]

  def understand(
    self, prompt: str, seconds: float = 4.0
  ) -> understanding.Understanding:
    """What is understood of a prompt, in words, and where it is doubtful."""
    return understanding.understand(prompt, seconds, inputs.guess(self, prompt))

  def generate_many(self, prompts, seconds, seed=0, **sampling) -> list[FaceMotion]:
    """FaceMotions of prompts, in batches; see `generate_codes`."""
    codes = self.generate_codes(prompts, seconds, seed, **sampling)
    return self.motions_of(dict(enumerate(codes)), prompts, seed)

  def describe_codes(
    self,
    codes: Sequence[np.ndarray],
    question: str | None = None,
    num_beams: int = 1,
    motions: Sequence[FaceMotion] | None = None,
  ) -> list[str]:
    """One sentence for each motion, greedily decoded or by beam search.

    A question that no motion can answer (the eyes' colour) is answered so.

    Args:
      motions: what was encoded, if it is known: acts are counted in it.
    """
    return describe.sentences(self, codes, question, num_beams, motions)
