// One or more motions side by side, in step: viewer.html?clips=ID,ID&autoplay=0
// or a face that never stops: viewer.html?live=1
import * as THREE from "three";
import { OrbitControls } from "./vendor/OrbitControls.js";
import { Live } from "./live.js";
import { Tracks } from "./tracks.js";

const $ = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);

async function fetched(url, kind) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error("This motion is gone; make it again.");
  return answer[kind]();
}

// head.bin: uint32 V, F; float32 albedo[V]; uint32 faces[F, 3].
async function loadHead() {
  const data = await fetched("head.bin", "arrayBuffer");
  const [V, F] = new Uint32Array(data, 0, 2);
  return {
    V, albedo: new Float32Array(data, 8, V), faces: new Uint32Array(data, 8 + 4 * V, 3 * F),
  };
}

// A clip: its JSON, and uint16[T, V, 3] that stand for low + step * n metres.
async function loadClip(id) {
  const [about, data] = await Promise.all([
    fetched(`clips/${id}/clip.json`, "json"), fetched(`clips/${id}/clip.bin`, "arrayBuffer"),
  ]);
  return { ...about, points: new Uint16Array(data) };
}

class Head {
  constructor(head, clip) {
    this.clip = clip;
    this.size = head.V * 3;
    const geometry = new THREE.BufferGeometry();
    this.position = new THREE.BufferAttribute(new Float32Array(this.size), 3);
    geometry.setAttribute("position", this.position);
    geometry.setIndex(new THREE.BufferAttribute(head.faces, 1));
    const colour = new Float32Array(this.size);
    for (let v = 0; v < head.V; v++) {  // grey of the renderer, a little warmed
      colour.set([1.02, 0.97, 0.93].map((tint) => tint * head.albedo[v]), 3 * v);
    }
    geometry.setAttribute("color", new THREE.BufferAttribute(colour, 3));
    this.material = new THREE.MeshStandardMaterial({
      vertexColors: true, roughness: 0.62, metalness: 0, side: THREE.DoubleSide,
    });
    this.mesh = new THREE.Mesh(geometry, this.material);
    this.mesh.frustumCulled = false;
    this.scene = new THREE.Scene();
    this.scene.add(this.mesh, new THREE.HemisphereLight(0xffffff, 0x8f8a85, 1.0));
    for (const [x, y, z, strength] of [
      [-0.6, 0.6, 0.9, 1.8], [0.8, 0.2, 0.8, 1.1], [0.6, 0.6, -0.8, 0.9], [-0.9, 0.2, -0.6, 0.4],
    ]) {
      const light = new THREE.DirectionalLight(0xffffff, strength);
      light.position.set(x, y, z);
      this.scene.add(light);
    }
  }

  // Shows the clip at a real-valued frame; a shorter clip stays on its last one, and a
  // live one on the first that it still has.
  show(frame) {
    const { points, low, step, frames, kept = frames } = this.clip;
    const at = Math.min(Math.max(frame, frames - kept), frames - 1);
    const before = Math.floor(at), after = Math.min(before + 1, frames - 1);
    const share = at - before;
    const a = (before % kept) * this.size, b = (after % kept) * this.size;
    const out = this.position.array;
    for (let i = 0; i < this.size; i++) {
      const n = points[a + i] + share * (points[b + i] - points[a + i]);
      out[i] = low[i % 3] + step[i % 3] * n;
    }
    this.position.needsUpdate = true;
    this.mesh.geometry.computeVertexNormals();
  }
}

class Viewer {
  constructor(head, clips) {
    this.heads = clips.map((clip) => new Head(head, clip));
    this.fps = clips[0].fps;
    this.frames = Math.max(...clips.map((clip) => clip.frames));
    this.frame = 0;
    this.playing = query.get("autoplay") !== "0";
    this.renderer = new THREE.WebGLRenderer({
      canvas: $("view"), antialias: true, preserveDrawingBuffer: true,
    });
    this.renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
    this.renderer.toneMapping = THREE.ACESFilmicToneMapping;
    this.renderer.toneMappingExposure = 1.25;
    this.renderer.setScissorTest(true);
    this.camera = new THREE.PerspectiveCamera(18, 1, 0.05, 20);
    this.controls = new OrbitControls(this.camera, $("view"));
    this.controls.enablePan = false;
    this.controls.addEventListener("change", () => { this.stale = true; });
    this.frameHead();
    this.live = clips[0] instanceof Live ? clips[0] : null;
    if (this.live) {
      this.words();
    } else {
      this.tracks = new Tracks($("tracks"), clips, this.frames, (frame) => this.seek(frame));
      this.player();
    }
    this.buttons();
    this.last = performance.now();
    requestAnimationFrame((now) => this.tick(now));
  }

