"""Pictures of a face: what must be seen, whatever the light."""

import types

import numpy as np
import pytest

from tdmm_jax.face import face_model, load_model
from tdmm_jax.render import looks, rasterizer, scene


def sphere_model(rings=24, radius=0.1, regions=None):
  """A ball in the shape of a face model: v_template, faces, regions."""
  polar = np.linspace(0, np.pi, rings)
  turn = np.linspace(0, 2 * np.pi, 2 * rings, endpoint=False)
  p, t = (grid.ravel() for grid in np.meshgrid(polar, turn, indexing="ij"))
  vertices = radius * np.stack(
    [np.sin(p) * np.sin(t), np.cos(p), np.sin(p) * np.cos(t)]
  )
  i, j = np.meshgrid(np.arange(rings - 1), np.arange(2 * rings), indexing="ij")
  a, b = i * 2 * rings + j, i * 2 * rings + (j + 1) % (2 * rings)
  c, d = a + 2 * rings, b + 2 * rings
  faces = np.concatenate(
    [np.stack([a, c, b], -1).reshape(-1, 3), np.stack([b, c, d], -1).reshape(-1, 3)]
  )
  return types.SimpleNamespace(
    v_template=vertices.T.astype(np.float32),
    faces=faces.astype(np.int32),
    regions=regions or {},
  )


@pytest.fixture(scope="module")
def ball():
  return sphere_model()


def test_head_is_grey_in_the_middle_on_white(ball):
  frames = scene.render_frames(ball, ball.v_template[None], size=(96, 80))
  assert frames.shape == (1, 80, 96, 3) and frames.dtype == np.uint8
  picture = frames[0]
  for corner in (picture[0, 0], picture[0, -1], picture[-1, 0], picture[-1, -1]):
    assert tuple(corner) == (255, 255, 255)
  middle = picture[35:45, 40:56]
  assert middle.min() > 60 and middle.max() < 250
  assert np.ptp(picture.astype(int), axis=-1).max() == 0  # grey all over


def test_left_of_the_subject_is_right_in_the_front_view(ball):
  moved = ball.v_template.copy()
  moved[ball.v_template[:, 0] > 0.07] *= 1.3  # the subject's left
  plain, bulged = scene.render_frames(
    ball, np.stack([ball.v_template, moved]), size=(96, 96)
  )
  change = np.abs(plain.astype(int) - bulged).sum(-1)
  assert change[:, 64:].sum() > 100 * max(change[:, :32].sum(), 1)


def test_moved_vertex_shows_and_camera_stays(ball):
  nearest = np.argmax(ball.v_template[:, 2])
  moved = ball.v_template.copy()
  moved[nearest] += (0, 0, 0.03)
  turned = ball.v_template + np.float32([0.02, 0, 0])
  plain, dented, shifted = scene.render_frames(
    ball, np.stack([ball.v_template, moved, turned]), size=(96, 96)
  )
  assert (plain != dented).any()
  # A clip is drawn under one camera: the moved head leaves the middle.
  dark = lambda picture: np.nonzero((picture[..., 0] < 250).any(0))[0]
  assert (
    dark(shifted)[0] > dark(plain)[0] + 3 and dark(shifted)[-1] > dark(plain)[-1] + 3
  )


def test_nearer_surface_hides_the_farther_one():
  square = np.float32([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]) * 0.1
  model = types.SimpleNamespace(
    v_template=np.concatenate([square - [0, 0, 0.1], square]).astype(np.float32),
    faces=np.int32([[4, 5, 6], [4, 6, 7], [0, 1, 2], [0, 2, 3]]),
    regions={"pupil": np.arange(4)},
  )
  swapped = model.v_template[[4, 5, 6, 7, 0, 1, 2, 3]]
  light, dark = scene.render_frames(model, np.stack([model.v_template, swapped]))
  assert light[160, 160, 0] > dark[160, 160, 0] + 60


def test_regions_are_told_apart_and_optional():
  front = lambda model: np.nonzero(model.v_template[:, 2] > 0.09)[0]
  plain = sphere_model()
  marked = sphere_model(regions={"pupil": front(plain)})
  grey = scene.render_frames(plain, plain.v_template[None])[0]
  dark = scene.render_frames(marked, marked.v_template[None])[0]
  assert dark[160, 160, 0] < grey[160, 160, 0] - 60


