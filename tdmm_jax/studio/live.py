"""The live face of a page: frames over a WebSocket, sentences the other way.

The server first sends {"fps", "low", "step"} as JSON, then each frame as uint16[V, 3],
little-endian, that stand for low + step * n metres; the page answers each with an empty
text. Any other text of the page is a sentence, as `tdmm live` takes it; what there is
to be said about it comes back as {"error": "..."}.

Shape letters: P motion vector, V vertices.
"""

import asyncio
import collections
import functools
import itertools
import time
import urllib.parse

import jax
import jax.numpy as jnp
import numpy as np
from starlette.websockets import WebSocket, WebSocketDisconnect

from tdmm_jax.data import tasks
from tdmm_jax.errors import UserError
from tdmm_jax.face import face_model as face_lib
from tdmm_jax.face import motion_vector

MAX_FACES = 4  # each takes a few hundredths of a core, and more while it is told things
SECONDS = 4.0  # of sentences that do not say how long they are
_LONGEST = 2**12  # characters of a message: a prompt of 400, as JSON escapes it
# Frames that a page has not answered yet, about a third of a second: it gets the next
# one when it has, so that what it shows is never older.
_MOST_UNREAD = 8
_CATCH_UP_S = 0.2  # frames that are later than this stay late: no face moves faster
_SEEDS_APART = 1000  # between the faces of two pages, which are not to move alike
_TRY_AGAIN_LATER, _POLICY_VIOLATION = 1013, 1008  # RFC 6455's registry


class Faces:
  """All live faces of a studio: one for each page that has started one."""

  def __init__(self, face):
    """
    Args:
      face: generate.face.Face.
    """
    self._face, self._open = face, 0
    self._seeds = itertools.count(step=_SEEDS_APART)

  async def serve(self, socket: WebSocket) -> None:
    """One page's face, until the page goes away."""
    if not _same_site(socket):
      await socket.close(_POLICY_VIOLATION)
      return
    await socket.accept()
    if self._open == MAX_FACES:
      told = f"{MAX_FACES} live faces are shown already; stop one of them"
      await _refuse(socket, told, _TRY_AGAIN_LATER)
      return
    self._open += 1
    try:
      live = await asyncio.to_thread(self._session)
      try:
        await self._stream(socket, live)
      finally:
        # Nobody waits: a server that ends cancels whatever does.
        asyncio.get_running_loop().run_in_executor(None, live.close)
    except* WebSocketDisconnect:
      pass
    except* UserError as group:
      await _refuse(socket, str(group.exceptions[0]))
    finally:
      self._open -= 1

  def _session(self):
    from tdmm_jax.live import session  # what opening the studio need not wait for

    seconds = min(SECONDS, self._face.max_seconds)
    live = session.Session(self._face, seconds, next(self._seeds))
    self._points.of(live.mixer.frame())  # compiles
    return live

  @functools.cached_property
  def _points(self) -> "Points":
    return Points(self._face.codec.face)

  async def _stream(self, socket: WebSocket, live) -> None:
    unread, answers = 0, collections.deque()

    async def show():
      nonlocal unread
      due = time.monotonic()
      while True:
        while answers:
          await socket.send_json({"error": answers.popleft()})
        if unread < _MOST_UNREAD:
          # In a thread, for the page's other requests are answered in this one.
          points = await asyncio.to_thread(lambda: self._points.of(live.mixer.frame()))
          unread += 1
          await socket.send_bytes(points)
        due = max(due + 1 / tasks.FPS, time.monotonic() - _CATCH_UP_S)
        await asyncio.sleep(due - time.monotonic())

    await socket.send_json(self._points.about)
    async with asyncio.TaskGroup() as group:
      showing = group.create_task(show())
      async for line in socket.iter_text():  # ends when the page goes away
        if not line:
          unread -= 1
        elif len(line) > _LONGEST:
          answers.append("prompt: too long; shorten it")
        else:
          await asyncio.to_thread(live.hear, line, answers.append)
      showing.cancel()


class Points:
  """Vertices of single frames, as the viewer reads them.

  Attributes:
    about: what the page is told first.
  """

  def __init__(self, face: face_lib.FaceModel):
    """
    Args:
      face: of whose basis the frames are.
    """
    mean = face_lib.with_identity(face, np.zeros(face.num_shape, np.float32))
    neutral_V3 = np.asarray(face.v_template)
    low, high = neutral_V3.min(axis=0), neutral_V3.max(axis=0)
    size = (high - low).max()  # room to turn the head in
    low, step = low - size / 2, (high - low + size) / np.iinfo(np.uint16).max
    self._args = jax.device_put((mean, low, step))
    self.about = {"fps": tasks.FPS, "low": low.tolist(), "step": step.tolist()}

  def of(self, frame_P: np.ndarray) -> bytes:
    """uint16[V, 3] of a motion vector."""
    return np.asarray(_quantized(*self._args, frame_P)).astype("<u2").tobytes()


@jax.jit
def _quantized(face, low_3, step_3, frame_P) -> jax.Array:
  fields = motion_vector.split(frame_P)
  fields["eyelids"] = jnp.clip(fields["eyelids"], 0.0, 1.0)
  rest_3 = jnp.zeros(3)
  vertices_V3 = face_lib.posed_vertices(face, neck_pose=rest_3, **fields)
  most = np.iinfo(np.uint16).max
  return jnp.clip(jnp.round((vertices_V3 - low_3) / step_3), 0, most).astype(jnp.uint16)


def _same_site(socket: WebSocket) -> bool:
  """Browsers let any site's page open any WebSocket, and say only whose page it is."""
  origin = socket.headers.get("origin")
  return (
    origin is None or urllib.parse.urlsplit(origin).netloc == socket.headers["host"]
  )


async def _refuse(socket: WebSocket, told: str, code: int = 1000) -> None:
  try:
    await socket.send_json({"error": told})
    await socket.close(code)
  except WebSocketDisconnect:
    pass
