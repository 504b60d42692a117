// A timeline to drag, over the studio's text box: timeline.html?box=ID&keys=ID&longest=S
// &total=S. A part's right edge changes its length, the part itself its place; above the
// parts are keys, poses at times. What is written is the text that a person could type:
// "0-3: a slight smile", and into the second box "2: eyes closed".
const query = new URLSearchParams(location.search);
const longest = Number(query.get("longest")), total = Number(query.get("total"));
const SHORTEST = 0.4, STEP = 0.2, FRAME = 0.04, POSE = "eyes closed", HUES = [222, 190, 150, 285, 22, 48];
const $ = (id) => document.getElementById(id);
const round = (seconds) => Math.round(seconds * 100) / 100;

let box = null, keyBox = null;  // the studio's <textarea>s
let parts = [];  // {seconds, words, hue}
let keys = [];  // {at, words}
let chosenKey = null;  // one of them, or null: then it is a part that is chosen
let chosen = 0, scale = 40, nextHue = 0;

function read(text) {
  const rows = text.split(/[;\n]/).map((row) => row.match(/^\s*([\d.]+)\s*-\s*([\d.]+)\s*:\s*(.*\S)\s*$/));
  return rows.filter(Boolean).map(([, from, to, words]) => ({
    seconds: Math.max(Number(to) - Number(from), 0.04), words, hue: HUES[nextHue++ % HUES.length],
  }));
}

function readKeys(text) {
  const rows = text.split(/[;\n]/).map((row) => row.match(/^\s*([\d.]+)\s*s?\s*:\s*(.*\S)\s*$/));
  return rows.filter(Boolean).map(([, at, words]) => ({ at: Number(at), words }));
}

function put(textarea, text) {
  const setter = Object.getOwnPropertyDescriptor(
    Object.getPrototypeOf(textarea), "value").set;  // the page's framework listens to `input`
  setter.call(textarea, text);
  textarea.dispatchEvent(new Event("input", { bubbles: true }));
}

function writeKeys() {
  const rows = keys.toSorted((a, b) => a.at - b.at).map((key) => `${key.at}: ${key.words || "neutral"}`);
  put(keyBox, rows.join("\n"));
}

function write() {
  let at = 0;
  const rows = parts.map((part) => {
    const from = at;
    at = round(at + part.seconds);
    return `${from}-${at}: ${part.words || "..."}`;
  });
  put(box, rows.join("\n"));
}

const used = () => parts.reduce((sum, part) => sum + part.seconds, 0);

function draw() {
  const strip = $("strip");
  scale = strip.clientWidth / Math.max(used() + 1, 8);
  strip.replaceChildren(...parts.map((part, i) => {
    const block = document.createElement("div");
    block.className = i === chosen && !chosenKey ? "part chosen" : "part";
    block.style.width = `${part.seconds * scale}px`;
    block.style.backgroundColor = `hsl(${part.hue} 52% 48%)`;
    block.title = part.words;
    for (const [name, text] of [["", part.words || "..."], ["time", `${round(part.seconds)} s`]]) {
      const line = document.createElement("span");
      line.className = name;
      line.textContent = text;
      block.append(line);
    }
    const edge = document.createElement("i");
    edge.title = "drag: longer or shorter";
    block.append(edge);
    edge.onpointerdown = (event) => stretch(event, part, block);
    block.onpointerdown = (event) => event.target === edge || carry(event, part);
    return block;
  }));
  $("keys").replaceChildren(...keys.map((key) => {
    const mark = document.createElement("div");
    mark.className = key === chosenKey ? "key chosen" : "key";
    mark.style.left = `${key.at * scale}px`;
    mark.title = `${key.at} s: ${key.words}`;
    mark.onpointerdown = (event) => slide(event, key);
    return mark;
  }));
  const ticks = Math.floor(strip.clientWidth / scale);
  $("ruler").replaceChildren(...Array.from({ length: ticks + 1 }, (_, second) => {
    const tick = document.createElement("span");
    tick.style.left = `${second * scale}px`;
    tick.textContent = second % 2 ? "" : `${second} s`;
    return tick;
  }));
  if (document.activeElement !== $("words")) $("words").value = (chosenKey ?? parts[chosen])?.words ?? "";
}

