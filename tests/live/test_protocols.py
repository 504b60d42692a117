"""Each protocol, read back from its wire by a reader that is written from its text."""

import json
import socket
import struct

import numpy as np
import pytest
import websockets.sync.client as websockets_client
from scipy.spatial.transform import Rotation

from tdmm_jax.errors import UserError
from tdmm_jax.face.arkit import SHAPES
from tdmm_jax.live import clock, live_link, session, vmc, web_socket

# Unreal's EARFaceBlendShape from JawForward to MouthRight: not the order of its CSV.
UNREAL_JAW = "JawForward JawLeft JawRight JawOpen MouthClose MouthFunnel MouthPucker"
UNREAL_JAW = [*UNREAL_JAW.split(), "MouthLeft", "MouthRight"]
HOST = "127.0.0.1"
WAIT_S = 20  # until a test gives up, not what it expects


@pytest.fixture
def frame():
  """Every weight another one; the head to the subject's left, the eyes up and right."""
  angles = [[0.3, 0.0, 0.0], [0.0, -0.2, 0.0], [-0.1, 0.0, 0.0]]  # yaw, pitch, roll
  weights_A = np.linspace(0, 1, len(SHAPES), dtype=np.float32)
  return clock.Frame(90, weights_A, Rotation.from_euler("YXZ", angles))


@pytest.fixture
def receiver():
  with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
    listening.bind((HOST, 0))
    listening.settimeout(WAIT_S)
    yield listening


def sent(receiver, scheme, frame, count=1):
  """What arrives of one frame: bytes of each datagram."""
  port = receiver.getsockname()[1]
  sender = session.connect(f"{scheme}://{HOST}:{port}", None)
  sender.send(frame)
  datagrams = [receiver.recv(65536) for _ in range(count)]
  sender.close()
  return datagrams


def test_live_link_packets_are_what_unreal_reads(frame, receiver):
  (packet,) = sent(receiver, "live-link", frame)
  assert packet[0] == 6
  at, texts = 1, []
  for _ in range(2):
    (length,) = struct.unpack_from(">i", packet, at)
    texts.append(packet[at + 4 : at + 4 + length].decode())
    at += 4 + length
  assert len(texts[0]) == 36 and texts[1] == live_link.SUBJECT
  number, part, rate, per, count = struct.unpack_from(">ifiiB", packet, at)
  assert (number, part, rate, per, count) == (90, 0.0, 60, 1, 61)
  values = np.array(struct.unpack_from(">61f", packet, at + 17))
  assert len(packet) == at + 17 + 61 * 4
  weights = dict(zip(SHAPES, frame.weights_A))
  names = [*SHAPES[:14], *UNREAL_JAW, *SHAPES[23:]]
  np.testing.assert_array_equal(values[:52], [weights[name] for name in names])
  # As in the app's recordings: yaw > 0 to the subject's right, pitch > 0 down.
  angles = [-0.3, 0, 0, 0, -0.2, 0, 0.1, 0, 0]
  np.testing.assert_allclose(values[52:], angles, atol=1e-6)


def osc(packet: bytes) -> list[tuple]:
  """(address, arguments ...) of a packet, by OSC 1.0's text: no library."""
  if packet.startswith(b"#bundle\0"):
    at, found = 16, []
    while at < len(packet):
      (size,) = struct.unpack_from(">i", packet, at)
      found += osc(packet[at + 4 : at + 4 + size])
      at += 4 + size
    return found

  def text(at):
    end = packet.index(b"\0", at)
    return packet[at:end].decode(), end + 4 - end % 4

  address, at = text(0)
  tags, at = text(at)
  values = []
  for tag in tags[1:]:
    if tag == "s":
      value, at = text(at)
    else:
      (value,), at = struct.unpack_from(f">{tag}", packet, at), at + 4
    values.append(value)
  return [(address, *values)]


def test_vmc_messages_are_osc(frame, receiver):
  count = len(list(vmc.datagrams(frame)))
  datagrams = sent(receiver, "vmc", frame, count)
  assert max(map(len, datagrams)) <= 1472  # one Ethernet frame each
  messages = [message for datagram in datagrams for message in osc(datagram)]
  assert messages[:2] == [("/VMC/Ext/OK", 1), ("/VMC/Ext/T", 1.5)]
  assert messages[-1] == ("/VMC/Ext/Blend/Apply",)
  weights = {m[1]: m[2] for m in messages if m[0] == "/VMC/Ext/Blend/Val"}
  assert list(weights) == list(SHAPES)
  np.testing.assert_array_equal(list(weights.values()), frame.weights_A)
  bones = {m[1]: m[2:] for m in messages if m[0] == "/VMC/Ext/Bone/Pos"}
  assert list(bones) == ["Head", "LeftEye", "RightEye"]
  # In Unity's axes a vector's x is the other way round, whichever way it is turned.
  mirror = np.array([-1.0, 1.0, 1.0])
  for values, turn in zip(bones.values(), frame.turns):
    np.testing.assert_array_equal(values[:3], 0)
    for vector in np.eye(3):
      seen = Rotation.from_quat(values[3:]).apply(mirror * vector)
      np.testing.assert_allclose(seen, mirror * turn.apply(vector), atol=1e-6)


