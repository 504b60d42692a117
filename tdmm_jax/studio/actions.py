"""What the studio's buttons do: each calls the library and shelves the result."""

import pathlib
import re
import zipfile
from collections.abc import Callable

from tdmm_jax.errors import UserError
from tdmm_jax.face import face_model as face_lib
from tdmm_jax.face.files import read as io
from tdmm_jax.face.fit import sources
from tdmm_jax.generate import keys as keys_lib
from tdmm_jax.generate import windows
from tdmm_jax.language import subjects, timeline
from tdmm_jax.render import video
from tdmm_jax.studio.shelf import Clip, Shelf, pack

# Few choices, for each value of the temperature is a program of its own to compile.
VARIETY = {"Likeliest": 0.0, "Calm": 0.7, "Natural": 1.0, "Lively": 1.3}
# None: what the checkpoint was made for.
GUIDANCE = {"Default": None, "Off": 1.0, "Loose": 1.5, "Close": 4.0}
MAX_PROMPT = 400  # characters; the run's own limit, in text pieces, is lower
MAX_VARIANTS = 4
MAX_KEYS = 16  # of a timeline: each pose in words is a motion of its own to make
MAX_SECONDS = 30.0  # of a timeline, and of what is uploaded
MAX_UNPACKED = 100 << 20  # bytes of an uploaded archive, unpacked
MOTION_TYPES = (".npz", ".pkl", ".npy", ".glb", ".csv")
VIDEO_TYPES = (".mp4", ".mov", ".webm", ".avi", ".mkv")
VIDEO_SIZE = 384  # pixels
EXPORTS = (".npz", ".glb", ".csv")  # for Blender, Unity, the web; ARKit's curves
TRACK_TIMEOUT_S = 600
_OPTIONS = re.compile(r"\b(fps|layout|face_model)\b")  # that hints may name

Say = Callable[[float, str], None]  # share done, what is being done


