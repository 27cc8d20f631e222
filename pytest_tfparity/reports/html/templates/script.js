"use strict";
// The page is whole without this: it adds a filter, unfolding, and tooltips that also open on touch.
(() => {
  const byId = (id) => document.getElementById(id);
  const tools = document.querySelector(".tools");
  if (tools) {
    tools.hidden = false;
    const rows = [...document.querySelectorAll(".summary li")];
    byId("filter").addEventListener("input", (event) => {
      const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        const check = byId(row.dataset.check);
        const text = check.textContent.toLowerCase();
        row.hidden = check.hidden = !words.every((word) => text.includes(word));
        shown += !row.hidden;
      }
      byId("none").textContent = shown ? "" : "No check has that.";
    });
    const button = byId("unfold");
    button.addEventListener("click", () => {
      const open = button.textContent === "Unfold all";
      for (const part of document.querySelectorAll("details")) part.open = open;
      button.textContent = open ? "Fold all" : "Unfold all";
    });
  }

  const showCulprits = () => {
    for (const box of document.querySelectorAll(".scroll")) {
      const mark = box.scrollWidth > box.clientWidth && box.querySelector(".drawing .culprit, .wide .serie-2 circle");
      if (!mark) continue;
      const place = mark.getBoundingClientRect();
      box.scrollLeft += place.left + place.width / 2 - box.getBoundingClientRect().left - box.clientWidth / 2;
    }
  };
  showCulprits();
  document.addEventListener("toggle", showCulprits, { capture: true });

  const reveal = () => { // for browsers that do not open what a link leads into
    for (let part = byId(location.hash.slice(1)); part; part = part.parentElement) {
      if (part.localName === "details") part.open = true;
    }
  };
  addEventListener("hashchange", reveal);
  reveal();

  const tip = byId("tip");
  const titled = (target) => (target.closest ? target.closest("svg g, .box") : null);
  const textOf = (mark) => {
    const title = mark.querySelector(":scope > title");
    if (title) { mark.dataset.tip = title.textContent; title.remove(); } // else the browser shows a second one
    if (mark.title) { mark.dataset.tip = mark.title; mark.removeAttribute("title"); }
    return mark.dataset.tip;
  };
  document.addEventListener("pointerover", (event) => {
    const mark = titled(event.target);
    const text = mark && textOf(mark);
    tip.hidden = !text;
    if (!text) return;
    tip.textContent = text;
    const place = mark.getBoundingClientRect();
    const own = tip.getBoundingClientRect();
    const left = Math.min(Math.max(8, place.left + place.width / 2 - own.width / 2), innerWidth - own.width - 8);
    const above = place.top - own.height - 8;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${above > 8 ? above : place.bottom + 8}px`;
  });
  document.addEventListener("scroll", () => { tip.hidden = true; }, { passive: true, capture: true });
})();
