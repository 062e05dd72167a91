"use strict";
// Everything on the page is visible without this script: it only adds tabs, sorting, copying,
// zoom and the choice between light and dark.

function addTabs(group) {
  const panels = [...group.querySelectorAll(":scope > .panel")];
  if (panels.length < 2) return;
  const list = document.createElement("div");
  list.className = "tabs";
  list.setAttribute("role", "tablist");
  list.setAttribute("aria-label", group.dataset.label);
  const tabs = panels.map((panel) => {
    const tab = document.createElement("button");
    tab.type = "button";
    tab.id = `${panel.id}-tab`;
    tab.textContent = panel.querySelector("h3").textContent;
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-controls", panel.id);
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", tab.id);
    list.append(tab);
    return tab;
  });
  const select = (chosen, focus) => {
    tabs.forEach((tab, i) => {
      tab.setAttribute("aria-selected", String(i === chosen));
      tab.tabIndex = i === chosen ? 0 : -1;
      panels[i].hidden = i !== chosen;
    });
    if (focus) tabs[chosen].focus();
  };
  const moves = { ArrowRight: 1, ArrowLeft: -1 };
  tabs.forEach((tab, i) => {
    tab.addEventListener("click", () => select(i, false));
    tab.addEventListener("keydown", (event) => {
      let next = null;
      if (event.key in moves) next = (i + moves[event.key] + tabs.length) % tabs.length;
      if (event.key === "Home") next = 0;
      if (event.key === "End") next = tabs.length - 1;
      if (next === null) return;
      event.preventDefault();
      select(next, true);
    });
  });
  group.classList.add("tabbed");
  group.prepend(list);
  select(0, false);
}

function sortBy(table, index, heading) {
  const up = heading.getAttribute("aria-sort") !== "ascending";
  table.querySelectorAll("thead th").forEach((th) => th.removeAttribute("aria-sort"));
  heading.setAttribute("aria-sort", up ? "ascending" : "descending");
  const body = table.tBodies[0];
  const key = (row) => {
    const cell = row.cells[index];
    return cell.dataset.sort === undefined ? cell.textContent.trim() : Number(cell.dataset.sort);
  };
  const empty = (value) => value === "" || value === "–" || value === "not estimable";
  const rows = [...body.rows].sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    if (empty(x) || empty(y)) return Number(empty(x)) - Number(empty(y));
    const order =
      typeof x === "number" && typeof y === "number"
        ? x - y
        : String(x).localeCompare(String(y), "en", { numeric: true });
    return up ? order : -order;
  });
  body.append(...rows);
}

function addSorting(table) {
  if (table.tBodies[0].rows.length < 2) return;
  [...table.tHead.rows[0].cells].forEach((heading, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    button.title = "Sort by this column";
    heading.append(button);
    button.addEventListener("click", () => sortBy(table, index, heading));
  });
}

function asCsv(table) {
  const field = (text) => `"${text.replaceAll('"', '""').replaceAll("−", "-")}"`;
  return [...table.rows]
    .map((row) => [...row.cells].map((cell) => field(cell.textContent.trim())).join(","))
    .join("\n");
}

async function copy(text) {
  if (navigator.clipboard && window.isSecureContext) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

function addCopying(table) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy as CSV";
  const name = table.caption.textContent;
  button.setAttribute("aria-label", `Copy as CSV: ${name}`);
  button.addEventListener("click", async () => {
    try {
      await copy(asCsv(table));
      button.textContent = "Copied";
    } catch {
      button.textContent = "Copying is not allowed here";
    }
    setTimeout(() => { button.textContent = "Copy as CSV"; }, 2000);
  });
  table.caption.append(button);
}

// A figure follows the scheme of the system; where another one is chosen, its rule is rewritten.
function repaint(image, theme) {
  image.dataset.source ??= image.src;
  const [head, body] = image.dataset.source.split(",");
  if (theme === "auto" || !head.includes("svg")) {
    image.src = image.dataset.source;
    return;
  }
  const rule = theme === "dark" ? "@media screen" : "@media not all";
  const svg = atob(body).replace("@media screen and (prefers-color-scheme:dark)", rule);
  image.src = `${head},${btoa(svg)}`;
}

function setTheme(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  document.querySelectorAll("figure img").forEach((image) => repaint(image, theme));
}

function addThemes() {
  const box = document.createElement("div");
  box.className = "themes";
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", "Colours of the page");
  const names = { auto: "Auto", light: "Light", dark: "Dark" };
  const buttons = Object.entries(names).map(([theme, name]) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.addEventListener("click", () => {
      setTheme(theme);
      buttons.forEach((b) => b.setAttribute("aria-pressed", String(b === button)));
    });
    button.setAttribute("aria-pressed", String(theme === "auto"));
    box.append(button);
    return button;
  });
  document.querySelector("header").prepend(box);
}

function addZoom(figure) {
  const image = figure.querySelector("img");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "zoom";
  const dialog = document.createElement("dialog");
  dialog.setAttribute("aria-label", "Enlarged figure");
  button.setAttribute("aria-label", `Enlarge: ${image.alt}`);
  image.replaceWith(button);
  button.append(image);
  button.addEventListener("click", () => {
    const large = image.cloneNode();
    const close = document.createElement("button");
    close.type = "button";
    close.textContent = "Close";
    close.addEventListener("click", () => dialog.close());
    dialog.replaceChildren(close, large);
    document.body.append(dialog);
    dialog.showModal();
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog || event.target.tagName === "IMG") dialog.close();
  });
  dialog.addEventListener("close", () => {
    dialog.remove();
    button.focus();
  });
}

document.querySelectorAll(".panels").forEach(addTabs);
document.querySelectorAll(".table table").forEach((table) => {
  addSorting(table);
  addCopying(table);
});
document.querySelectorAll("figure").forEach(addZoom);
addThemes();
const showTarget = () => {
  const target = document.getElementById(location.hash.slice(1));
  for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
  const chapter = target?.querySelector(":scope > details.chapter");
  if (chapter) chapter.open = true;
  const tab = target && document.getElementById(`${target.id}-tab`);
  if (tab) tab.click();
  if (target) target.scrollIntoView();
};
window.addEventListener("hashchange", showTarget);
// A link to the chapter that the address already names opens it too.
document.querySelectorAll('a[href^="#"]').forEach((link) => {
  link.addEventListener("click", () => setTimeout(showTarget));
});
// Browsers that cannot open <details> on paper by style.
window.addEventListener("beforeprint", () => {
  document.querySelectorAll("details:not([open])").forEach((folded) => {
    folded.open = true;
    folded.dataset.printed = "";
  });
});
window.addEventListener("afterprint", () => {
  document.querySelectorAll("details[data-printed]").forEach((folded) => {
    folded.open = false;
    delete folded.dataset.printed;
  });
});
showTarget();
