"""Unreal's Live Link Face over UDP, as the iPhone app speaks it.

A packet: the version 6 as a byte; the device's id and the subject's name, each an int32
length and so many bytes of UTF-8; the frame's number as int32, the part of a frame as
float32, the frame rate's numerator and denominator as int32; the count 61 as a byte;
61 float32: 52 weights, then yaw, pitch and roll of the head, the left eye and the right
eye. All are big-endian.

Sources: PyLiveLinkFace (github.com/JimWest/PyLiveLinkFace), a public reading of the
packets; Unreal Engine's ARKit plug-in, EARFaceBlendShape, for the order.
"""

import struct
import uuid

import numpy as np

from tdmm_jax.face.arkit import SHAPES
from tdmm_jax.face.files.arkit_csv import FROM_FILE
from tdmm_jax.live import udp
from tdmm_jax.live.clock import RATE_HZ, Frame

SUBJECT = "tdmm"  # the name that Live Link shows
_VERSION, _COUNT = 6, 61
# In the app's CSV, whose order SHAPES has, these two come the other way round.
_SWAPPED = {"JawRight": "JawLeft", "MouthRight": "MouthLeft"}
_SWAPPED |= {left: right for right, left in _SWAPPED.items()}
_ORDER = np.array([SHAPES.index(_SWAPPED.get(name, name)) for name in SHAPES])
# Readers expect a UUID's 36 characters.
_DEVICE = str(uuid.uuid5(uuid.NAMESPACE_URL, "tdmm-jax"))


def packet(frame: Frame, subject: str = SUBJECT) -> bytes:
  """One frame."""
  device, name = _DEVICE.encode(), subject.encode()
  angles = frame.turns.as_euler("YXZ").reshape(-1) * FROM_FILE
  return b"".join(
    (
      struct.pack("!Bi", _VERSION, len(device)) + device,
      struct.pack("!i", len(name)) + name,
      struct.pack("!ifii", frame.number, 0.0, RATE_HZ, 1),
      struct.pack(f"!B{_COUNT}f", _COUNT, *frame.weights_A[_ORDER], *angles),
    )
  )


class LiveLink:
  """Sends to Unreal's Live Link Face source."""

  def __init__(self, host: str, port: int):
    self._socket = udp.Socket(host, port)

  def send(self, frame: Frame) -> None:
    self._socket.send(packet(frame))

  def close(self) -> None:
    self._socket.close()
