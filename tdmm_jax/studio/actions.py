"""What the studio's buttons do: each calls the library and shelves the result."""

import json
import pathlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable

from tdmm_jax.errors import UserError
from tdmm_jax.face import face_model as face_lib
from tdmm_jax.face import io, join
from tdmm_jax.language import timeline
from tdmm_jax.render import scene, video
from tdmm_jax.studio.shelf import Clip, Shelf, pack

# Few choices, for each value of the temperature is a program of its own to compile.
VARIETY = {"Likeliest": 0.0, "Calm": 0.7, "Natural": 1.0, "Lively": 1.3}
# None: what the checkpoint was made for.
GUIDANCE = {"Default": None, "Off": 1.0, "Close": 2.0, "Very close": 4.0}
MAX_PROMPT = 400  # characters; the run's own limit, in text pieces, is lower
MAX_VARIANTS = 4
MAX_TIMELINE_S = 30.0
MAX_UNPACKED = 100 << 20  # bytes of an uploaded archive, unpacked
MOTION_TYPES = (".npz", ".pkl", ".npy", ".glb", ".csv")
VIDEO_TYPES = (".mp4", ".mov", ".webm", ".avi", ".mkv")
VIDEO_SIZE = 384  # pixels
EXPORTS = (".npz", ".glb", ".csv")  # for Blender, Unity, the web; ARKit's curves
TRACK_TIMEOUT_S = 600

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
      self._check_request(prompt, seconds)
    say(0.05, "Writing motion tokens")
    codes = self.face.generate_codes(
      prompts,
      [seconds] * len(prompts),
      _seed(seed),
      _choice(VARIETY, "variety", variety),
      guidance=_choice(GUIDANCE, "guidance", guidance),
    )
    say(0.5, "Reading the motion back")
    captions = self.face.describe_codes(codes)
    say(0.75, "Moving the face")
    motions = self.face.codec.decode(codes)
    rows = zip(motions, prompts, captions, codes, strict=True)
    return [self.shelf.put(*row) for row in rows]

  def _check_request(self, prompt: str, seconds: float) -> None:
    """No longer than the run can read back: every motion gets its caption."""
    self.face.check_request(prompt, seconds)
    if seconds > self.face.max_seconds:
      raise UserError(
        f"length: {seconds:g} s is out of range; up to {self.face.max_seconds:g} s "
        "for one prompt, longer with a timeline"
      )

  def timeline(self, text, seed, variety, guidance, say: Say) -> list[Clip]:
    """One motion of several prompts, made one by one and joined."""
    segments = timeline.parse(text)
    if segments[-1].stop_s > MAX_TIMELINE_S:
      raise UserError(
        f"timeline: {segments[-1].stop_s:g} s long, the studio makes up to "
        f"{MAX_TIMELINE_S:g} s; shorten it"
      )
    for segment in segments:
      self._check_request(segment.prompt, segment.stop_s - segment.start_s)
    say(0.05, "Writing motion tokens")
    codes = self.face.generate_codes(
      [s.prompt for s in segments],
      [s.stop_s - s.start_s for s in segments],
      _seed(seed),
      _choice(VARIETY, "variety", variety),
      guidance=_choice(GUIDANCE, "guidance", guidance),
    )
    say(0.6, "Reading the motion back")
    captions = self.face.describe_codes(codes)
    say(0.8, "Moving the face")
    motion = join.join(self.face.codec.decode(codes))
    tokens = [code for part in codes for code in part]
    title = " · ".join(f"{s.start_s:g}-{s.stop_s:g}: {s.prompt}" for s in segments)
    return [self.shelf.put(motion, title, " · ".join(captions), tokens)]

  def read(self, path, say: Say) -> list[Clip]:
    """An uploaded motion or video, described."""
    path = pathlib.Path(path or "")
    if not path.name:
      raise UserError("Choose a file first.")
    say(0.1, "Reading the file")
    try:
      motion = self._load(path, say)
      self.face.check_motion(motion, path.name)
    except UserError as error:
      raise UserError(str(error).replace(str(path), path.name)) from error
    say(0.3, "Putting it into words")
    codes = self.face.encode(motion)
    caption = self.face.describe_codes([codes])[0]
    say(0.75, "Moving the face")
    return [self.shelf.put(motion, path.name, caption, codes)]

  def _load(self, path: pathlib.Path, say: Say):
    suffix = path.suffix.lower()
    if suffix in VIDEO_TYPES:
      say(0.15, "Tracking the face in the video")
      return _track(path)
    if suffix not in MOTION_TYPES:
      raise UserError(
        f"{path.name}: not a kind of file that is read here; give "
        f"{', '.join(MOTION_TYPES)}"
      )
    if zipfile.is_zipfile(path):
      with zipfile.ZipFile(path) as archive:
        if sum(member.file_size for member in archive.infolist()) > MAX_UNPACKED:
          raise UserError(f"{path.name}: too large once unpacked; cut it into pieces")
    return io.load_motion(path)

  def ask(self, clip_ids, question: str) -> str:
    """The answer to a question about the motion that is shown (the first of them)."""
    question = question.strip()
    if not question:
      raise UserError("Write a question first.")
    if len(question) > MAX_PROMPT:
      raise UserError(f"question: longer than {MAX_PROMPT} characters; shorten it")
    clip = self.clips(clip_ids)[0]
    return self.face.describe(clip.motion, question)

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
    clips, drawn = self.clips(clip_ids), []
    for number, clip in enumerate(clips):
      say(number / len(clips), "Drawing the video")
      vertices = face_lib.motion_vertices(self.shelf.face, clip.motion)
      size = (VIDEO_SIZE, VIDEO_SIZE)
      drawn.append(scene.render_frames(self.shelf.face, vertices, size))
      video.write_video(clip.folder / "motion.mp4", drawn[-1], clip.motion.fps)
      for suffix in EXPORTS:
        clip.motion.save(clip.folder / f"motion{suffix}", self.shelf.face)
    film = clips[0].folder / "film.mp4"
    video.write_video(film, video.beside(drawn, VIDEO_SIZE), clips[0].motion.fps)
    everything = pack(clips, clips[0].folder / "everything.zip")
    files = [str(path) for clip in clips for path in clip.folder.glob("motion.*")]
    return str(film), [str(everything), *sorted(files)]


def _track(path: pathlib.Path):
  """The motion of the face in a video, by data_prep's tracker in its own process.

  Raises:
    UserError: the tracker is not installed, or finds no face.
  """
  with tempfile.TemporaryDirectory(dir=path.parent) as out:
    command = [sys.executable, "-m", "data_prep.track", str(path), "--out", out]
    try:
      done = subprocess.run(
        command, capture_output=True, text=True, timeout=TRACK_TIMEOUT_S
      )
    except subprocess.TimeoutExpired as error:
      raise UserError(f"{path.name}: tracking takes too long; cut the video") from error
    found = list(pathlib.Path(out, "motions").glob("*.npz"))
    if found:
      return io.load_motion(found[0])
    reports = list(pathlib.Path(out, "motions").glob("*.json"))
    if reports:
      reason = json.loads(reports[0].read_text()).get("reason")
      raise UserError(
        f"{path.name}: no motion could be tracked ({reason}); give a clear video of "
        "one face"
      )
    last = (done.stderr.strip().splitlines() or ["the tracker said nothing"])[-1]
    raise UserError(f"{path.name}: {last.removeprefix('track: error: ')}")


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
