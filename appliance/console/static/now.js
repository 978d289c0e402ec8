// The page Now: pause and resume in one click with what it did, clocks that run, whether news still come.
// How it is shown comes from the server (htmx); texts from data- attributes.

const page = document.getElementById("now");
const did = document.getElementById("did");
const filled = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
const language = document.documentElement.lang;
const clock = (at) => new Intl.DateTimeFormat(language, { timeStyle: "medium" }).format(new Date(at));

function tell(text, kind) {
  const one = document.createElement("div");
  one.className = `note ${kind}`;
  one.textContent = text;
  did.replaceChildren(one);
}

function length(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const rest = `${hours ? two(Math.floor(whole / 60) % 60) : Math.floor(whole / 60)}:${two(whole % 60)}`;
  return hours ? `${hours}:${rest}` : rest;
}

// What a pause left out first, of each party.
function paused(answer) {
  const streams = (answer.calls ?? []).flatMap((call) => call.streams ?? []);
  const firsts = streams.filter((stream) => stream.first_dropped);
  const told = firsts.map(({ party, first_dropped: first }) => filled(did.dataset.where, {
    party: did.dataset[party] ?? party,
    sequence: first.sequence,
    time: length(first.sample / first.sample_rate),
  }));
  const at = firsts.map((stream) => stream.first_dropped.at).sort()[0];
  const said = [at ? filled(did.dataset.paused, { at: clock(at), where: told.join("; ") }) : did.dataset.pausedSoon];
  if (answer.incomplete) said.push(filled(did.dataset.incomplete, { at: clock(answer.incomplete_since) }));
  tell(said.join(" "), answer.incomplete ? "bad" : "warn");
}

function resumed(answer) {
  const one = answer.pauses?.[0];
  if (one) tell(filled(did.dataset.resumed, { from: clock(one.effective_from), to: clock(one.effective_to ?? Date.now()) }), "good");
}

async function change(button, address, recording, then) {
  button.setAttribute("disabled", "");
  try {
    then(await vittne.api("POST", address, { select: { recording } }));
  } catch (problem) {
    if (problem instanceof Error) throw problem;
    tell(vittne.words(problem), "bad");
  } finally {
    button.removeAttribute("disabled");
    htmx.trigger("#now-calls", "vittne:refresh");
  }
}

page.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-pause], button[data-resume]");
  if (button?.dataset.pause) void change(button, "/api/v1/pauses", button.dataset.pause, paused);
  if (button?.dataset.resume) void change(button, "/api/v1/pauses/resume", button.dataset.resume, resumed);
});

// A part that comes anew does not close what somebody opened.
page.addEventListener("htmx:beforeSwap", (event) => {
  const open = [...event.target.querySelectorAll("details[open][id]")].map((one) => one.id);
  if (open.length) event.target.addEventListener("htmx:afterSwap", () => open.forEach((id) => document.getElementById(id)?.setAttribute("open", "")), { once: true });
});

const connection = document.querySelector("[data-connection]");
function show(state, kind) {
  connection.querySelector("[data-connection-words]").textContent = connection.dataset[state];
  connection.querySelector(".light").className = `light ${kind}`;
}
page.addEventListener("htmx:sseOpen", () => show("on", "good"));
page.addEventListener("htmx:sseError", () => show("off", "bad"));
page.addEventListener("htmx:sseClose", () => show("closed", "bad"));

// How loud each party is: what changed is told, about once a second.
const LOWEST = -60;
const SILENT_MS = 4000; // of the news: then nothing is known
let toldAt = 0;

export function showLevel(vu, level) {
  const value = Math.max(LOWEST, Math.min(0, level ?? LOWEST));
  vu.classList.toggle("none", level === null || level === undefined);
  vu.setAttribute("aria-valuenow", String(Math.round(value)));
  vu.firstElementChild.style.setProperty("transform", `scaleX(${(1 - value / LOWEST).toFixed(3)})`);
}

function levels({ data }) {
  toldAt = Date.now();
  for (const one of JSON.parse(data).level.levels) {
    const place = document.getElementById(`live-${one.recording}`);
    for (const vu of place?.querySelectorAll("[data-vu]") ?? []) showLevel(vu, one[vu.dataset.vu]);
  }
}

const sources = new WeakSet();
page.addEventListener("htmx:sseOpen", ({ detail: { source } }) => {
  if (!sources.has(source)) source.addEventListener("level", levels);
  sources.add(source);
});

setInterval(() => {
  if (!toldAt || Date.now() - toldAt < SILENT_MS) return;
  toldAt = 0;
  for (const vu of page.querySelectorAll(".live-place [data-vu]")) showLevel(vu, null);
}, 1000);

setInterval(() => {
  for (const one of page.querySelectorAll("[data-since]")) one.textContent = length((Date.now() - new Date(one.dataset.since)) / 1000);
}, 1000);
