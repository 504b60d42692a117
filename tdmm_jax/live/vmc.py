"""The Virtual Motion Capture protocol: OSC messages for VRM avatars.

Weights go out under ARKit's names ("perfect sync"), rotations of three bones in Unity's
axes: left-handed, y up, the avatar looking along +z, so x is the other way round.

Source: protocol.vmc.info/english.
"""

from collections.abc import Iterator

from pythonosc import osc_bundle_builder, osc_message, osc_message_builder

from tdmm_jax.face.arkit import SHAPES
from tdmm_jax.live import udp
from tdmm_jax.live.clock import Frame

BONES = ("Head", "LeftEye", "RightEye")
_TO_UNITY = (1.0, -1.0, -1.0, 1.0)  # of a quaternion x, y, z, w
_BUNDLE_BYTES = 1300  # the protocol asks for datagrams that no network splits


def messages(frame: Frame) -> Iterator[osc_message.OscMessage]:
  """The messages of one frame, in the order in which they are to be read."""
  yield _message("OK", 1)
  yield _message("T", float(frame.time_s))
  for bone, turn in zip(BONES, frame.turns.as_quat() * _TO_UNITY, strict=True):
    yield _message("Bone/Pos", bone, 0.0, 0.0, 0.0, *map(float, turn))
  for name, weight in zip(SHAPES, frame.weights_A, strict=True):
    yield _message("Blend/Val", name, float(weight))
  yield _message("Blend/Apply")


def _message(path: str, *values) -> osc_message.OscMessage:
  builder = osc_message_builder.OscMessageBuilder(f"/VMC/Ext/{path}")
  for value in values:
    builder.add_arg(value)
  return builder.build()


def datagrams(frame: Frame) -> Iterator[bytes]:
  """Bundles of these messages."""
  bundle, size = _bundle(), 0
  for message in messages(frame):
    if size + message.size > _BUNDLE_BYTES:
      yield bundle.build().dgram
      bundle, size = _bundle(), 0
    bundle.add_content(message)
    size += message.size + 4  # each is preceded by its length
  yield bundle.build().dgram


def _bundle() -> osc_bundle_builder.OscBundleBuilder:
  return osc_bundle_builder.OscBundleBuilder(osc_bundle_builder.IMMEDIATELY)


class Vmc:
  """Sends to VSeeFace, Warudo and whatever else receives VMC."""

  def __init__(self, host: str, port: int):
    self._socket = udp.Socket(host, port)

  def send(self, frame: Frame) -> None:
    for datagram in datagrams(frame):
      self._socket.send(datagram)

  def close(self) -> None:
    self._socket.close()