  frameHead() {
    this.heads[0].show(0);
    const box = new THREE.Box3().setFromBufferAttribute(this.heads[0].position);
    box.getCenter(this.controls.target);
    const height = box.max.y - box.min.y;
    this.home = this.controls.target.clone();
    this.home.y += 0.06 * height;
    this.controls.target.copy(this.home);
    this.distance = (0.47 * height) / Math.tan((this.camera.fov * Math.PI) / 360);
    this.controls.minDistance = 0.3 * this.distance;
    this.controls.maxDistance = 3 * this.distance;
    this.reset();
  }

  reset() {
    this.camera.position.copy(this.home).add(
      new THREE.Vector3(0.16, 0.04, 1).setLength(this.distance));
    this.controls.target.copy(this.home);
    this.controls.update();
  }

  seek(frame) {
    this.playing = false;
    this.frame = Math.min(Math.max(frame, 0), this.frames - 1);
    this.stale = true;
  }

  words() {
    document.body.classList.add("live");
    this.playing = true;
    $("say").onsubmit = (event) => {
      event.preventDefault();
      const prompt = $("prompt").value.trim();
      if (!prompt) return;
      this.live.say(prompt, Number($("seconds").value));
      $("labels").querySelector("b").textContent = prompt;
      $("prompt").value = "";
    };
    $("prompt").focus();
  }

  player() {
    $("scrub").max = this.frames - 1;
    $("scrub").oninput = () => this.seek(Number($("scrub").value));
    const toggle = () => { this.playing = !this.playing; this.stale = true; };
    $("play").onclick = toggle;
    addEventListener("keydown", (event) => {
      if (event.target.tagName === "SELECT") return;
      if (event.code === "Space") toggle();
      else if (event.code === "ArrowLeft") this.seek(Math.round(this.frame) - 1);
      else if (event.code === "ArrowRight") this.seek(Math.round(this.frame) + 1);
      else return;
      event.preventDefault();
    });
  }

  buttons() {
    $("reset").onclick = () => this.reset();
    $("wire").onclick = () => {
      const on = $("wire").classList.toggle("on");
      for (const head of this.heads) head.material.wireframe = on;
      this.stale = true;
    };
    $("stage").addEventListener("pointerdown", () => { $("hint").hidden = true; });
    addEventListener("resize", () => { this.stale = true; });
  }

  tick(now) {
    const passed = Math.min(Math.max((now - this.last) / 1000, 0), 0.25);
    this.last = now;
    if (this.live) {
      this.frame = this.live.after(this.frame, passed);
    } else if (this.playing) {
      this.frame += passed * this.fps * Number($("speed").value);
      if (this.frame > this.frames - 1) this.frame = 0;
    }
    if (this.playing || this.stale) this.draw();  // a still picture costs nothing
    requestAnimationFrame((next) => this.tick(next));
  }

  draw() {
    this.stale = false;
    const stage = $("stage"), width = stage.clientWidth, height = stage.clientHeight;
    if (!width || !height) return;
    const size = this.renderer.getSize(new THREE.Vector2());
    if (size.x !== width || size.y !== height) this.renderer.setSize(width, height, false);
    const wide = width / this.heads.length;
    this.camera.aspect = wide / height;
    this.camera.updateProjectionMatrix();
    const back = getComputedStyle(stage).backgroundColor;
    this.heads.forEach((head, i) => {
      if (head.shown !== this.frame) head.show(head.shown = this.frame);
      this.renderer.setViewport(i * wide, 0, wide, height);
      this.renderer.setScissor(i * wide, 0, wide, height);
      this.renderer.setClearColor(new THREE.Color(back));
      this.renderer.render(head.scene, this.camera);
    });
    if (this.live) return;
    $("play").textContent = this.playing ? "❚❚" : "▶";
    $("scrub").value = this.frame;
    const seconds = (frame) => (frame / this.fps).toFixed(2);
    $("clock").textContent = `${seconds(this.frame)} / ${seconds(this.frames)} s`;
    this.tracks.draw(this.frame);
  }
}

function label(clip) {
  const box = document.createElement("div");
  for (const [tag, text] of [["b", clip.title], ["span", clip.caption]]) {
    const part = document.createElement(tag);
    part.textContent = part.title = text;
    box.append(part);
  }
  $("labels").append(box);
}

async function startLive(head) {
  $("message").textContent = "The face is getting ready ...";
  const told = (text) => {
    const line = $("labels").querySelector("span");
    if (line) line.textContent = line.title = text;
  };
  const live = new Live(3 * head.V, told);
  await live.begun;
  $("message").textContent = "";
  return Object.assign(live, { title: "Live", caption: "" });
}

try {
  const ids = (query.get("clips") || "").split(",").filter(Boolean);
  const live = query.get("live");
  if (!ids.length && !live) throw new Error("Your motion appears here.");
  const [head, ...clips] = await Promise.all([loadHead(), ...ids.map(loadClip)]);
  if (live) clips.push(await startLive(head));
  clips.forEach(label);
  window.viewer = new Viewer(head, clips);
  document.body.dataset.ready = "true";
} catch (error) {
  $("message").textContent = error.message;
  $("hint").hidden = $("bar").hidden = true;
  $("bar").style.display = "none";
}