def test_eyeballs_without_an_iris_get_one_that_looks_ahead():
  ball = sphere_model(radius=0.012)
  eyes = np.concatenate(
    [ball.v_template + np.float32([x, 0, 0.1]) for x in (-0.03, 0.03)]
  )
  found = looks.vertex_looks(
    types.SimpleNamespace(v_template=eyes, regions={"eyeballs": np.arange(len(eyes))})
  )
  albedo = lambda name: np.float32(looks.REGION_LOOKS[name][0])
  for side in (-0.03, 0.03):
    front = np.linalg.norm(eyes - np.float32([side, 0, 0.112]), axis=1)
    assert found[np.argmin(front), 0] == albedo("pupil")
    assert (found[front < 0.004, 0] < albedo("eyeballs")).all()
    behind = (front > 0.008) & (np.abs(eyes[:, 0] - side) < 0.02)
    assert (found[behind, 0] == albedo("eyeballs")).all()


def test_default_head_shows_a_mouth_that_opens_and_lids_that_close():
  head = load_model.default_head()
  rest = np.zeros((1, head.exprdirs.shape[2]))
  still = {"jaw_pose": np.zeros((1, 3)), "eyelids": np.zeros((1, 2))}
  eyes = np.zeros((1, 6))
  draw = lambda **change: scene.render_frames(
    head,
    np.asarray(
      face_model.head_fixed_vertices(
        head,
        rest,
        **{**still, "eye_pose": eyes, **change},
      )
    ),
    size=(160, 160),
  )[0, ..., 0].astype(int)
  neutral = draw()
  change = lambda picture: np.abs(picture - neutral)
  camera = scene.frame_camera(head, (160, 160))
  row = lambda ids: (
    80
    - (np.asarray(head.v_template)[ids, 1].mean() - camera.target[1])
    * camera.focal_px
    / camera.distance_m
  )
  mouth, lids = int(row(head.regions["lips"])), int(row(head.regions["eyeballs"]))
  opened = change(draw(jaw_pose=np.float32([[0.3, 0, 0]])))
  closed = change(draw(eyelids=np.ones((1, 2))))
  assert opened[mouth : mouth + 12].max() > 60 and opened[: lids + 6].max() < 25
  assert closed[lids - 6 : lids + 6].max() > 60 and closed[mouth:].max() < 25


def test_views_differ_and_the_side_view_sees_the_left_side(ball):
  moved = ball.v_template.copy()
  moved[ball.v_template[:, 2] > 0.07] *= 1.15  # a nose
  pictures = {
    view: scene.render_frames(ball, moved[None], size=(96, 96), view=view)[0]
    for view in scene.VIEWS
  }
  middle = {
    view: np.nonzero((picture[..., 0] < 250).any(0))[0].mean()
    for view, picture in pictures.items()
  }
  # Carried to the subject's left, the camera sees the nose point to the picture's left.
  assert middle["side"] < middle["front"] - 1.5
  assert middle["three_quarter"] < middle["front"] - 1.5


def test_pictures_do_not_depend_on_threads_and_progress_counts(ball):
  clip = ball.v_template + np.linspace(0, 0.01, 6, dtype=np.float32)[:, None, None]
  counts = []
  one = scene.render_frames(ball, clip, size=(64, 64), workers=1)
  three = scene.render_frames(
    ball, clip, size=(64, 64), workers=3, progress=counts.append
  )
  np.testing.assert_array_equal(one, three)
  assert sum(counts) == 6


def test_a_long_clip_is_not_held_in_memory(ball, monkeypatch):
  drawn, draw = [], scene.Scene.draw
  monkeypatch.setattr(scene.Scene, "draw", lambda *job: drawn.append(job) or draw(*job))
  clip = np.repeat(ball.v_template[None], 40, 0)
  frames = scene.draw_frames(ball, clip, size=(64, 64), workers=2)
  next(frames)
  assert len(drawn) <= 6
  assert len(list(frames)) == 39


@pytest.mark.parametrize(
  ("vertices", "options", "message"),
  [
    (np.zeros((2, 5, 3)), {}, "do not fit"),
    (np.zeros((5, 3)), {}, "do not fit"),
    (None, {"view": "back"}, "front, three_quarter, side"),
    (None, {"size": (0, 64)}, "too small"),
  ],
)
def test_wrong_arguments_are_named(ball, vertices, options, message):
  vertices = ball.v_template[None] if vertices is None else vertices
  with pytest.raises(ValueError, match=message):
    scene.render_frames(ball, vertices, **options)


def test_vertex_normals_of_a_ball_point_outwards(ball):
  normals = rasterizer.vertex_normals(ball.v_template, ball.faces)
  off_pole = np.abs(ball.v_template[:, 1]) < 0.095
  cosine = (normals * ball.v_template / 0.1).sum(-1)[off_pole]
  assert cosine.min() > 0.99
