"""Runs inside Blender: imports a GLB and writes the vertices that it evaluates.

blender -b --python-exit-code 1 -P blender_evaluate.py -- FACE.glb OUT.npz FPS
"""

import sys

import bpy
import numpy as np


def main(glb, out, fps):
  bpy.ops.wm.read_factory_settings(use_empty=True)
  scene = bpy.context.scene
  scene.render.fps = int(fps)  # the importer counts frames at this rate
  bpy.ops.import_scene.gltf(filepath=glb)
  mesh = next(o for o in bpy.data.objects if o.type == "MESH" and o.data.shape_keys)
  action = bpy.data.actions[0]
  frames = np.arange(
    round(action.frame_range[0]),
    round(max(a.frame_range[1] for a in bpy.data.actions)) + 1,
  )
  vertices = []
  for frame in frames:
    scene.frame_set(int(frame))
    evaluated = mesh.evaluated_get(bpy.context.evaluated_depsgraph_get())
    points = np.empty(3 * len(evaluated.data.vertices), np.float32)
    evaluated.data.vertices.foreach_get("co", points)
    world = np.array(evaluated.matrix_world)
    points = points.reshape(-1, 3) @ world[:3, :3].T + world[:3, 3]
    vertices.append(points[:, [0, 2, 1]] * [1, 1, -1])  # z up -> y up
  np.savez(out, vertices=np.array(vertices), version=bpy.app.version_string)


if __name__ == "__main__":
  arguments = sys.argv[sys.argv.index("--") + 1 :]
  main(*arguments)
