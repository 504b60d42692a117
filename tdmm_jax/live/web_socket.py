"""Frames as JSON over a WebSocket, and sentences the other way.

A frame is {"time": s, "weights": {"eyeBlinkLeft": 0 .. 1, ...}, "head": [x, y, z, w],
"left_eye": [...], "right_eye": [...]}: ARKit's names; quaternions in the face's own
axes, which are three.js' (y up, the face looks along +z). A client sends {"prompt":
"She smiles.", "seconds": 4}; what there is to be said about it comes back as {"error":
"..."}.
"""

import asyncio
import json
import re
import socket
import threading
from collections.abc import Callable

import websockets.asyncio.server as websockets_server

from tdmm_jax.errors import UserError
from tdmm_jax.face.arkit import SHAPES
from tdmm_jax.live.clock import Frame

NAMES = tuple(name[0].lower() + name[1:] for name in SHAPES)
TURNS = ("head", "left_eye", "right_eye")
_DIGITS = 4
_LONGEST_MESSAGE = 2**14  # bytes
# A client that has not read so much, about half a second, is left out until it has.
_UNREAD_BYTES = 2**16
_LOCAL = ("127.0.0.1", "::1", "localhost")
# Pages that may listen where only this machine can: its own, and files ("null").
_ORIGINS = [
  None,
  "null",
  re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"),
]


def text(frame: Frame) -> str:
  """One frame as JSON."""
  weights = [round(float(weight), _DIGITS) for weight in frame.weights_A]
  turns = frame.turns.as_quat().round(_DIGITS).tolist()
  content = {"time": round(frame.time_s, _DIGITS), "weights": dict(zip(NAMES, weights))}
  return json.dumps(content | dict(zip(TURNS, turns, strict=True)))


class WebSocket:
  """A server that sends every frame to all who listen.

  Attributes:
    port: the one it listens on.
  """

  def __init__(
    self, host: str, port: int, hear: Callable[[str, Callable[[str], None]], None]
  ):
    """
    Args:
      port: 0 takes a free one.
      hear: called with each message and a function that answers it; must not wait.

    Raises:
      UserError: the port is taken, or there is no such host.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
      listening = socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
      reason = getattr(error, "strerror", None) or error
      raise UserError(
        f"to: port {port} cannot be used on {host} ({reason}); choose another"
      ) from error
    self.port = listening.getsockname()[1]
    self._hear, self._clients = hear, set()
    self._loop, self._closing = asyncio.new_event_loop(), asyncio.Event()
    origins = _ORIGINS if host in _LOCAL else None
    self._thread = threading.Thread(
      target=self._run, args=(listening, origins), daemon=True, name="websocket"
    )
    self._thread.start()

  def send(self, frame: Frame) -> None:
    if self._clients:
      self._loop.call_soon_threadsafe(self._broadcast, text(frame))

  def close(self) -> None:
    self._loop.call_soon_threadsafe(self._closing.set)
    self._thread.join()

  def _run(self, listening: socket.socket, origins) -> None:
    async def serve():
      async with websockets_server.serve(
        self._serve_client,
        sock=listening,
        origins=origins,
        max_size=_LONGEST_MESSAGE,
        close_timeout=1,
        compression=None,  # a frame is small, and must not wait
      ):
        await self._closing.wait()

    with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
      runner.run(serve())

  async def _serve_client(self, client) -> None:
    self._clients.add(client)
    try:
      async for message in client:  # ends when the client goes away, however it does
        self._hear(message, lambda line: self._answer(client, line))
    finally:
      self._clients.discard(client)

  def _answer(self, client, line: str) -> None:
    message = json.dumps({"error": line})
    send = lambda: websockets_server.broadcast([client], message)
    self._loop.call_soon_threadsafe(send)

  def _broadcast(self, message: str) -> None:
    reading = [
      client
      for client in self._clients
      if client.transport.get_write_buffer_size() < _UNREAD_BYTES
    ]
    websockets_server.broadcast(reading, message)
