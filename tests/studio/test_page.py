"""The studio in a real browser, and under load."""

import concurrent.futures
import io as streams
import itertools
import os
import pathlib

import gradio_client
import httpx
import numpy as np
import pytest
from PIL import Image

from data_prep import track_landmarks
from tdmm_jax.errors import UserError
from tdmm_jax.face import motion as motion_lib
from tdmm_jax.face.files import read
from tdmm_jax.render import video

SLOW_MS = 240_000  # a shared machine compiles slowly; nothing here waits this long


class Page:
  """A page of the studio, with all it asked of the network."""

  def __init__(self, browser, address):
    self.address, self.requests, self.faults = address, [], []
    self.page = browser.new_page(viewport={"width": 1280, "height": 1000})
    self.page.set_default_timeout(SLOW_MS)
    self.page.on("request", lambda request: self.requests.append(request.url))
    self.page.on("pageerror", lambda error: self.faults.append(str(error)))
    self.page.goto(address)
    self.page.wait_for_selector("#generate")

  @property
  def shown(self):
    """The address of the 3D view."""
    return self.page.get_attribute("#viewer iframe", "src")

  def press(self, button):
    """Presses a button that makes a motion; waits until it is drawn."""
    before = self.shown
    self.page.click(button)
    self.page.wait_for_function(
      "old => document.querySelector('#viewer iframe').getAttribute('src') !== old",
      arg=before,
    )
    self.view.locator("body[data-ready=true]").wait_for()

  @property
  def view(self):
    return self.page.frame_locator("#viewer iframe")

  def picture(self, frame):
    """The canvas at a frame of the motion, uint8[H, W, 3]."""
    inner = self.page.frames[-1]
    inner.evaluate("frame => { viewer.seek(frame); viewer.draw(); }", frame)
    data = streams.BytesIO(self.view.locator("#view").screenshot())
    return np.asarray(Image.open(data).convert("RGB")).astype(int)

  def text(self, selector):
    return self.page.input_value(f"{selector} textarea")


@pytest.fixture
def page(browser, studio):
  opened = Page(browser, studio)
  yield opened
  opened.page.close()
  assert opened.faults == []
  away = [
    url for url in opened.requests if not url.startswith((studio, "data:", "blob:"))
  ]
  assert away == []  # it works with no network


def test_a_prompt_becomes_a_moving_head_and_a_file(page, tmp_path):
  page.page.fill("#prompt textarea", "A woman smiles broadly, then nods.")
  page.page.get_by_label("number input for Length, seconds").first.fill("1.2")
  page.page.keyboard.press("Tab")
  page.press("#generate")
  pictures = [page.picture(frame) for frame in (0, 14, 29)]
  ink = np.abs(pictures[0] - pictures[0][4, 4]).sum(-1) > 30
  assert 0.05 < ink.mean() < 0.9  # a head on a ground
  assert all(np.abs(a - b).max() > 20 for a, b in itertools.pairwise(pictures))
  np.testing.assert_array_equal(page.picture(0), pictures[0])  # scrubbed back
  page.page.mouse.move(800, 400)
  page.page.mouse.down()
  page.page.mouse.move(900, 420, steps=4)
  page.page.mouse.up()
  page.page.wait_for_timeout(300)
  assert np.abs(page.picture(0) - pictures[0]).max() > 20  # orbited
  assert page.text("#heard")
  assert page.view.locator("#labels b").inner_text().startswith("A woman smiles")
  page.page.fill("#question textarea", "What is this face doing?")
  page.page.click("#question button")
  page.page.wait_for_selector("#answer textarea")
  with page.page.expect_download() as waited:
    page.page.click("#files a")
  path = tmp_path / waited.value.suggested_filename
  waited.value.save_as(path)
  assert read.load_motion(path).num_frames == 30


