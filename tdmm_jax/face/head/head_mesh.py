"""The default head's neutral mesh: skin, mouth, eyeballs, ears and teeth.

The subject's left half is built and mirrored. Rings of vertices follow the lids and
lips, rows follow the eyebrows; `head_skin` fills the skin between them.

Units are centimetres (see `head_surface`). Shape letters: V vertices, F triangles,
P points.
"""

import dataclasses

import numpy as np

from tdmm_jax.face.head import curves, surface
from tdmm_jax.face.head import parts as head_parts
from tdmm_jax.face.head import skin as head_skin
from tdmm_jax.face.head.parts import Part

NECK_END_Y = -17.5


@dataclasses.dataclass(frozen=True)
class HeadMesh:
  """The neutral head.

  Attributes:
    vertices: float64[V, 3] in cm; the left half and the midline come first.
    faces: int32[F, 3], counter-clockwise seen from outside.
    mirror: int32[V], the vertex on the other side (itself on the midline).
    groups: vertex ids of the left half by name; grids keep their shape, e.g.
      "upper_lid" [R, N]. `both(name)` adds the right side.
  """

  vertices: np.ndarray
  faces: np.ndarray
  mirror: np.ndarray
  groups: dict[str, np.ndarray]

  def both(self, *names: str) -> np.ndarray:
    """int32[...]: sorted ids of these groups' vertices on both sides."""
    ids = np.concatenate([self.groups[name].ravel() for name in names])
    return np.unique(np.concatenate([ids, self.mirror[ids]])).astype(np.int32)


def build_head_mesh() -> HeadMesh:
  """Builds the neutral mesh; deterministic, about a second."""
  skin, groups = _skin_half()
  parts = {
    "skin": skin,
    "eyeball": head_parts.eyeball(),
    "ear": head_parts.ear(),
    "upper_teeth": head_parts.teeth(upper=True),
    "lower_teeth": head_parts.teeth(upper=False),
    "tongue": head_parts.tongue(),
  }
  vertices, faces, start = [], [], 0
  for name, part in parts.items():
    groups[name] = start + np.arange(len(part.vertices))
    for key, ids in part.groups.items():
      groups[key] = start + ids
    vertices.append(part.vertices)
    faces.append(start + part.faces)
    start += len(part.vertices)
  return _mirrored(np.concatenate(vertices), np.concatenate(faces), groups)


def _mirrored(vertices, faces, groups) -> HeadMesh:
  count = len(vertices)
  on_midline = np.abs(vertices[:, 0]) < 1e-6
  vertices = np.where(on_midline[:, None] * [True, False, False], 0.0, vertices)
  other = np.arange(count)
  other[~on_midline] = count + np.arange((~on_midline).sum())
  mirror = np.concatenate([other, np.flatnonzero(~on_midline)])
  right = vertices[~on_midline] * np.array([-1.0, 1.0, 1.0])
  both_faces = np.concatenate([faces, other[faces][:, ::-1]])
  return HeadMesh(
    np.concatenate([vertices, right]),
    both_faces.astype(np.int32),
    mirror.astype(np.int32),
    {name: np.asarray(ids, np.int32) for name, ids in groups.items()},
  )


def _skin_half() -> tuple[Part, dict[str, np.ndarray]]:
  """The left half's skin and mouth, with the ids of its rings and rows."""
  groups, vertices, faces = {}, [], []
  for name, rings_of in (
    ("lid", curves.lid_rings),
    ("lip", curves.lip_rings),
  ):
    _add_opening(name, rings_of(True), rings_of(False), vertices, faces, groups)
  start = sum(map(len, vertices))
  brow = curves.brow_grid()
  ids = start + np.arange(brow[..., 0].size).reshape(brow.shape[:2])
  faces.append(_strip(ids, False))
  groups["brow"] = ids[1:-1, 1:-1]
  groups["brow_border"] = np.concatenate(
    [ids[0], ids[1:-1, -1], ids[-1, ::-1], ids[-2:0:-1, 0]]
  )
  rim = _neck_rim()
  groups["neck_end"] = ids.max() + 1 + np.arange(len(rim))
  fixed = np.concatenate([*vertices, brow.reshape(-1, 3), rim])

  names = ("lid_border", "lip_border", "brow_border", "neck_end")
  anchors = np.concatenate([groups[name] for name in names])
  borders = np.split(
    np.arange(len(anchors)), np.cumsum([len(groups[name]) for name in names])
  )[:3]
  fill, triangles = head_skin.fill_skin(fixed[anchors], borders, NECK_END_Y)
  ids = np.concatenate([anchors, len(fixed) + np.arange(len(fill))])
  vertices = np.concatenate([fixed, fill])
  return Part(vertices, np.concatenate([*faces, ids[triangles]]), {}), groups


def _add_opening(name, upper, lower, vertices, faces, groups):
  """Rings around an eye's or the mouth's opening; both sides share their end points.

  Args:
    name: "lid" (ends: two canthi) or "lip" (ends: the midline, not shared, a corner).
    upper, lower: float[R, N, 3], rings from the inside out (lid) or outside in (lip).
    vertices, faces: lists that are added to.
    groups: gets "upper_NAME" and "lower_NAME", ids [R, N], and "NAME_border".
  """
  start = sum(map(len, vertices))
  num_rings, num = upper.shape[:2]
  upper_ids = start + np.arange(num_rings * num).reshape(num_rings, num)
  own = slice(1, num - 1) if name == "lid" else slice(0, num - 1)
  if name == "lip":
    upper[:, -1] = 0.5 * (upper[:, -1] + lower[:, -1])
  vertices += [upper.reshape(-1, 3), lower[:, own].reshape(-1, 3)]
  lower_ids = upper_ids.copy()
  count = lower_ids[:, own].size
  lower_ids[:, own] = start + upper_ids.size + np.arange(count).reshape(num_rings, -1)
  groups[f"upper_{name}"], groups[f"lower_{name}"] = upper_ids, lower_ids
  faces += [_strip(upper_ids, name == "lip"), _strip(lower_ids, name == "lid")]
  if name == "lid":
    border = np.concatenate([upper_ids[-1], lower_ids[-1, -2:0:-1]])
  else:
    border = np.concatenate([upper_ids[0], lower_ids[0, -2::-1]])
    back = _strip(np.stack([upper_ids[-1], lower_ids[-1]]), True)  # the throat
    faces.append(back[(np.diff(np.sort(back, axis=1), axis=1) > 0).all(1)])
  groups[f"{name}_border"] = border


def _strip(ids_RN, flip):
  """Triangles of a grid of vertex ids."""
  a, b = ids_RN[:-1, :-1].ravel(), ids_RN[:-1, 1:].ravel()
  c, d = ids_RN[1:, :-1].ravel(), ids_RN[1:, 1:].ravel()
  faces = np.concatenate([np.column_stack([a, b, c]), np.column_stack([b, d, c])])
  return faces[:, ::-1] if flip else faces


def _neck_rim():
  """float64[P, 3]: the lower end of the neck, from the front to the back."""
  around = np.linspace(0.0, np.pi, 15)
  directions = np.column_stack([np.sin(around), np.zeros(15), np.cos(around)])
  axis = np.array([0.0, NECK_END_Y, -3.4])
  radius = surface.trace(axis, directions, 10.0)
  return axis + radius[:, None] * directions
