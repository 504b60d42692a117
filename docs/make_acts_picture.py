"""Draws docs/acts.png: each act that a sentence can ask for, where it shows most.

  PYTHONPATH=. python docs/make_acts_picture.py

Acted out by the behaviour simulator, as in the corpus; sides and directions are the
subject's left. Of two seconds the frame is drawn that is farthest from the first one,
of eyes the middle one.
"""

import make_head_sheets
import numpy as np

from data_prep import simulate
from tdmm_jax.face import face_model, load_model
from tdmm_jax.language import lexicon, wording
from tdmm_jax.language.acts import KINDS, Act
from tdmm_jax.render import caption, scene

NAME = "acts.png"
CELL, COLUMNS, SECONDS, FPS = (150, 160), 6, 2.0, 25


def act_of(name: str) -> Act:
  kind = KINDS[name]
  return Act(
    name,
    start_s=0.3,
    end_s=1.9,
    side="left" if kind.sided else "",
    direction=kind.directions[0] if kind.directions else "",
  )


def cell(head, basis, name: str) -> np.ndarray:
  act = act_of(name)
  attributes = lexicon.attributes_of([act], SECONDS) | {"placed": True}
  styles = [next(iter(s)) for s in (simulate.GENERATORS, simulate.TRACKERS)]
  shown = simulate.simulate(attributes, (5, 3), SECONDS, *styles, basis)
  vertices_TV3 = face_model.motion_vertices(head, shown)
  moved_T = np.linalg.norm(vertices_TV3 - vertices_TV3[:1], axis=-1).mean(-1)
  frame = int(moved_T.argmax())
  if KINDS[name].what == "gaze":  # the head sways farther than eyes move
    frame = round((act.start_s + act.end_s) / 2 * FPS)
  drawn = scene.render_frames(head, vertices_TV3[frame : frame + 1], CELL)[0]
  words = wording.verb(act)[wording.THIRD].replace("~", "her")
  return np.concatenate([drawn, caption.caption_strip(words, CELL[0], 11)[:40]])


def main() -> None:
  head, basis = load_model.default_head(), simulate.head_basis()
  cells = [cell(head, basis, name) for name in KINDS]
  height = max(len(each) for each in cells)
  pad = lambda each: np.pad(
    each, ((0, height - len(each)), (0, 0), (0, 0)), constant_values=255
  )
  grid = make_head_sheets.grid([pad(each) for each in cells], COLUMNS)
  make_head_sheets.save(NAME, grid)


if __name__ == "__main__":
  main()
