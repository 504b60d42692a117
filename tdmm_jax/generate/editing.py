"""New frames in a motion that exists: the others are copied, the joins are blended.

Pure NumPy. Shape letters: P motion vector.
"""

import numpy as np

from tdmm_jax.errors import UserError
from tdmm_jax.face import motion as motion_lib
from tdmm_jax.face import motion_vector
from tdmm_jax.face.turns import transform
from tdmm_jax.generate import joins


def check_frames(motion: motion_lib.FaceMotion, start: int, stop: int) -> None:
  """Raises UserError unless start .. stop - 1 are frames of the motion."""
  if not 0 <= start < stop <= motion.num_frames:
    raise UserError(
      f"frames {start}-{stop}: outside the motion of {motion.num_frames} frames; "
      f"choose 0 <= start < stop <= {motion.num_frames} (stop itself is kept)"
    )


def parse_frames(text: str) -> tuple[int, int]:
  """(40, 80) of "40-80"; half-open.

  Raises:
    UserError: not two whole numbers.
  """
  first, _, last = text.partition("-")
  if not (first.strip().isdecimal() and last.strip().isdecimal()):
    raise UserError(
      f"frames {text!r}: not a range of frames; write it like 40-80, which is frames "
      "40 to 79"
    )
  return int(first), int(last)


def hold(motion: motion_lib.FaceMotion, num_frames: int) -> motion_lib.FaceMotion:
  """The motion, its last frame held for `num_frames` more."""
  index = np.minimum(np.arange(motion.num_frames + num_frames), motion.num_frames - 1)
  tracks = ("expression", "jaw_pose", "neck_pose", "head_pose", "eyelids", "eye_pose")
  held = {
    name: getattr(motion, name)[index] for name in (*tracks, "translation", "valid")
  }
  if motion.camera is not None:
    held["camera"] = motion.camera[index]
  return motion.replace(**held)


def bridge(
  first: motion_lib.FaceMotion, second: motion_lib.FaceMotion, num_frames: int
) -> motion_lib.FaceMotion:
  """The two motions with `num_frames` between them that go straight from one to other.

  Identity is the first one's. A camera is kept where both have one.
  """
  both = (first, second)
  if any(motion.camera is None for motion in both):
    both = tuple(motion.replace(camera=None) for motion in both)
  ends = _joined(
    motion_lib.take(both[0], slice(-1, None)), motion_lib.take(both[1], slice(0, 1))
  ).replace(valid=np.ones(2, bool), fps=1.0)
  # Of a second, the frames after its first and before its last.
  between = motion_lib.resample(ends, num_frames + 1.0)
  between = motion_lib.trim(between, 1, num_frames + 1)
  return _joined(both[0], between, both[1])


def _joined(*motions: motion_lib.FaceMotion) -> motion_lib.FaceMotion:
  """One motion after another; what is constant over a clip is the first one's."""
  names = [*motion_lib.TRACKS, "valid"]
  names += [] if motions[0].camera is None else ["camera"]
  return motions[0].replace(
    **{name: np.concatenate([getattr(m, name) for m in motions]) for name in names}
  )


def splice(
  motion: motion_lib.FaceMotion,
  decoded: motion_lib.FaceMotion,
  start: int,
  stop: int,
  std_P: np.ndarray,
) -> motion_lib.FaceMotion:
  """The motion with frames start .. stop - 1 from `decoded`.

  At the joins the new frames start from, and come to, the copied ones' place and speed
  (joins.between); no copied frame changes. Identity, neck, translation and camera stay
  the motion's own.

  Args:
    decoded: as many frames as the motion; its frames outside the range are what the
      tokenizer makes of the motion's.
    std_P: standard deviations of the motion vector; see joins.lean.
  """
  vectors = [motion_vector.from_motion(m) for m in (motion, decoded)]
  fields = motion_vector.split(joins.between(*vectors, start, stop, std_P))
  world = transform.Rotation.from_rotvec(fields["head_pose"])
  neck = transform.Rotation.from_rotvec(motion.neck_pose[start:stop])
  fields["head_pose"] = (world * neck.inv()).as_rotvec()
  changes = {name: getattr(motion, name).copy() for name in (*fields, "valid")}
  for name, new in fields.items():
    changes[name][start:stop] = new
  changes["valid"][start:stop] = True
  return motion.replace(**changes)
