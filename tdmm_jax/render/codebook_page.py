"""The page of `tdmm codebook`: every code's face, in one file that needs no other."""

import base64
import io
import pathlib
from collections.abc import Callable

import jinja2
import numpy as np
from PIL import Image

from tdmm_jax import files
from tdmm_jax.face import face_model as face_lib
from tdmm_jax.face import motion_vector
from tdmm_jax.render import scene

SIZE = (120, 132)  # pixels of a face


def write(
  path: pathlib.Path, codec, book, progress: Callable[[int], None] | None = None
) -> None:
  """Writes the page of a `codebook_view.Book` under a temporary name, then renames.

  Args:
    progress: called with the number of faces newly drawn.
  """
  environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  page = environment.get_template("codebook.html.j2").render(
    codec=codec,
    summary=book.summary,
    phases=_phases(book, _pictures(codec, book.vectors, progress)),
    counted=book.counts is not None,
    most=1 if book.counts is None else max(int(book.counts.max()), 1),
    size=SIZE,
  )
  files.write_text(path, page)


def _phases(book, pictures: list[str]) -> dict[int, list[dict]]:
  """Phase -> what is shown of each of its codes."""
  phases: dict[int, list[dict]] = {}
  for i, code in enumerate(book.codes):
    near = zip(book.neighbours[i], book.distances_mm[i])
    item = {
      "code": int(code),
      "picture": pictures[i],
      "count": None if book.counts is None else int(book.counts[i]),
      "near": [(int(book.codes[j]), float(mm)) for j, mm in near],
    }
    phases.setdefault(int(book.phases[i]), []).append(item)
  return phases


def _pictures(codec, vectors_KP: np.ndarray, progress) -> list[str]:
  """Data URIs of the faces of motion vectors."""
  pictures = []
  for start in range(0, len(vectors_KP), 64):
    motion = motion_vector.to_motion(vectors_KP[start : start + 64], codec.face.name)
    vertices = face_lib.motion_vertices(codec.face, motion, identity=False)
    frames = scene.render_frames(
      codec.face, vertices, size=SIZE, view="face", progress=progress
    )
    pictures += map(_data_uri, frames)
  return pictures


def _data_uri(frame: np.ndarray) -> str:
  stream = io.BytesIO()
  Image.fromarray(frame).convert("L").save(stream, "webp", quality=70, method=4)
  return "data:image/webp;base64," + base64.b64encode(stream.getvalue()).decode()