def test_the_timeline_is_dragged_and_writes_its_text(page):
  page.page.get_by_role("tab", name="Timeline").click()
  strip = page.page.frame_locator("#drag iframe")
  strip.locator("body[data-ready=true]").wait_for()
  assert page.text("#timeline").startswith("0-2: She looks slightly happy.\n2-5: ")
  edge = strip.locator(".part i").first.bounding_box()
  x, y = edge["x"] + 5, edge["y"] + 20
  page.page.mouse.move(x, y)
  page.page.mouse.down()
  page.page.mouse.move(x - 60, y, steps=6)
  page.page.mouse.up()
  first = page.text("#timeline").split(": ")[0]
  assert first.startswith("0-") and 0.4 <= float(first[2:]) < 2
  before = strip.locator(".part").all_inner_texts()
  page.page.mouse.move(x - 90, y)
  page.page.mouse.down()
  page.page.mouse.move(x + 250, y, steps=8)
  page.page.mouse.up()
  after = strip.locator(".part").all_inner_texts()
  assert after != before and sorted(after) == sorted(before)
  first = page.text("#timeline").splitlines()[0]
  assert not first.endswith("She looks slightly happy.")
  strip.locator("#words").fill("He nods; twice")
  assert ": He nods, twice" in page.text("#timeline")


def test_keys_are_added_dragged_named_and_removed(page):
  page.page.get_by_role("tab", name="Timeline").click()
  strip = page.page.frame_locator("#drag iframe")
  strip.locator("body[data-ready=true]").wait_for()
  parts = page.text("#timeline")
  strip.locator("#addkey").click()
  strip.locator("#addkey").click()
  assert page.text("#keys") == "1: eyes closed\n1.4: eyes closed"
  assert strip.locator(".key.chosen").count() == 1
  strip.locator("#words").fill("neutral")
  mark = strip.locator(".key").last.bounding_box()
  x, y = mark["x"] + mark["width"] / 2, mark["y"] + mark["height"] / 2
  page.page.mouse.move(x, y)
  page.page.mouse.down()
  page.page.mouse.move(x + 60, y, steps=6)
  page.page.mouse.up()
  time, pose = page.text("#keys").splitlines()[1].split(": ")
  assert pose == "neutral" and 1.5 < float(time) < 5
  strip.locator("#drop").click()
  assert page.text("#keys") == "1: eyes closed" and strip.locator(".key").count() == 1
  strip.locator(".part").first.click(position={"x": 5, "y": 30})
  assert strip.locator(".key.chosen").count() == 0
  assert page.text("#timeline") == parts


def test_a_live_face_moves_until_it_is_stopped_and_hears(page, no_face_is_live):
  page.page.get_by_role("tab", name="Live").click()
  page.page.click("#start_live")
  page.view.locator("body.live[data-ready=true]").wait_for()
  assert not page.page.is_visible("#film")  # which is of motions
  inner = next(frame for frame in page.page.frames if "live=1" in frame.url)
  inner.wait_for_function("viewer.live.frames > 30")
  look = lambda: np.asarray(
    Image.open(streams.BytesIO(page.view.locator("#view").screenshot())).convert("RGB")
  ).astype(int)
  first = look()
  ink = np.abs(first - first[4, 4]).sum(-1) > 30
  assert 0.05 < ink.mean() < 0.9  # a head on a ground
  inner.wait_for_function("viewer.frame > 40 && viewer.live.frames - viewer.frame < 16")
  assert np.abs(look() - first).max() > 20
  page.view.locator("#prompt").fill("She smiles.")
  page.view.locator("#seconds").fill("0.8")
  page.view.locator("#prompt").press("Enter")
  assert page.view.locator("#labels b").inner_text() == "She smiles."
  page.view.locator("#prompt").fill("smiles " * 50)
  page.view.locator("#prompt").press("Enter")
  page.view.locator("#labels span", has_text="text pieces").wait_for()
  page.page.click("#stop_live")
  page.page.wait_for_selector("#film")
  no_face_is_live()


def test_a_broken_upload_shows_its_message_and_a_good_one_is_described(page, tmp_path):
  broken, good = tmp_path / "broken.npz", tmp_path / "good.npz"
  broken.write_bytes(b"PK\x03\x04 nonsense")
  motion_lib.zeros(12).save(good)
  page.page.get_by_role("tab", name="Motion → words").click()
  upload = page.page.locator("#upload input[type=file]")
  upload.set_input_files(broken)
  page.page.locator("#upload").get_by_text("broken").wait_for()
  page.page.click("#describe")
  page.page.get_by_text("broken.npz: is damaged").wait_for()
  page.page.get_by_label("Remove this file").or_(
    page.page.locator("#upload button[aria-label='Clear']")
  ).first.click()
  upload.set_input_files(good)
  page.page.locator("#upload").get_by_text("good").wait_for()
  page.press("#describe")
  assert page.text("#heard")


