"""How people's faces differ and move: figures at mediapipe's points.

The default head is of nobody's data; these figures tell how far it is from people, and
what a fit may expect of them. Made by `head.people_table` from ICT-FaceKit's linear
model of scans (University of Southern California, MIT licence) and mediapipe's
canonical face (Apache-2.0).

In millimetres, the outer canthi 90 apart; x to the subject's left, y up, z out of the
face. Shape letters: N points (468), K modes (60).
"""

import functools
import pathlib
from typing import NamedTuple

import numpy as np

CANTHI_MM = 90.0
_FILE = pathlib.Path(__file__).with_name("people.npz")


class People(NamedTuple):
  """Figures of people's faces.

  Attributes:
    mean_N3: mediapipe's mean face.
    modes_KN3: how rest faces deviate from it, one standard deviation each, without
      pose and size.
    shapes: ICT-FaceKit's name of an expression shape -> displacement [N, 3] at 1.
  """

  mean_N3: np.ndarray
  modes_KN3: np.ndarray
  shapes: dict[str, np.ndarray]


@functools.cache
def load() -> People:
  """The committed figures."""
  with np.load(_FILE) as arrays:
    shapes = zip(arrays["shape_names"], arrays["shapes_mm"], strict=True)
    return People(
      arrays["mean_mm"].astype(np.float64),
      arrays["modes_mm"].astype(np.float64),
      {str(name): field.astype(np.float64) for name, field in shapes},
    )


# Action unit (without its side) -> the scan-based shapes that show it. One-sided shapes
# have `_L` and `_R`; a unit without sides takes both.
COUNTERPARTS = {
  "inner_brow_raiser": ("browInnerUp",),
  "outer_brow_raiser": ("browOuterUp",),
  "brow_lowerer": ("browDown",),
  "upper_lid_raiser": ("eyeWide",),
  "cheek_raiser": ("cheekSquint",),
  "lid_tightener": ("eyeSquint",),
  "nose_wrinkler": ("noseSneer",),
  "upper_lip_raiser": ("mouthUpperUp",),
  "lip_corner_puller": ("mouthSmile",),
  "dimpler": ("mouthDimple",),
  "lip_corner_depressor": ("mouthFrown",),
  "lower_lip_depressor": ("mouthLowerDown",),
  "lip_stretcher": ("mouthStretch",),
  "cheek_puff": ("cheekPuff",),
  "jaw_sideways_l": ("jawLeft",),
  "jaw_sideways_r": ("jawRight",),
  "mouth_left": ("mouthLeft",),
  "mouth_right": ("mouthRight",),
  "chin_raiser": ("mouthShrugLower",),
  "lip_pucker": ("mouthPucker",),
  "lip_funneler": ("mouthFunnel",),
  "lip_pressor": ("mouthPress_L", "mouthPress_R"),
  "upper_lip_press": ("mouthRollUpper",),
  "lower_lip_press": ("mouthRollLower",),
  "lip_suck": ("mouthRollUpper", "mouthRollLower"),
  "jaw_thrust": ("jawForward",),
}


def unit_field(unit: str) -> np.ndarray | None:
  """What an action unit does to people, mm [N, 3] at the scans' 1; None if unknown."""
  shapes = load().shapes
  if unit in COUNTERPARTS:
    return sum(shapes[name] for name in COUNTERPARTS[unit])
  base, _, side = unit.rpartition("_")
  if base in COUNTERPARTS and side in ("l", "r"):
    return sum(shapes[f"{name}_{side.upper()}"] for name in COUNTERPARTS[base])
  return None
