"""Pictures of a face in motion: a grey head on white under studio light.

The camera is fixed over the clip and set from the face model's neutral head, so that
the head's rotation is seen and every clip of one model is framed alike.

Shapes: T frames, V vertices, F faces, H and W the picture's height and width in pixels.
"""

import collections
import concurrent.futures
import dataclasses
import itertools
import os
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from tdmm_jax.render import heat_map, looks, rasterizer

# Degrees that the camera is carried round the head, towards the subject's left.
VIEWS = {
  "front": 0.0,
  "three_quarter": 38.0,
  "side": 85.0,
  "three_quarter_right": -38.0,
  "side_right": -85.0,
  "face": 0.0,
  "mouth": 0.0,
}
# Views that frame a region: its name, and the picture's half side over the region's.
CLOSE_UPS = {"face": ("face", 1.12), "mouth": ("lips", 1.9)}

FIELD_OF_VIEW_DEG = 16.0  # a portrait lens: hardly any perspective in the face

# Direction towards the light (camera space), strength, wrap, specular. Key first.
LIGHTS = (
  (-0.60, 0.70, 0.70, 1.30, 0.05, 0.9),  # key: high, from the viewer's left
  (0.80, 0.00, 0.60, 0.26, 0.30, 0.0),  # fill
  (0.75, 0.50, -0.50, 0.45, 0.00, 0.0),  # rim
  (-0.85, 0.20, -0.50, 0.20, 0.00, 0.0),  # rim, the other side
)

SHADOW_SIZE = 400
OCCLUSION_SAMPLES = 20
OCCLUSION_RADIUS_M = np.float32(0.014)


@dataclasses.dataclass(frozen=True)
class Camera:
  """Where the picture is taken from.

  Attributes:
    rotation: float32[3, 3], world to camera (x right, y up, z towards the viewer).
    eye: float32[3], metres.
    target: float32[3], the point in the picture's middle, metres.
    focal_px: pixels on the screen per metre at a metre's distance.
    distance_m: from the eye to the target.
  """

  rotation: np.ndarray
  eye: np.ndarray
  target: np.ndarray
  focal_px: float
  distance_m: float


def frame_camera(face_model, size: tuple[int, int], view: str = "front") -> Camera:
  """Sets the camera so that the neutral head, with room to turn, fills the picture.

  The top is the crown; the bottom is some way under the face region's chin where the
  model has a `face` region, else the model's lowest vertex.

  Args:
    face_model: anything with `v_template` [V, 3] (metres, y up, z out of the face) and
      `regions` (name -> vertex ids).
    size: (W, H) in pixels.
    view: one of VIEWS.

  Raises:
    ValueError: if the view is unknown or the size is not positive.
  """
  if view not in VIEWS:
    raise ValueError(f"view {view!r} is not one of {', '.join(VIEWS)}")
  width, height = size
  if width < 16 or height < 16:
    raise ValueError(f"size {size} is too small; at least 16 x 16 pixels")
  head_V3 = np.asarray(face_model.v_template, np.float32)
  low, high = head_V3.min(0), head_V3.max(0)
  face_ids = face_model.regions.get("face") if face_model.regions else None
  if face_ids is not None and len(face_ids):
    face_V3 = head_V3[np.asarray(face_ids)]
    chin, brow = face_V3[:, 1].min(), face_V3[:, 1].max()
    low[1] = max(low[1], chin - 0.16 * (brow - chin))
  target = (low + high) / 2
  half_height = 0.52 * (high[1] - low[1])
  half_width = 0.58 * max(high[0] - low[0], 0.8 * (high[2] - low[2]))
  if VIEWS[view]:
    half_width = max(half_width, 0.56 * (high[2] - low[2]))
  half = max(half_height, half_width * height / width)
  region, margin = CLOSE_UPS.get(view, ("", 1.0))
  if region and region in (face_model.regions or {}):
    near_V3 = head_V3[np.asarray(face_model.regions[region])]
    target = (near_V3.min(0) + near_V3.max(0)) / 2
    half = margin * float(np.ptp(near_V3[:, :2], axis=0).max()) / 2
  tangent = np.tan(np.radians(FIELD_OF_VIEW_DEG / 2))
  distance = float(half / tangent)
  yaw = np.radians(VIEWS[view])
  cos, sin = np.cos(yaw), np.sin(yaw)
  rotation = np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]], np.float32)
  eye = target + distance * rotation[2]
  focal_px = float(height / 2 / tangent)
  return Camera(rotation, eye.astype(np.float32), target, focal_px, distance)