@pytest.fixture
def served():
  """A WebSocket sender that refuses what it hears, and how to connect to it."""
  hear = lambda line, answer: answer(f"refused: {line}")
  sender = session.connect(f"ws://{HOST}:0", hear)
  address = f"ws://{HOST}:{sender.port}"
  yield sender, lambda **options: websockets_client.connect(address, **options)
  sender.close()


def next_frame(client, sender, frame):
  """The next message; frames are sent until one arrives, as a loop would."""
  for _ in range(200):
    sender.send(frame)
    try:
      return json.loads(client.recv(timeout=0.1))
    except TimeoutError:
      pass
  raise AssertionError("no frame arrived")


def test_a_browser_gets_frames_and_answers(frame, served):
  sender, connect = served
  with connect() as client:
    got = next_frame(client, sender, frame)
    assert got["time"] == 1.5
    assert len(got["weights"]) == 52
    expected = dict(zip(SHAPES, frame.weights_A))
    assert got["weights"]["mouthSmileLeft"] == pytest.approx(
      expected["MouthSmileLeft"], abs=1e-4
    )
    quaternions = [got[name] for name in ("head", "left_eye", "right_eye")]
    off = Rotation.from_quat(quaternions).inv() * frame.turns
    assert off.magnitude().max() < 1e-3
    client.send("hello")
    messages = [json.loads(client.recv(timeout=WAIT_S)) for _ in range(1)]
    while "error" not in messages[-1]:
      messages.append(json.loads(client.recv(timeout=WAIT_S)))
    assert messages[-1] == {"error": "refused: hello"}


def test_a_client_that_goes_away_leaves_the_stream_to_the_others(frame, served):
  sender, connect = served
  with connect() as stays, connect(close_timeout=0.1) as leaves:
    next_frame(leaves, sender, frame)
    leaves.socket.shutdown(socket.SHUT_RDWR)  # no goodbye
    for _ in range(3):
      assert next_frame(stays, sender, frame)["time"] == 1.5


def test_pages_of_other_sites_are_refused(served):
  _, connect = served
  with connect(origin="http://localhost:8000"):
    pass
  with pytest.raises(Exception, match="403"):
    connect(origin="https://example.com")


def test_a_slow_client_is_left_out_and_nothing_piles_up(frame, served):
  sender, connect = served
  small = (socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # the system keeps little for it
  with socket.socket() as raw:
    raw.setsockopt(*small)
    raw.connect((HOST, sender.port))
    with connect(sock=raw, max_queue=1, close_timeout=0.1) as client:
      next_frame(client, sender, frame)
      (left,) = sender._clients
      small = (socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
      left.transport.get_extra_info("socket").setsockopt(*small)
      for _ in range(300):  # nobody reads; half a megabyte would wait
        sender.send(frame)
      with connect() as other:  # by now all have been handed over
        next_frame(other, sender, frame)
      limit = web_socket._UNREAD_BYTES + len(web_socket.text(frame)) + 100
      assert 4096 < left.transport.get_write_buffer_size() <= limit


def test_a_port_in_use_is_one_line():
  with socket.create_server((HOST, 0)) as taken:
    port = taken.getsockname()[1]
    with pytest.raises(UserError, match=f"port {port} cannot be used .*choose another"):
      session.connect(f"ws://{HOST}:{port}", None)


@pytest.mark.parametrize(
  "to, said",
  [
    ("osc://127.0.0.1:9000", "none of live-link://HOST:PORT, vmc:"),
    ("127.0.0.1:9000", "none of"),
    ("vmc://127.0.0.1", "lacks a host or a port"),
    ("vmc://127.0.0.1:0", "lacks a host or a port"),
    ("ws://127.0.0.1:99999", "is no address"),
    ("live-link://no-such-host.invalid:11111", "no host 'no-such-host.invalid'"),
  ],
)
def test_an_address_that_is_none_is_one_line(to, said):
  with pytest.raises(UserError) as caught:
    session.connect(to, None)
  assert said in str(caught.value) and "\n" not in str(caught.value)
