"""The studio's live face without a browser: what its WebSocket says and bears."""

import itertools
import json

import numpy as np
import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from tdmm_jax.face import face_model as face_lib
from tdmm_jax.face import motion_vector
from tdmm_jax.live import idle
from tdmm_jax.studio import live, server

PATH = "/studio/live"
SMILE = json.dumps({"prompt": "She smiles.", "seconds": 0.8})


@pytest.fixture(scope="module")
def face(loaded_run):
  return loaded_run


@pytest.fixture
def client(face, tmp_path):
  with TestClient(server.make_app(face, tmp_path)) as opened:
    yield opened


@pytest.fixture(scope="module")
def points(face):
  return live.Points(face.codec.face)


def idle_frames(face, seed=0):
  return idle.frames(len(face.codec.std_P), face.codec.face.name, seed)


def frames(socket, count):
  """So many frames, each answered, as the viewer does."""
  for _ in range(count):
    yield socket.receive_bytes()
    socket.send_text("")


def seen(about, data):
  """float[V, 3], m: what the viewer makes of a frame."""
  numbers = np.frombuffer(data, "<u2").reshape(-1, 3)
  return np.array(about["low"]) + numbers * np.array(about["step"])


def test_a_frame_is_its_vertices_to_a_hundredth_of_a_millimetre(face, points):
  rng = np.random.default_rng(0)
  vector_P = rng.normal(0, 0.3, len(face.codec.std_P)).astype(np.float32)
  model = face.codec.face
  motion = motion_vector.to_motion(vector_P[None], model.name)
  expected_V3 = face_lib.motion_vertices(model, motion)[0]
  np.testing.assert_allclose(
    seen(points.about, points.of(vector_P)), expected_V3, atol=1e-5
  )


def test_a_face_idles_acts_a_sentence_out_and_idles_again(client, face, points):
  at_rest = (points.of(frame_P) for frame_P in idle_frames(face))
  next(at_rest)  # made to compile
  with client.websocket_connect(PATH) as socket:
    about = socket.receive_json()
    assert about == points.about
    shown = list(frames(socket, 30))
    assert shown == list(itertools.islice(at_rest, 30)) and len(set(shown)) == 30
    socket.send_text(SMILE)
    after = []
    while not after or after[-1] == next(at_rest):
      after += frames(socket, 1)
      assert len(after) < 250  # it was heard
    taken_over = len(after)
    after += frames(socket, 60)
  shown_TV3 = np.stack([seen(about, data) for data in shown[-1:] + after])
  moves = np.abs(np.diff(shown_TV3, axis=0)).max(axis=(1, 2))
  assert moves[taken_over - 1] < 0.002 < moves.max()  # m in a frame
  assert after[-1] == next(itertools.islice(at_rest, 59, None))


def test_a_page_that_reads_nothing_is_sent_nothing_until_it_does(client):
  with client.websocket_connect(PATH) as socket:
    socket.receive_json()
    for _ in range(live._MOST_UNREAD):
      socket.receive_bytes()
    socket.send_text("[]")  # its answer would come after the frames that were sent
    assert 'has no "prompt"' in socket.receive_json()["error"]
    socket.send_text("")
    assert socket.receive_bytes()


@pytest.mark.parametrize(
  ("line", "told"),
  [
    ('{"prompt": 3}', 'has no "prompt" that is text'),
    ('{"prompt": ""}', "prompt: empty"),
    ('{"prompt": "She smiles.", "seconds": 4000}', "seconds 4000: out of range"),
    ("a" * 5000, "prompt: too long"),
  ],
)
def test_what_cannot_be_acted_out_is_answered_and_the_face_goes_on(client, line, told):
  with client.websocket_connect(PATH) as socket:
    socket.receive_json()
    socket.send_text(line)
    while "text" not in (message := socket.receive()):
      socket.send_text("")
    assert told in json.loads(message["text"])["error"]
    assert len(list(frames(socket, 5))) == 5


def test_faces_are_few_and_a_page_that_goes_away_makes_room(
  client, monkeypatch, no_face_is_live
):
  monkeypatch.setattr(live, "MAX_FACES", 1)
  for _ in range(2):
    with client.websocket_connect(PATH) as socket:
      socket.receive_json()
      socket.send_text(SMILE)
      with client.websocket_connect(PATH) as other:
        told = other.receive_json()["error"]
        assert told == "1 live faces are shown already; stop one of them"
        with pytest.raises(WebSocketDisconnect):
          other.receive_json()
      assert len(list(frames(socket, 3))) == 3
  no_face_is_live()


@pytest.mark.parametrize(
  ("origin", "let_in"),
  [
    ("http://testserver", True),
    ("http://attacker.example", False),
    ("http://testserver.attacker.example", False),
    ("http://testserver:81", False),
    ("null", False),
  ],
)
def test_pages_of_other_sites_are_refused(client, origin, let_in):
  def visit():
    with client.websocket_connect(PATH, headers={"Origin": origin}) as socket:
      return socket.receive_json()

  if let_in:
    assert visit()["fps"] == 25
  else:
    with pytest.raises(WebSocketDisconnect) as refused:
      visit()
    assert refused.value.code == live._POLICY_VIOLATION
