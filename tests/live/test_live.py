"""A face that never stops: on time, without a jump, whatever is typed. No real time."""

import itertools
import socket
import threading

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tdmm_jax.cli import main
from tdmm_jax.errors import UserError
from tdmm_jax.face import motion_vector
from tdmm_jax.live import clock, idle, mixer, session

WIDTH = 50 + motion_vector.NUM_POSE
STD = np.full(WIDTH, 0.1, np.float32)
HEAD, LIDS = slice(-3, None), slice(53, 55)
TAKEOVER_S = 0.3
STEP = 0.08  # of any track in a frame, at which nobody sees a jump; see `far_away`


class FakeTime:
  """A clock that stands still unless somebody sleeps or works."""

  def __init__(self):
    self.now = 100.0

  def clock(self):
    return self.now

  def sleep(self, seconds):
    assert seconds > 0
    self.now += seconds

  @property
  def timing(self):
    return {"clock": self.clock, "sleep": self.sleep}


class Sink:
  """Keeps what is sent, and when; `work` is called with each frame's place."""

  def __init__(self, time, work=lambda place: None):
    self.time, self.work, self.frames, self.at = time, work, [], []
    self.closed = False

  def send(self, frame):
    self.frames.append(frame)
    self.at.append(self.time.now)
    self.work(len(self.frames) - 1)

  def close(self):
    self.closed = True


def turning(k):
  """A pose whose weights are k and whose head turns by 0.1 rad a frame."""
  turns = Rotation.from_rotvec([[0.2, 0.1 * k, 0.0], [0, 0, 0], [0, 0, 0.3]])
  return clock.Pose(np.full(52, float(k)), turns)


def looped(time, sink, frames=120):
  counter = itertools.count()
  loop = clock.Loop(lambda: next(counter), turning, [sink], **time.timing)
  loop.run(lambda: len(sink.frames) < frames)
  return loop


def test_25_frames_are_sent_at_60_on_time():
  time = FakeTime()
  sink = Sink(time)
  loop = looped(time, sink)
  assert (loop.sent, loop.dropped) == (120, 0)
  np.testing.assert_allclose(np.diff(sink.at), 1 / 60)
  assert [frame.number for frame in sink.frames] == list(range(120))
  weights = [frame.weights_A[0] for frame in sink.frames]
  np.testing.assert_allclose(weights, np.arange(120) * 25 / 60)


def test_between_two_frames_a_rotation_takes_the_shortest_way_at_one_speed():
  one = clock.Pose(np.zeros(52), Rotation.from_rotvec([[1.2, 0.3, -0.4]] * 3))
  other = clock.Pose(np.ones(52), Rotation.from_rotvec([[-0.8, 1.5, 0.9]] * 3))
  whole = (one.turns.inv() * other.turns).magnitude()
  for share in (0.0, 0.3, 0.5, 1.0):
    between = one.towards(other, share).turns
    done, left = one.turns.inv() * between, between.inv() * other.turns
    np.testing.assert_allclose(done.magnitude(), share * whole, atol=1e-9)
    np.testing.assert_allclose(left.magnitude(), (1 - share) * whole, atol=1e-9)


def test_late_frames_are_dropped_and_what_follows_is_on_time():
  time = FakeTime()

  def stumble(place):  # once, for as long as 5.5 frames take
    if place == 10:
      time.now += 5.5 / 60

  sink = Sink(time, stumble)
  loop = looped(time, sink)
  assert loop.dropped == 4 and loop.sent == 120
  numbers = np.array([frame.number for frame in sink.frames])
  assert numbers[-1] == 119 + loop.dropped
  late = np.array(sink.at) - (sink.at[0] + numbers / 60)
  assert (late > -1e-9).all() and np.flatnonzero(late > 1e-9).tolist() == [11]
  weights = [frame.weights_A[0] for frame in sink.frames]
  np.testing.assert_allclose(weights, numbers * 25 / 60)  # the motion's time goes on


def test_a_machine_that_slept_does_not_run_after_lost_time():
  time = FakeTime()

  def nap(place):
    if place == 10:
      time.now += 3600

  sink = Sink(time, nap)
  loop = looped(time, sink)
  assert loop.dropped == 0
  np.testing.assert_allclose(np.diff(sink.at)[11:], 1 / 60)


def idle_frames(count, seed=0):
  return np.stack(list(itertools.islice(idle.frames(WIDTH, "default_v2", seed), count)))


def steps(frames):
  return np.abs(np.diff(np.asarray(frames, np.float64), axis=0))


