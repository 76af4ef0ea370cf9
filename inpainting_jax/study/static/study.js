// The course of a study: consent, practice, trials, end. What is asked comes from the
// server, as do the trials; it keeps the answers, and this page forgets them.

import { expose, forget, layout, preload, slot } from "./trial.js";

const KEYS = [["f", "arrowleft"], ["j", "arrowright"]];
const FEEDBACK_MS = 1500;
const AHEAD = 4; // trials whose pictures are loaded in advance
const LABELS = {
  real: "Yes, untouched", generated: "No, altered", left: "Left", right: "Right",
};
const COLUMN_LABELS = { left: "Upper", right: "Lower" };
const find = (id) => document.getElementById(id);
let texts;

function show(id) {
  for (const main of document.querySelectorAll("main")) main.hidden = main.id !== id;
  window.scrollTo(0, 0);
}

// Tries until it works: a server that comes back goes on with the same trial.
async function persist(attempt) {
  for (let wait = 500; ; wait = Math.min(2 * wait, 8000)) {
    try {
      const result = await attempt();
      find("feedback").textContent = "";
      return result;
    } catch (error) {
      find("feedback").textContent = "No connection: trying again …";
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }
}

function ask(path, body) {
  const options = body && { method: "POST", body: JSON.stringify(body) };
  return persist(async () => {
    const response = await fetch(path, options);
    if (response.status >= 500) throw new Error(response.statusText);
    return { status: response.status, body: await response.json() };
  });
}

const load = (name, place) => persist(() => preload(name, place));

function tell(title, text, code) {
  find("message-title").textContent = title;
  find("message-text").textContent = text;
  find("code-line").hidden = !code;
  find("code").textContent = code || "";
  show("message");
}

function pause(title, text, keys) {
  find("pause-title").textContent = title;
  find("pause-text").textContent = text;
  find("pause-keys").textContent = keys;
  show("pause");
  find("continue").focus();
  return new Promise((resolve) => {
    find("continue").onclick = resolve;
  });
}

// Two tabs would share one code: the second one is told.
function openElsewhere() {
  const channel = new BroadcastChannel("study");
  return new Promise((resolve) => {
    channel.onmessage = ({ data }) => {
      if (data === "anyone") channel.postMessage("here");
      else resolve(true);
    };
    channel.postMessage("anyone");
    setTimeout(() => resolve(false), 300);
  });
}

async function consent() {
  const boxes = [find("adult"), find("vision")];
  const update = () => {
    find("agree").disabled = !boxes.every((box) => box.checked);
  };
  boxes.forEach((box) => { box.onchange = update; });
  update();
  show("consent");
  await new Promise((resolve) => { find("agree").onclick = resolve; });
  const side = Math.min(screen.width, screen.height);
  const { body } = await ask("/api/observers", {
    consent: true,
    screen: side < 600 ? "phone" : side < 1000 ? "tablet" : "desktop",
    pixel_ratio: window.devicePixelRatio || 1,
    scaled: layout(256, 256, texts.choices[0] === "left" ? 2 : 1, 0).scaled,
  });
  localStorage.setItem("code", body.code);
  return body;
}

async function resume() {
  const code = localStorage.getItem("code");
  if (!code) return null;
  const { status, body } = await ask(`/api/observers/${encodeURIComponent(code)}`);
  if (status === 200) return body;
  localStorage.removeItem("code");
  return null;
}

// Pictures in their places, hidden; buttons in theirs, disabled.
async function arrange(trial, choices) {
  const images = await Promise.all(trial.images.map((name) => load(name)));
  const reference = trial.reference && await load(trial.reference, "reference");
  const { naturalWidth: width, naturalHeight: height } = images[0];
  const above = reference ? 1 : 0;
  const { scale, column, scaled } = layout(width, height, images.length, above);
  const boxes = images.map((image) => slot(image, scale, scaled));
  find("stage").replaceChildren(...boxes);
  find("stage").classList.toggle("column", column);
  find("reference").replaceChildren();
  if (reference) {
    const box = slot(reference, scale, scaled);
    box.querySelector("img").classList.remove("off");
    find("reference").append(box);
  }
  const labels = column ? { ...LABELS, ...COLUMN_LABELS } : LABELS;
  const buttons = choices.map((choice, i) => {
    const button = document.createElement("button");
    button.textContent = labels[choice];
    button.dataset.choice = choice;
    button.disabled = true;
    const hint = document.createElement("kbd");
    hint.textContent = KEYS[i][0].toUpperCase();
    button.append(hint);
    return button;
  });
  find("choices").replaceChildren(...buttons);
  find("question").textContent = texts.question;
  return { boxes, buttons };
}

// The choice, by key, button or a touch of the picture, and when it was made.
function choose(boxes, buttons) {
  const pairs = boxes.length === 2;
  return new Promise((resolve) => {
    const done = (button, event) => {
      document.removeEventListener("keydown", press);
      buttons.forEach((b) => { b.disabled = true; });
      boxes.forEach((box) => { box.onclick = null; box.classList.remove("open"); });
      resolve({ choice: button.dataset.choice, time: event.timeStamp });
    };
    const press = (event) => {
      const place = KEYS.findIndex((keys) => keys.includes(event.key.toLowerCase()));
      if (place >= 0 && !event.repeat && !event.ctrlKey && !event.metaKey) {
        event.preventDefault();
        done(buttons[place], event);
      }
    };
    document.addEventListener("keydown", press);
    buttons.forEach((button, i) => {
      button.disabled = false;
      button.onclick = (event) => done(button, event);
      if (pairs) {
        boxes[i].classList.add("open");
        boxes[i].onclick = (event) => done(button, event);
      }
    });
  });
}

async function runTrial(path, number, trial, choices) {
  const { boxes, buttons } = await arrange(trial, choices);
  const seen = await expose(boxes, trial.exposure_ms, () => {
    const body = JSON.stringify({ trial: number });
    // not waited for: the answer comes later anyway
    fetch(`${path}/shown`, { method: "POST", body, keepalive: true }).catch(() => {});
  });
  if (!seen) return false;
  const { choice, time } = await choose(boxes, buttons);
  const answer = {
    trial: number,
    choice,
    response_ms: Math.max(0, time - seen.start),
    client_time: Date.now(),
  };
  if (trial.exposure_ms) {
    answer.shown_ms = seen.shown_ms;
    answer.frame_ms = seen.frame_ms;
  }
  const { status, body } = await ask(`${path}/answers`, answer);
  if (status !== 201 && status !== 409) throw new Error(body.error);
  forget(trial);
  if (body.feedback) await feedback(body.feedback, boxes);
  return true;
}

async function feedback({ right, answer }, boxes) {
  const truth = {
    real: "it was untouched", generated: "it was altered",
    left: "it was the first", right: "it was the second",
  }[answer];
  find("feedback").textContent = right ? "Right" : `No: ${truth}`;
  for (const box of boxes) box.querySelector("img").classList.remove("off");
  await new Promise((resolve) => setTimeout(resolve, FEEDBACK_MS));
  find("feedback").textContent = "";
}

async function run(state) {
  const path = `/api/observers/${state.code}`;
  const { trials, pending } = state;
  const choices = state.swapped && texts.choices[0] === "real"
    ? [...texts.choices].reverse() : texts.choices;
  const [first, second] = choices.map((choice) => LABELS[choice]);
  const keys = `Keys: F or ← for “${first}”, J or → for “${second}”; or touch.`;
  const timed = trials.some((trial) => trial.exposure_ms);
  const how = timed
    ? "Each picture appears briefly, after a cross: look at the cross. " : "";
  const again = pending.length < trials.length;
  let practising = null;
  while (pending.length) {
    const number = pending[0];
    const trial = trials[number];
    if (practising !== trial.practice) {
      const title = trial.practice ? "Practice"
        : again && practising === null ? "Welcome back" : "Now it counts";
      const tip = trial.practice
        ? "The first trials are for practice, and tell you what was right. " : "";
      await pause(title, `${texts.question} ${how}${tip}`, keys);
      practising = trial.practice;
    }
    find("progress").textContent = `${trials.length - pending.length + 1} / ${trials.length}`;
    show("trial");
    for (const ahead of pending.slice(1, AHEAD)) {
      trials[ahead].images.forEach((name) => preload(name).catch(() => {}));
    }
    const answered = await runTrial(path, number, trial, choices);
    pending.shift();
    if (!answered) {
      const last = pending.findLastIndex((n) => trials[n].practice === trial.practice);
      pending.splice(last + 1, 0, number); // last of its part
      await pause("Interrupted", "The picture was hidden; it comes again later.", keys);
    }
  }
  localStorage.removeItem("code");
  tell("Thank you", "That was all. You can close this page.", state.code);
}

async function main() {
  texts = (await ask("/api/study")).body;
  document.title = texts.title;
  document.querySelector(".title").textContent = texts.title;
  document.querySelector(".contact").textContent = texts.contact;
  find("code-contact").textContent = texts.contact ? `: ${texts.contact}` : "";
  find("asker").hidden = !texts.contact;
  if (await openElsewhere()) {
    tell("Already open", "This study is open in another tab: please go on there.");
    return;
  }
  await run(await resume() || await consent());
}

main().catch((error) => {
  tell("Something went wrong", `${error.message}. Reload this page to go on.`);
});