class Actions:
  """The buttons, without the page.

  Args:
    face: inference.Face.
    shelf: where the motions go.
  """

  def __init__(self, face, shelf: Shelf):
    self.face, self.shelf = face, shelf

  def generate(self, prompts, seconds, seed, variety, guidance, say: Say) -> list[Clip]:
    """One motion for each prompt; equal prompts give variants."""
    for prompt in prompts:
      if len(prompt) > MAX_PROMPT:
        raise UserError(
          f"prompt: {len(prompt)} characters, the limit is {MAX_PROMPT}; shorten it"
        )
    self._check_seconds(seconds)
    say(0.05, "Writing motion tokens")
    codes = self.face.generate_codes(
      prompts,
      [seconds] * len(prompts),
      _seed(seed),
      _choice(VARIETY, "variety", variety),
      guidance=_choice(GUIDANCE, "guidance", guidance),
    )
    say(0.5, "Moving the face")
    motions = self.face.motions_of(dict(enumerate(codes)), prompts, _seed(seed))
    say(0.75, "Reading the motion back")
    captions = [
      self.face.describe(motion, subject=subjects.of(prompt))
      for motion, prompt in zip(motions, prompts, strict=True)
    ]
    rows = zip(motions, prompts, captions, codes, strict=True)
    return [self.shelf.put(*row) for row in rows]

  def _check_seconds(self, seconds: float) -> None:
    """Refuses what the run could not read back: every motion gets a caption."""
    if seconds > self.face.max_seconds:
      raise UserError(
        f"length: {seconds:g} s is out of range; up to {self.face.max_seconds:g} s "
        "for one prompt, longer with a timeline"
      )

  def timeline(
    self, text, seed, variety, guidance, say: Say, keys: str = ""
  ) -> list[Clip]:
    """One motion without seams, of several prompts; `keys`: see `keys_of`."""
    segments = timeline.parse(text)
    if segments[-1].stop_s > MAX_SECONDS:
      raise UserError(
        f"timeline: {segments[-1].stop_s:g} s long, the studio makes up to "
        f"{MAX_SECONDS:g} s; shorten it"
      )
    for segment in segments:
      self._check_seconds(segment.stop_s - segment.start_s)
    spans, placed = windows.spans_of(segments, self.face.check_request), keys_of(keys)
    say(0.02, "Striking the poses")
    posed = keys_lib.posed(self.face, placed, spans[-1].stop)
    say(0.05, "Writing motion tokens")
    codes = self.face.timeline_codes(
      segments,
      _seed(seed),
      temperature=_choice(VARIETY, "variety", variety),
      guidance=_choice(GUIDANCE, "guidance", guidance),
    )
    say(0.6, "Moving the face")
    motion = self.face.decode(codes, spans, _seed(seed))
    if posed:
      motion = keys_lib.lead(motion, posed, self.face.codec.std_P)
      codes = self.face.encode(motion)
    say(0.7, "Reading the motion back")
    stops, who = [span.stop for span in spans], subjects.of(segments[0].prompt)
    caption = self.face.describe(motion, stops=stops, subject=who)
    title = " · ".join(f"{s.start_s:g}-{s.stop_s:g}: {s.prompt}" for s in segments)
    return [self.shelf.put(motion, title, caption, codes)]

  def read(self, path, say: Say) -> list[Clip]:
    """An uploaded motion or video, described."""
    path = pathlib.Path(path or "")
    if not path.name:
      raise UserError("Choose a file first.")
    say(0.1, "Reading the file")
    try:
      motion = self.face.codec.adopt(self._load(path, say), path.name)
      (codes,) = self.face.codec.encode([motion])
    except UserError as error:
      text = str(error).replace(str(path), path.name)
      if _OPTIONS.search(text):  # the page has no field for them
        text += " (`tdmm describe` has options for that)"
      raise UserError(text) from error
    say(0.5, "Putting it into words")
    caption = self.face.describe(motion)
    say(0.8, "Moving the face")
    return [self.shelf.put(motion, path.name, caption, codes)]

  def _load(self, path: pathlib.Path, say: Say):
    suffix = path.suffix.lower()
    if suffix in VIDEO_TYPES:
      _check_length(path.name, video.duration_s(path))
      say(0.15, "Following the face in the video")
      motion = sources.track_video(path, timeout_s=TRACK_TIMEOUT_S)
      _check_length(path.name, motion.num_frames / motion.fps)
      return motion
    if suffix not in MOTION_TYPES:
      raise UserError(
        f"{path.name}: not a kind of file that is read here; give "
        f"{', '.join(MOTION_TYPES)}"
      )
    if zipfile.is_zipfile(path):
      with zipfile.ZipFile(path) as archive:
        if sum(member.file_size for member in archive.infolist()) > MAX_UNPACKED:
          raise UserError(f"{path.name}: too large once unpacked; cut the motion")
    return io.load_motion(path, longest_s=MAX_SECONDS)

  def ask(self, clip_ids, question: str) -> list[str]:
    """The answers to a question about each of the motions that are shown."""
    question = question.strip()
    if not question:
      raise UserError("Write a question first.")
    if len(question) > MAX_PROMPT:
      raise UserError(f"question: longer than {MAX_PROMPT} characters; shorten it")
    clips = self.clips(clip_ids)
    return [
      self.face.describe(clip.motion, question, subject=subjects.of(clip.title))
      for clip in clips
    ]

  def clips(self, clip_ids) -> list[Clip]:
    """The clips that a page shows.

    Raises:
      UserError: there is none, or it was dropped for newer ones.
    """
    if not clip_ids:
      raise UserError("Make or upload a motion first.")
    found = [self.shelf.get(str(clip_id)) for clip_id in clip_ids]
    if None in found:
      raise UserError("This motion was dropped for newer ones; make it again.")
    return found

  def films(self, clip_ids, say: Say) -> tuple[str, list[str]]:
    """(video of all clips side by side, every file and a zip of them all)."""
    from tdmm_jax.render import scene  # with numba, half a second that no start needs

    clips, drawn = self.clips(clip_ids), []
    for number, clip in enumerate(clips):
      say(number / len(clips), "Drawing the video")
      vertices = face_lib.motion_vertices(self.shelf.face, clip.motion)
      size = (VIDEO_SIZE, VIDEO_SIZE)
      drawn.append(scene.render_frames(self.shelf.face, vertices, size))
      video.write_video(clip.path(".mp4"), drawn[-1], clip.motion.fps)
      for suffix in EXPORTS:
        clip.motion.save(clip.path(suffix), self.shelf.face)
    film = clips[0].path(".mp4")
    if len(clips) > 1:
      film = clips[0].folder / "film.mp4"
      video.write_video(film, video.beside(drawn, VIDEO_SIZE), clips[0].motion.fps)
    everything = pack(clips, clips[0].folder / "everything.zip")
    files = [str(path) for clip in clips for path in clip.files()]
    return str(film), [str(everything), *files]


def keys_of(text: str) -> list[keys_lib.Key]:
  """The keys of "2: eyes closed; 3.5: neutral", or of one a line; poses in words only.

  Raises:
    UserError: no time, no pose, or more keys than a page may ask for.
  """
  rows = [row for row in re.split(r"[;\n]", text or "") if row.strip()]
  if len(rows) > MAX_KEYS:
    raise UserError(f"keys: {len(rows)}, the limit is {MAX_KEYS}; remove some")
  return [keys_lib.parse(row, files=False) for row in rows]


def _check_length(name: str, seconds: float) -> None:
  if seconds > MAX_SECONDS:
    raise UserError(
      f"{name}: {seconds:.0f} s long, the studio reads up to {MAX_SECONDS:g} s; cut it"
    )


def _seed(value) -> int:
  try:
    seed = int(value)
  except (TypeError, ValueError, OverflowError) as error:
    raise UserError(f"seed: {value!r} is no whole number; give one, like 0") from error
  if not 0 <= seed < 2**31:
    raise UserError(f"seed: {seed} is out of range; give 0 to {2**31 - 1}")
  return seed


def _choice(choices: dict, name: str, value):
  if value not in choices:
    raise UserError(f"{name}: {value!r} is none of {', '.join(choices)}")
  return choices[value]