class Scene:
  """One face model under one camera; draws frames, each with buffers of its own.

  Args:
    face_model: anything with `v_template`, `faces` and `regions`.
    size: (W, H) in pixels.
    view: one of VIEWS.
  """

  def __init__(self, face_model, size: tuple[int, int], view: str = "front"):
    self.size = size
    self.camera = frame_camera(face_model, size, view)
    self.faces_F3 = np.ascontiguousarray(face_model.faces, np.int32)
    self.looks_V2 = looks.vertex_looks(face_model)
    lights_L6 = np.array(LIGHTS, np.float32)
    lights_L6[:, :3] /= np.linalg.norm(lights_L6[:, :3], axis=1, keepdims=True)
    self.lights_L6 = lights_L6
    turn = np.arange(OCCLUSION_SAMPLES) + 0.5
    # A sunflower, denser in the middle: fine creases and wide hollows in one pass.
    radius, angle = turn / OCCLUSION_SAMPLES, turn * 2.399963
    self.offsets_N2 = np.stack(
      [radius * np.cos(angle), radius * np.sin(angle)], -1
    ).astype(np.float32)
    reach_px = OCCLUSION_RADIUS_M * self.camera.focal_px / self.camera.distance_m
    self.reach = np.array([reach_px, OCCLUSION_RADIUS_M], np.float32)
    self._set_shadow_camera(np.asarray(face_model.v_template, np.float32))
    self._buffers = collections.deque()

  def _set_shadow_camera(self, template_V3):
    """Camera space -> shadow map: an orthographic look along the key light."""
    look = self.lights_L6[0, :3]
    right = np.cross([0.0, 1.0, 0.0], look)
    right /= np.linalg.norm(right)
    axes_33 = np.stack([right, np.cross(look, right), look])
    centre = np.array([0.0, 0.0, -self.camera.distance_m])
    reach = 1.15 * np.linalg.norm(template_V3 - self.camera.target, axis=1).max()
    scale = SHADOW_SIZE / 2 / reach
    to_shadow_34 = np.concatenate([axes_33, -(axes_33 @ centre)[:, None]], 1)
    to_shadow_34[0] *= scale
    to_shadow_34[1] *= -scale
    to_shadow_34[:2, 3] += SHADOW_SIZE / 2
    self.to_shadow_34 = to_shadow_34.astype(np.float32)

  def _take_buffers(self):
    try:
      return self._buffers.pop()  # deque's pop and append are atomic
    except IndexError:
      width, height = self.size
      high, wide = (n * rasterizer.SUPERSAMPLE for n in (height, width))
      shadow = (SHADOW_SIZE, SHADOW_SIZE)
      return {
        "depth": np.empty((high, wide), np.float32),
        "triangle": np.empty((high, wide), np.int32),
        "surface": np.empty((height, width, 9), np.float32),
        "shadow": np.empty(shadow, np.float32),
        "shadow_triangle": np.empty(shadow, np.int32),
        "sky": np.empty(((height + 1) // 2, (width + 1) // 2, 2), np.float32),
      }

  def draw(
    self, vertices_V3: np.ndarray, paint_V=None, wireframe: bool = False
  ) -> np.ndarray:
    """Draws one frame.

    Args:
      vertices_V3: float[V, 3], metres, world space.
      paint_V: float[V] in 0 .. 1, shown as colour (see `heat_map`), or None.
      wireframe: draw the edges of the triangles, too.

    Returns:
      uint8[H, W, 3], sRGB.
    """
    buffers = self._take_buffers()
    width, height = self.size
    camera = self.camera
    points_V3 = (np.asarray(vertices_V3, np.float32) - camera.eye) @ camera.rotation.T
    attributes_V8 = np.empty((points_V3.shape[0], 8), np.float32)
    attributes_V8[:, :3] = points_V3
    attributes_V8[:, 3:6] = rasterizer.vertex_normals(points_V3, self.faces_F3)
    attributes_V8[:, 6:] = self.looks_V2
    if paint_V is not None:
      attributes_V8[:, 6], attributes_V8[:, 7] = paint_V, looks.SKIN[1]
    closeness_V = 1.0 / np.maximum(-points_V3[:, 2], 1e-3)
    samples = rasterizer.SUPERSAMPLE
    screen_V3 = np.empty_like(points_V3)
    pixels_V = camera.focal_px * closeness_V
    screen_V3[:, 0] = samples * (width / 2 + points_V3[:, 0] * pixels_V)
    screen_V3[:, 1] = samples * (height / 2 - points_V3[:, 1] * pixels_V)
    screen_V3[:, 2] = closeness_V
    rasterizer.fill_depth(
      screen_V3,
      self.faces_F3,
      buffers["depth"],
      buffers["triangle"],
    )
    rasterizer.resolve(
      buffers["triangle"],
      screen_V3,
      self.faces_F3,
      attributes_V8,
      buffers["surface"],
    )
    shadow_V3 = points_V3 @ self.to_shadow_34[:, :3].T + self.to_shadow_34[:, 3]
    rasterizer.fill_depth(
      shadow_V3,
      self.faces_F3,
      buffers["shadow"],
      buffers["shadow_triangle"],
    )
    surface = buffers["surface"]
    if paint_V is not None:
      values_HW = np.where(surface[..., 8] > 0, surface[..., 6], np.float32(0.0))
      surface[..., 6] = looks.SKIN[0]
    rasterizer.open_sky(buffers["surface"], self.offsets_N2, self.reach, buffers["sky"])
    picture_HW3 = np.empty((height, width, 3), np.uint8)
    rasterizer.shade(
      buffers["surface"],
      buffers["sky"],
      buffers["shadow"],
      self.to_shadow_34,
      self.lights_L6,
      self.offsets_N2,
      self.reach,
      picture_HW3,
    )
    if paint_V is not None:
      picture_HW3 = heat_map.paint(picture_HW3, values_HW, surface[..., 8])
    if wireframe:
      picture_HW3 = _with_edges(picture_HW3, buffers["triangle"])
    self._buffers.append(buffers)
    return picture_HW3


def _with_edges(picture_HW3, triangle_HW) -> np.ndarray:
  """Darkens where two samples beside one another show two triangles."""
  edge = np.zeros(triangle_HW.shape, np.float32)
  seen = triangle_HW >= 0
  across = (triangle_HW[:, 1:] != triangle_HW[:, :-1]) & seen[:, 1:] & seen[:, :-1]
  down = (triangle_HW[1:] != triangle_HW[:-1]) & seen[1:] & seen[:-1]
  edge[:, 1:] = across
  edge[1:] = np.maximum(edge[1:], down)
  height, width = picture_HW3.shape[:2]
  share = edge.reshape(height, rasterizer.SUPERSAMPLE, width, -1).mean((1, 3))
  return (picture_HW3 * (1.0 - 0.6 * share)[..., None]).astype(np.uint8)


def render_frames(
  face_model, vertices: np.ndarray, *arguments, **options
) -> np.ndarray:
  """The clip that `draw_frames` draws, uint8[T, H, W, 3]; its arguments."""
  return np.stack(list(draw_frames(face_model, vertices, *arguments, **options)))


def draw_frames(
  face_model,
  vertices: Iterable[np.ndarray],
  size: tuple[int, int] = (320, 320),
  view: str = "front",
  progress: Callable[[int], None] | None = None,
  workers: int | None = None,
  paint: Iterable[np.ndarray] | None = None,
  wireframe: bool = False,
) -> Iterator[np.ndarray]:
  """Draws a clip, frame by frame; a few are ready before they are asked for.

  Args:
    face_model: anything with `v_template` [V, 3], `faces` [F, 3] and `regions`; looks
      are taken from the regions named in looks.REGION_LOOKS, plain grey without them.
    vertices: float[V, 3] of T frames, metres, y up, x to the subject's left, z out of
      the face.
    size: (W, H) in pixels.
    view: one of VIEWS.
    progress: called with the number of frames newly done (`tqdm.update` fits).
    workers: threads; by default one per CPU core. The pictures do not depend on it.
    paint: float[V] of T or more frames, in 0 .. 1, shown as colour; see `heat_map`.
    wireframe: draw the edges of the triangles, too.

  Returns:
    An iterator of T pictures uint8[H, W, 3], sRGB.

  Raises:
    ValueError: an unknown view, at once; vertices that do not fit the model.
  """
  scene = Scene(face_model, size, view)
  paints = itertools.repeat(None) if paint is None else paint
  fitting = _checked(vertices, np.asarray(face_model.v_template).shape)
  jobs = ((points, color, wireframe) for points, color in zip(fitting, paints))
  return _drawn(scene, jobs, workers or os.cpu_count() or 1, progress)


def _checked(vertices, expected) -> Iterator[np.ndarray]:
  for points in vertices:
    if np.shape(points) != expected:
      raise ValueError(
        f"vertices {np.shape(points)} do not fit the face model's {expected}"
      )
    yield points


def _drawn(scene: Scene, jobs, workers: int, progress) -> Iterator[np.ndarray]:
  """The pictures of `jobs`, arguments of `Scene.draw`, in their order."""
  waiting = collections.deque()
  with concurrent.futures.ThreadPoolExecutor(workers) as pool:
    for job in jobs:
      waiting.append(pool.submit(scene.draw, *job))
      if len(waiting) > 2 * workers:  # as many pictures are in memory, not all
        yield _next_of(waiting, progress)
    while waiting:
      yield _next_of(waiting, progress)


def _next_of(waiting, progress) -> np.ndarray:
  picture = waiting.popleft().result()
  if progress is not None:
    progress(1)
  return picture