def test_idle_blinks_and_is_never_still():
  made = idle_frames(25 * 60)
  shut = (made[:, LIDS].min(axis=1) > 0.9).astype(int)
  blinks = (np.diff(shut) == 1).sum()
  assert 10 <= blinks <= 30  # people at rest: 17 a minute
  head = made[:, HEAD]
  assert 0.005 < np.abs(head).max() < 0.06
  assert (steps(head).max(axis=1) > 0).all() and steps(head).max() < 0.004
  gaze = made[:, 55:58] + head  # in the world
  assert 0.05 < np.ptp(gaze[:, 1]) < 0.6
  assert not made[:, :50].any()  # and the face itself is at rest
  assert (made[:99] == idle_frames(99)).all()
  assert not (made[:99] == idle_frames(99, seed=1)).all()


def far_away(frames=60):
  """A sentence that begins far from rest, at once in motion: 4 times STEP and more."""
  made = np.full((frames, WIDTH), 0.4, np.float32)
  made[:, HEAD] += 0.1 * np.sin(np.arange(frames) / 5)[:, None]
  return made


def spoken(frames, complete=True):
  sentence = mixer.Sentence()
  sentence.frames.extend(frames)
  sentence.complete = complete
  return sentence


@pytest.fixture
def mixed():
  return mixer.Mixer(idle.frames(WIDTH, "default_v2", 0), STD)


def without_lids(frames):
  """Lids blink, which is a jump."""
  return np.delete(np.asarray(frames), np.r_[LIDS], axis=1)


def test_a_sentence_takes_over_at_once_without_a_jump_and_hands_back(mixed):
  before = [mixed.frame() for _ in range(40)]
  mixed.say(spoken(far_away(60)))
  during = [mixed.frame() for _ in range(60)]
  after = [mixed.frame() for _ in range(100)]
  shown = without_lids(before + during + after)
  assert steps(shown).max() < STEP
  assert steps(without_lids([before[-1], far_away()[0]])).max() > 4 * STEP
  alone = idle_frames(200)
  # Within 7 frames, which are 280 ms, it is on its way; in the end it is itself, and
  # after that the idle motion is.
  moved = np.abs(during[6][:50] - alone[46][:50]).min()
  assert moved > 0.02
  np.testing.assert_allclose(during[-1], far_away()[59], atol=1e-5)
  np.testing.assert_allclose(after[-1], alone[-1], atol=1e-5)


def test_a_new_sentence_takes_over_from_the_one_that_is_shown(mixed):
  mixed.say(spoken(far_away(400)))
  first = [mixed.frame() for _ in range(80)]
  mixed.say(spoken(-far_away(400)))
  second = [mixed.frame() for _ in range(80)]
  assert steps(without_lids(first + second)).max() < STEP
  np.testing.assert_allclose(second[-1][:50], -0.4, atol=1e-5)


def test_a_sentence_that_comes_too_slowly_costs_no_jump(mixed):
  [mixed.frame() for _ in range(10)]
  sentence, shown = spoken([], complete=False), []
  for k, frame in enumerate(far_away(60)):
    if k == 5:
      mixed.say(sentence)
    sentence.frames.append(frame)
    shown += [mixed.frame() for _ in range(1 + 3 * (k % 10 == 9))]
  sentence.complete = True
  assert mixed.speaking is bool(sentence.frames)
  assert steps(without_lids(shown)).max() < STEP


def wait_for(event):
  assert event.wait(60), "a thread hangs"


def test_the_newest_sentence_wins_and_a_broken_one_costs_nothing(mixed):
  begun, go_on, answers = threading.Event(), threading.Event(), []
  made = []

  def make(prompt, seconds):
    made.append(prompt)
    if prompt == "refused":
      raise UserError("prompt: no")
    if prompt == "broken":
      raise ZeroDivisionError("by zero")
    for _ in range(int(seconds * 5)):
      yield far_away(5)
      if prompt == "long":
        begun.set()
        wait_for(go_on)

  answered = threading.Event()
  answer = lambda line: (answers.append(line), answered.set())
  worker = mixer.Worker(mixed, make)
  worker.ask(mixer.Request("long", 600, answer))
  wait_for(begun)
  worker.ask(mixer.Request("never seen", 600, answer))
  worker.ask(mixer.Request("refused", 4, answer))
  go_on.set()
  wait_for(answered)
  answered.clear()
  worker.ask(mixer.Request("broken", 4, answer))
  wait_for(answered)
  worker.close()
  assert made == ["long", "refused", "broken"]
  assert answers[0] == "prompt: no"
  assert "'broken' could not be acted out" in answers[1] and "by zero" in answers[1]
  assert mixed.speaking  # what had been made of the long one


@pytest.mark.parametrize(
  "line, expected",
  [
    ("She smiles.\n", ("She smiles.", 4.0)),
    (b"  Elle est \xc3\xa9mue. ", ("Elle est émue.", 4.0)),
    ('{"prompt": "She smiles."}', ("She smiles.", 4.0)),
    ('{"prompt": "She smiles.", "seconds": 2}', ("She smiles.", 2)),
  ],
)
def test_lines_are_sentences_or_json(line, expected):
  assert session.parse(line, 4.0) == expected


