// Controls for all charts: kinds of marks, selection, copied commands, links to trials.
(() => {
  const { data, state, el } = L;
  document.querySelectorAll(".legend button[data-role]").forEach((button) => {
    button.addEventListener("click", () => {
      const off = button.getAttribute("aria-pressed") === "true";
      button.setAttribute("aria-pressed", String(!off));
      if (off) state.hidden.add(button.dataset.role); else state.hidden.delete(button.dataset.role);
      L.tell("hidden");
    });
  });

  const picked = document.getElementById("picked"), clear = document.getElementById("clear");
  if (picked) {
    const before = [...picked.childNodes];
    L.on("chosen", () => {
      const i = state.chosen;
      if (i === null) { picked.replaceChildren(...before); return; }
      const link = el("a", { href: "#trial-" + data.number[i] }, "trial " + data.number[i]);
      picked.replaceChildren("Selected: ", link, " ", L.named(i));
    });
  }
  if (clear) {
    clear.addEventListener("click", () => L.select(null));
    L.on("selection", () => {
      clear.hidden = !state.selection;
      clear.textContent = state.selection ? "Clear selection of " + state.selection.size : "";
    });
  }

  // `#trial-12` in the address selects that trial; links on the page are such addresses.
  const at = new Map(data.number.map((number, i) => [number, i]));
  function follow() {
    const i = at.get(Number(/^#trial-(\d+)$/.exec(location.hash)?.[1]));
    if (i === undefined) return false;
    L.choose(i);
    L.reveal();
    return true;
  }
  addEventListener("hashchange", follow);
  document.addEventListener("click", (event) => {
    if (event.target.closest("a")?.hash === location.hash) follow(); // the same link again
  });

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.copy");
    if (!button) return;
    const text = button.previousElementSibling.textContent;
    const done = () => { button.textContent = "copied"; setTimeout(() => { button.textContent = "copy"; }, 1500); };
    const mark = () => getSelection().selectAllChildren(button.previousElementSibling); // where there is no clipboard
    if (navigator.clipboard) navigator.clipboard.writeText(text).then(done, mark); else mark();
  });

  document.querySelectorAll("table.sortable").forEach((table) => {
    const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
    heads.forEach((head, column) => {
      const button = el("button", { type: "button" }, head.textContent);
      head.replaceChildren(button);
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.setAttribute("aria-sort", "none"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const key = (row) => { const cell = row.cells[column]; return "v" in cell.dataset ? Number(cell.dataset.v) : cell.textContent.toLowerCase(); };
        const rows = [...body.rows].sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0) * (down ? -1 : 1));
        body.append(...rows);
      });
    });
  });

  if (!follow() && data.run.first !== null) L.choose(data.run.first);
  L.on("chosen", () => {
    // A page inside another one may have no address of its own.
    try { history.replaceState(null, "", "#trial-" + data.number[state.chosen]); } catch { return; }
  });
})();