@pytest.fixture
def face_video(tmp_path):
  """A second of a real person's video, where there is one, and a tracker."""
  folder = pathlib.Path(os.environ.get("TDMM_REAL_DATA", "/nonexistent"))
  videos = sorted(folder.glob("open3dfacevid_clips/*.mp4"))
  if not videos:
    pytest.skip("TDMM_REAL_DATA names no folder with videos")
  try:
    track_landmarks.environment_python()
  except UserError as error:
    pytest.skip(str(error))
  frames, fps = video.read_video(videos[0])
  return video.write_video(tmp_path / "face.mp4", frames[: round(fps)], fps)


@pytest.mark.slow
def test_a_face_in_a_video_is_followed_and_described(page, face_video):
  page.page.get_by_role("tab", name="Motion → words").click()
  page.page.locator("#upload input[type=file]").set_input_files(face_video)
  page.page.locator("#upload").get_by_text("face").first.wait_for()
  page.press("#describe")
  assert page.view.locator("#labels b").inner_text() == "face.mp4" and page.text(
    "#heard"
  )
  assert np.abs(page.picture(0) - page.picture(20)).max() > 20


@pytest.mark.skipif(
  not os.environ.get("TDMM_STUDIO_PICTURE"),
  reason="TDMM_STUDIO_PICTURE names no file for docs/studio.png",
)
def test_the_picture_of_the_docs(browser, released_studio):
  opened = Page(browser, released_studio)
  opened.view.locator("body[data-ready=true]").wait_for()
  assert opened.text("#heard")
  files = opened.page.locator("#files a").first.bounding_box()
  assert files["y"] + files["height"] < 1000  # in sight without scrolling
  opened.picture(45)
  opened.page.screenshot(path=os.environ["TDMM_STUDIO_PICTURE"])
  opened.page.close()
  assert opened.faults == []


def test_nothing_outside_the_studios_folder_can_be_read(studio, tmp_path):
  secret = tmp_path / "mine.txt"
  secret.write_text("a secret")
  for path in (
    *(f"/gradio_api/file={name}" for name in (secret, "/etc/passwd", "README.md")),
    *(
      "/studio/../server.py",
      "/studio/%2e%2e/server.py",
      "/studio/clips/%2e%2e/head.bin",
    ),
    "/studio/clips/" + "0" * 32 + "/clip.json",
  ):
    answer = httpx.get(studio + path)
    assert answer.status_code in (400, 403, 404), path
    assert "a secret" not in answer.text and "root:" not in answer.text
  foreign = httpx.get(studio, headers={"Host": "attacker.example"})
  assert foreign.status_code == 400
  payload = {"data": [{"path": str(secret), "meta": {"_type": "gradio.FileData"}}]}
  started = httpx.post(f"{studio}/gradio_api/call/describe", json=payload)
  if started.status_code == 200:
    event = started.json()["event_id"]
    url = f"{studio}/gradio_api/call/describe/{event}"
    told = httpx.get(url, timeout=60).text
    assert "event: error" in told and "a secret" not in told


def test_a_too_large_upload_is_refused(studio):
  content = {"files": ("big.npz", bytes(21 << 20))}
  answer = httpx.post(f"{studio}/gradio_api/upload", files=content, timeout=60)
  assert answer.status_code == 413


def resident_mb() -> float:
  """What this process holds in memory; the browser is not in it."""
  with open("/proc/self/statm") as stream:
    return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def test_clients_at_once_are_all_answered_and_memory_stays(studio):
  def ask(number):
    client = gradio_client.Client(studio, verbose=False)
    request = ("She smiles.", 0.4, "Natural", "Default", number, 1)
    return [client.predict(*request, api_name="/generate") for _ in range(2)]

  ask(0)  # compiled
  before = resident_mb()
  with concurrent.futures.ThreadPoolExecutor(4) as pool:
    answers = list(pool.map(ask, range(4)))
  heard = [[answer[1] for answer in pair] for pair in answers]
  assert all(first == second and first for first, second in heard)  # its seed's motion
  assert resident_mb() - before < 150
