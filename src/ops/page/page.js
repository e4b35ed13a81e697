// Keeps the page up to date: asks for it every few seconds and takes over what has changed, so that focus, selection, scrolling
// and what has been opened stay. Without this script the page is the same, as of the moment when it was loaded.
"use strict";

const EVERY_MS = 3000;
const ANSWER_MS = 8000;

const live = document.getElementById("live");
const silence = document.getElementById("silence");
const assets = document.documentElement.dataset.assets;
let silentSince = null;
let timer = null;

// What a person has opened or is at is theirs.
const kept = (node, name) => node.nodeName === "DETAILS" && name === "open";

function sameKind(now, then) {
  return now.nodeType === then.nodeType && now.nodeName === then.nodeName && (now.id ?? "") === (then.id ?? "");
}

// Makes the node `now` like `then`, changing as little as can be.
function become(now, then) {
  if (now.nodeType !== Node.ELEMENT_NODE) {
    if (now.data !== then.data) now.data = then.data;
    return;
  }
  for (const { name } of [...now.attributes]) {
    if (!then.hasAttribute(name) && !kept(now, name)) now.removeAttribute(name);
  }
  for (const { name, value } of then.attributes) {
    if (now.getAttribute(name) !== value && !kept(now, name)) now.setAttribute(name, value);
  }
  const wanted = [...then.childNodes];
  wanted.forEach((child, at) => {
    let here = now.childNodes[at];
    if (here && !sameKind(here, child) && child.id) {
      // It may stand further down: what came before it has gone.
      const moved = [...now.childNodes].slice(at).find((other) => sameKind(other, child));
      while (moved && now.childNodes[at] !== moved) now.childNodes[at].remove();
      here = now.childNodes[at];
    }
    if (!here) now.append(document.adoptNode(child));
    else if (sameKind(here, child)) become(here, child);
    else if (here.id && wanted.slice(at + 1).some((other) => sameKind(here, other))) here.before(document.adoptNode(child));
    else here.replaceWith(document.adoptNode(child));
  });
  while (now.childNodes.length > wanted.length) now.lastChild.remove();
}

function clock(date) {
  return date.toISOString().slice(11, 19) + "Z";
}

// Said once, when it begins: a screen reader would read each change aloud.
function say(text) {
  if (silence.textContent !== text) silence.textContent = text;
  document.body.classList.toggle("silent", text !== "");
}

async function refresh() {
  let answer;
  try {
    answer = await fetch(location.pathname, { cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS) });
    if (!answer.ok) throw new Error((await answer.text()).trim());
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (page.documentElement.dataset.assets !== assets) return location.reload();
    become(live, page.getElementById("live"));
    if (document.title !== page.title) document.title = page.title;
    silentSince = null;
    say("");
  } catch (error) {
    silentSince ??= new Date();
    const what = answer ? `The daemon answers with an error since ${clock(silentSince)}: ${answer.status} ${error.message}.` : `The daemon has not answered since ${clock(silentSince)}.`;
    say(`${what} What stands below is from before.`);
  }
}

async function keepRefreshing() {
  clearTimeout(timer);
  if (document.hidden) return;
  await refresh();
  clearTimeout(timer);
  timer = setTimeout(keepRefreshing, EVERY_MS);
}

document.addEventListener("visibilitychange", keepRefreshing);
timer = setTimeout(keepRefreshing, EVERY_MS);
