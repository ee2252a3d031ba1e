"use strict";
// Shared by all scripts: trials, state, colors and helpers. Text never becomes markup.
const L = (() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const state = { chosen: null, selection: null, hidden: new Set(), printing: false, fromTable: false };
  const listeners = {};
  const probed = {};
  for (const [column, pairs] of Object.entries(data.probed)) probed[column] = new Map(pairs);

  const on = (name, act) => (listeners[name] ||= []).push(act);
  const tell = (name) => (listeners[name] || []).forEach((act) => act());
  const word = (at) => data.words[at];
  const role = (i) => data.roles[data.role[i]];
  const value = (column, i) => data.values[column][i] ?? probed[column]?.get(i) ?? null;
  const visible = (i) => data.role[i] >= 0 && !state.hidden.has(role(i));
  const selected = (i) => !state.selection || state.selection.has(i);

  function el(name, given = {}, ...children) {
    const found = document.createElement(name);
    for (const [key, item] of Object.entries(given)) {
      if (key === "class") found.className = item;
      else if (key.startsWith("on")) found.addEventListener(key.slice(2), item);
      else found.setAttribute(key, item);
    }
    found.append(...children.filter((child) => child !== null && child !== ""));
    return found;
  }

  // A label may break at spaces, after + _ , ; and before a bracket.
  function recipe(text) {
    const code = el("code"), inner = el("bdi");
    text.split(/(?<=[+_,;])|(?=\[)/).forEach((part, at) => { if (at) inner.append(el("wbr")); inner.append(part); });
    code.append(inner);
    return code;
  }

  // A trial's label, with the meaning of each step as its title.
  function named(i) {
    const code = recipe(word(data.label[i])), said = data.steps[i].map((at) => data.recipe[at]).filter((step) => step[3]);
    code.title = said.map((step) => step[4] + ": " + step[3]).join("\n");
    return code;
  }

  function numbers(i) {
    const found = [];
    data.columns.forEach((column, c) => {
      const text = data.texts[c][i];
      if (text !== null) found.push([column.title, text, data.spreads[c][i] || ""]);
    });
    return found;
  }

  function choose(i) { if (state.chosen !== i) { state.chosen = i; tell("chosen"); } }
  function select(found) { if (found || state.selection) { state.selection = found; tell("selection"); } }

  function colors() {
    const style = getComputedStyle(document.documentElement), found = {};
    for (const name of ["bg", "panel", "ink", "soft", "faint", "line", "accent", "grid", "low", "high", "warn"]) {
      found[name] = style.getPropertyValue("--" + name).trim();
    }
    const paper = { bg: "#fff", panel: "#fff", ink: "#000", soft: "#333", faint: "#666", line: "#ccc", accent: "#1f4fb0", grid: "#e6e6e6", low: "#bcd0f7", high: "#0b2a6b" };
    return state.printing ? Object.assign(found, paper) : found;
  }

  const tip = el("div", { id: "tip", "aria-hidden": "true", hidden: "" });
  document.body.append(tip);
  function hint(i, x, y) {
    tip.hidden = i === null;
    if (i === null) return;
    const rows = numbers(i).map(([title, text, spread]) => el("div", {}, el("span", {}, title), el("b", {}, text), el("small", {}, spread)));
    tip.replaceChildren(recipe(word(data.label[i])), el("p", {}, "trial " + data.number[i] + " · " + data.kinds[data.kind[i]]), ...rows);
    const box = tip.getBoundingClientRect();
    tip.style.left = Math.max(8, x + 16 + box.width > innerWidth ? x - box.width - 16 : x + 16) + "px";
    tip.style.top = Math.max(8, Math.min(y - 12, innerHeight - box.height - 8)) + "px";
  }
  addEventListener("scroll", () => hint(null), { passive: true });

  // Calls act once, when the element comes near the screen, or before the page is printed.
  const waiting = new Map();
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) arrive(entry.target);
  }, { rootMargin: "400px" });
  function arrive(element) {
    const act = waiting.get(element);
    if (!act) return;
    waiting.delete(element);
    watcher.unobserve(element);
    act();
  }
  function whenNear(element, act) { waiting.set(element, act); watcher.observe(element); }

  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", () => tell("theme"));
  addEventListener("beforeprint", () => { state.printing = true; [...waiting.keys()].forEach(arrive); tell("print"); });
  addEventListener("afterprint", () => { state.printing = false; tell("print"); });
  const narrow = () => innerWidth < 700;
  let wasNarrow = narrow(), wait = 0;
  addEventListener("resize", () => {
    clearTimeout(wait);
    wait = setTimeout(() => { if (narrow() !== wasNarrow) { wasNarrow = narrow(); tell("narrow"); } tell("resize"); }, 60);
  });

  return { data, state, on, tell, word, role, value, visible, selected, el, recipe, named, numbers, choose, select, colors, hint, whenNear, narrow };
})();
