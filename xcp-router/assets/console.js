// What pages cannot do by themselves: the menu at phone width, and what comes while somebody looks.
"use strict";

document.documentElement.classList.add("script");

function menu() {
  const button = document.getElementById("menu");
  const pages = document.getElementById("pages");
  if (!button || !pages) return;
  button.addEventListener("click", () => {
    const open = pages.classList.toggle("open");
    button.setAttribute("aria-expanded", String(open));
  });
}

// Listens to a stream while the page is seen, and only then: a browser has few connections to one
// host, and pages that lie behind others, or are kept for "back", must not hold them.
function listen(path, message, again) {
  let source = null, before = false;
  function start() {
    if (source || document.hidden) return;
    source = new EventSource(path);
    source.addEventListener("open", () => {
      // After a break, anything may have changed.
      if (before) again();
      before = true;
      document.documentElement.dataset.listening = "true";
    });
    source.addEventListener("message", message);
  }
  function stop() {
    source?.close();
    source = null;
    delete document.documentElement.dataset.listening;
  }
  document.addEventListener("visibilitychange", () => (document.hidden ? stop() : start()));
  addEventListener("pagehide", stop);
  addEventListener("pageshow", start);
  start();
}

// Regions with data-live name the tables that they show. When one has changed, the page is asked for
// again, and the region takes the place of the old one. What has the focus keeps it.
function live() {
  const regions = () => [...document.querySelectorAll("[data-live]")];
  if (regions().length === 0) return;
  let asking = false, again = false;

  async function refresh() {
    if (asking) { again = true; return; }
    asking = true;
    do {
      again = false;
      try {
        const answer = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store" });
        if (answer.redirected) { location.reload(); return; }
        if (answer.ok) replace(new DOMParser().parseFromString(await answer.text(), "text/html"));
      } catch { /* The router is away; the stream reconnects, and its first word asks again. */ }
    } while (again);
    asking = false;
  }

  function replace(page) {
    for (const old of regions()) {
      const fresh = page.getElementById(old.id);
      if (!fresh || fresh.innerHTML === old.innerHTML) continue;
      const known = new Set([...old.querySelectorAll("tr[data-key]")].map((row) => row.dataset.key));
      const focus = focused(old);
      const scrolled = [...old.querySelectorAll(".scroll")].map((part) => part.scrollLeft);
      old.replaceChildren(...document.importNode(fresh, true).childNodes);
      for (const row of old.querySelectorAll("tr[data-key]")) {
        if (!known.has(row.dataset.key)) row.classList.add("new");
      }
      old.querySelectorAll(".scroll").forEach((part, index) => { part.scrollLeft = scrolled[index] ?? 0; });
      if (focus) old.querySelectorAll(focus.tag)[focus.index]?.focus();
    }
  }

  // The focused element by its place: a link by its address, anything else by its order.
  function focused(region) {
    const own = document.activeElement;
    if (!own || !region.contains(own)) return null;
    const href = own.getAttribute("href");
    if (href !== null) return { tag: `a[href="${href.replace(/["\\]/g, "\\$&")}"]`, index: 0 };
    const tag = own.tagName.toLowerCase();
    return { tag, index: [...region.querySelectorAll(tag)].indexOf(own) };
  }

  listen("/events", (event) => {
    const changed = event.data.split(" ");
    const wanted = regions().some((region) => region.dataset.live.split(" ").some((name) => changed.includes(name)));
    if (wanted) refresh();
  }, refresh);
}

// Flows come first in their list as they end; the oldest goes when there are many.
function flows() {
  const list = document.getElementById("flows");
  if (!list) return;
  const most = 30, pause = document.getElementById("pause"), heard = document.getElementById("heard");
  let paused = false, told = 0, count = 0;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
  });
  listen(list.dataset.stream, (event) => {
    if (paused) return;
    const fresh = new DOMParser().parseFromString(event.data, "text/html").querySelector(".flow");
    if (!fresh) return;
    list.prepend(document.importNode(fresh, true));
    document.getElementById("none").hidden = true;
    while (list.children.length > most) list.lastElementChild.remove();
    // Heard at most every five seconds, as one sentence.
    count += 1;
    if (Date.now() - told > 5000) {
      heard.textContent = count === 1 ? "One new packet" : `${count} new packets`;
      [told, count] = [Date.now(), 0];
    }
  }, () => {});
}

menu();
live();
flows();
