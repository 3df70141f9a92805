// The search: "/" begins, arrows choose, Enter goes there. Its index is loaded when somebody searches, not before.
"use strict";

const MOST = 40;
let index = null;
let waiting = null;

function load() {
  waiting ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = "search-index.js"; // a script, since a page from a disk may not fetch
    script.onload = () => resolve(window.CATALOG.map(([kind, name, full, href, words]) =>
      ({ kind, name, full, href, words, key: name.toLowerCase(), all: `${full} ${words}`.toLowerCase() })));
    script.onerror = () => { waiting = null; reject(new Error("search-index.js is missing")); };
    document.head.append(script);
  });
  return waiting;
}

function rank(entry, words) {
  let sum = 0;
  for (const word of words) {
    const at = entry.key.indexOf(word);
    if (entry.key === word) sum += 0;
    else if (at === 0) sum += 1;
    else if (at > 0) sum += 2;
    else if (entry.full.toLowerCase().includes(word)) sum += 3;
    else if (entry.all.includes(word)) sum += 5;
    else return null;
  }
  return sum * 1000 + entry.name.length;
}

function find(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return [];
  const found = [];
  for (const entry of index) {
    const score = rank(entry, words);
    if (score !== null) found.push([score, entry]);
  }
  found.sort((a, b) => a[0] - b[0] || (a[1].full < b[1].full ? -1 : 1));
  return found.slice(0, MOST).map(([, entry]) => entry);
}

function start(place) {
  const input = document.createElement("input");
  Object.assign(input, { type: "search", placeholder: "Search events, services, fields", autocomplete: "off", spellcheck: false });
  const list = document.createElement("ul");
  Object.assign(list, { id: "found", hidden: true });
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Found");
  for (const [name, value] of Object.entries({ role: "combobox", "aria-label": "Search the catalog", "aria-expanded": "false", "aria-controls": "found", "aria-autocomplete": "list" })) input.setAttribute(name, value);
  const hint = document.createElement("kbd");
  hint.textContent = "/";
  hint.setAttribute("aria-hidden", "true");
  place.append(input, hint, list);
  let chosen = 0;

  function choose(number) {
    const items = list.querySelectorAll("[role=option]");
    if (!items.length) return;
    chosen = (number + items.length) % items.length;
    items.forEach((item, place) => item.setAttribute("aria-selected", String(place === chosen)));
    input.setAttribute("aria-activedescendant", items[chosen].id);
    items[chosen].scrollIntoView({ block: "nearest" });
  }

  function close() {
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }

  function go(href) {
    close();
    location.href = new URL(href, document.baseURI);
  }

  function show(entries) {
    list.replaceChildren(...entries.map((entry, number) => {
      const item = document.createElement("li");
      item.id = `found-${number}`;
      item.setAttribute("role", "option");
      const name = document.createElement("strong");
      name.textContent = entry.name;
      const kind = document.createElement("span");
      kind.className = "mark";
      kind.textContent = entry.kind;
      const more = document.createElement("small");
      more.textContent = entry.words ? `${entry.full}: ${entry.words}` : entry.full;
      item.append(name, kind, more);
      item.addEventListener("mousedown", (event) => { event.preventDefault(); go(entry.href); });
      return item;
    }));
    if (!entries.length) {
      const none = document.createElement("li");
      none.className = "none";
      none.textContent = "Nothing found";
      list.append(none);
    }
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
    choose(0);
  }

  async function search() {
    const text = input.value;
    if (!text.trim()) return close();
    index ??= await load();
    if (input.value === text) show(find(text));
  }

  input.addEventListener("focus", () => load().catch(() => {}));
  input.addEventListener("input", search);
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") choose(chosen + 1);
    else if (event.key === "ArrowUp") choose(chosen - 1);
    else if (event.key === "Escape") { close(); input.blur(); }
    else if (event.key === "Enter" && !list.hidden) {
      const entry = find(input.value)[chosen];
      if (entry) go(entry.href);
    } else return;
    event.preventDefault();
  });
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement?.tagName ?? "");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      input.focus();
      input.select();
    }
  });
}

const place = document.getElementById("search");
if (place) start(place);