// Follows the pointer until it is let go.
function follow(event, moved, save = write) {
  event.preventDefault();
  addEventListener("pointermove", moved);
  addEventListener("pointerup", () => {
    removeEventListener("pointermove", moved);
    draw();
    save();
  }, { once: true });
}

function slide(event, key) {
  const start = event.clientX, before = key.at;
  chosenKey = key;
  $("words").blur();
  draw();
  const mark = $("keys").children[keys.indexOf(key)];
  follow(event, (now) => {
    const wanted = before + (now.clientX - start) / scale;
    key.at = round(Math.min(Math.max(Math.round(wanted / FRAME) * FRAME, 0), used()));
    mark.style.left = `${key.at * scale}px`;
  }, writeKeys);
}

function stretch(event, part, block) {
  const start = event.clientX, before = part.seconds;
  const room = Math.min(longest, total - used() + before);
  chosen = parts.indexOf(part);
  chosenKey = null;
  follow(event, (now) => {
    const wanted = before + (now.clientX - start) / scale;
    part.seconds = round(Math.min(Math.max(Math.round(wanted / STEP) * STEP, SHORTEST), room));
    block.style.width = `${part.seconds * scale}px`;
    block.querySelector(".time").textContent = `${part.seconds} s`;
  });
}

function carry(event, part) {
  chosen = parts.indexOf(part);
  chosenKey = null;
  $("words").blur();
  draw();
  follow(event, (now) => {
    const x = now.clientX - $("strip").getBoundingClientRect().left;
    let at = 0, place = 0;
    for (const other of parts) {  // behind every part whose middle lies left of the pointer
      if (other !== part && x > (at + other.seconds / 2) * scale) place++;
      at += other.seconds;
    }
    if (place === parts.indexOf(part)) return;
    parts = parts.filter((other) => other !== part);
    parts.splice(place, 0, part);
    chosen = place;
    draw();
    $("strip").children[place].classList.add("moved");
  });
}

function take() {
  nextHue = 0;
  parts = read(box.value);
  chosen = Math.min(chosen, Math.max(parts.length - 1, 0));
  keys = readKeys(keyBox.value);
  chosenKey = null;
  draw();
}

function start() {
  box = parent.document.querySelector(`#${query.get("box")} textarea`);
  keyBox = parent.document.querySelector(`#${query.get("keys")} textarea`);
  if (!box || !keyBox || !$("strip").clientWidth) return void setTimeout(start, 200);
  for (const each of [box, keyBox]) {
    each.addEventListener("input", (event) => event.isTrusted && take());
  }
  $("words").oninput = () => {
    const what = chosenKey ?? parts[chosen];
    if (!what) return;
    what.words = $("words").value.replace(/[;\n]/g, ",").trim();
    draw();
    chosenKey ? writeKeys() : write();
  };
  $("add").onclick = () => {
    const seconds = round(Math.min(2, total - used()));
    if (seconds < SHORTEST) return;
    parts.push({ seconds, words: "She smiles.", hue: HUES[nextHue++ % HUES.length] });
    chosen = parts.length - 1;
    chosenKey = null;
    draw();
    write();
  };
  $("addkey").onclick = () => {
    const before = parts.slice(0, chosen).reduce((sum, part) => sum + part.seconds, 0);
    const taken = (at) => keys.some((key) => Math.abs(key.at - at) < FRAME);
    let at = round(Math.round((before + (parts[chosen]?.seconds ?? 0) / 2) / FRAME) * FRAME);
    while (taken(at)) at = round(at + 10 * FRAME);
    if (at > used()) return;
    chosenKey = { at, words: POSE };
    keys.push(chosenKey);
    draw();
    writeKeys();
  };
  $("drop").onclick = () => {
    if (chosenKey) {
      keys = keys.filter((key) => key !== chosenKey);
      chosenKey = null;
      draw();
      writeKeys();
      return;
    }
    if (parts.length < 2) return;
    parts.splice(chosen, 1);
    chosen = Math.max(chosen - 1, 0);
    draw();
    write();
  };
  addEventListener("resize", draw);
  take();
  document.body.dataset.ready = "true";
}

start();