@pytest.mark.parametrize(
  "line, said",
  [
    ('{"prompt": ', "not JSON"),
    ("[" * 100_000, "not JSON"),
    ("[1]", 'has no "prompt"'),
    ('{"prompt": 3}', 'has no "prompt"'),
    ('{"prompt": "x", "second": 3}', "'second': not known"),
    ('{"prompt": "x", "seconds": "3"}', "seconds '3': is no number"),
    ('{"prompt": "x", "seconds": true}', "seconds True: is no number"),
    ('{"prompt": "x", "seconds": NaN}', "seconds nan: out of range"),
    ('{"prompt": "x", "seconds": 1e9}', "seconds 1e+09: out of range"),
    ('{"prompt": " "}', "prompt: empty"),
    ("word " * 400, "text pieces, the limit is"),
  ],
)
def test_what_cannot_be_acted_out_is_one_line(live, line, said):
  answers = []
  live.hear(line, answers.append)
  assert len(answers) == 1 and said in answers[0] and "\n" not in answers[0]
  assert not live.speaking


@pytest.fixture(scope="module")
def live(loaded_run):
  made = session.Session(loaded_run, seconds=1.2)
  yield made
  made.close()


def test_a_sentence_is_seen_within_300_ms_of_its_first_frames(live):
  """And without a jump, as sent. The clock is a fake one; it stands still till then."""
  time, ready, pause = FakeTime(), [], threading.Event()

  def work(place):
    if place == 30:
      live.hear("A woman looks very happy.", pytest.fail)
      while live._worker.busy:  # a real thread, for which fake time waits
        pause.wait(0.01)
      ready.append((place, live.mixer._next))

  sink = Sink(time, work)
  loop = clock.Loop(live.mixer.frame, live.pose_of, [sink], **time.timing)
  loop.run(lambda: len(sink.frames) < 150)
  (place, sentence) = ready[0]
  assert sentence is not None and sentence.over and not live.speaking
  shown = np.stack([f.weights_A for f in sink.frames])
  first = next(i for i in range(place, 150) if np.abs(steps(shown)[i]).max() > 1e-3)
  assert sink.at[first] - sink.at[place] <= TAKEOVER_S
  heads = Rotation.concatenate([f.turns[0] for f in sink.frames])
  moves = (heads[1:] * heads[:-1].inv()).magnitude()
  # What the sentence does later is its own business, and a tiny model's is not smooth:
  # its beginning must not be rougher.
  around, later = slice(place, first + 12), slice(first + 12, None)
  for step, least in ((moves, 0.03), (steps(shown).max(axis=1), 0.12)):
    assert step[around].max() < max(least, 1.25 * step[later].max())


def test_lines_end_and_the_last_sentence_is_still_shown(loaded_run):
  time, answers = FakeTime(), []
  sink = Sink(time)
  lines = ["\n", "{", "She smiles.\n"]
  made = session.Session(loaded_run, seconds=1.2)
  loop = session.run(made, [sink], lines, answers.append, **time.timing)
  assert len(answers) == 1 and "not JSON" in answers[0]
  assert loop.sent == len(sink.frames) >= 1.2 * 60 - 5
  assert sink.closed and not made._worker._thread.is_alive()


def test_ctrl_c_ends_it_cleanly(loaded_run):
  def interrupt(place):
    if place == 5:
      raise KeyboardInterrupt

  time = FakeTime()
  sink, over = Sink(time, interrupt), threading.Event()
  waiting = iter(over.wait, True)  # a terminal at which nothing is typed
  made = session.Session(loaded_run, seconds=1.2)
  session.run(made, [sink], waiting, pytest.fail, **time.timing)
  over.set()
  assert len(sink.frames) == 6 and sink.closed
  assert not made._worker._thread.is_alive()


def test_the_command_sends_what_is_typed(tiny_run, tmp_path, monkeypatch, capsys):
  (tmp_path / "typed").write_text('{"prompt": "She smiles.", "seconds": 0.4}\n[\n')
  with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
    receiver.bind(("127.0.0.1", 0))
    to = f"live-link://127.0.0.1:{receiver.getsockname()[1]}"
    with (tmp_path / "typed").open() as typed:
      monkeypatch.setattr("sys.stdin", typed)
      assert main.main(["live", "--run", str(tiny_run), "--to", to]) == 0
    receiver.settimeout(5)
    assert receiver.recv(2000)[0] == 6
  told = capsys.readouterr().err
  assert f"live on {to}" in told and "frames sent" in told
  assert "'[': not JSON" in told
