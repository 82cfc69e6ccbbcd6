"use strict";
(() => {
  const root = document.documentElement;
  const tip = document.getElementById("tip");
  const buttons = [...document.querySelectorAll("button[data-language]")];

  const show = (language) => {
    root.lang = language;
    document.title = root.dataset[language];
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.language === language));
  };
  for (const button of buttons) button.addEventListener("click", () => show(button.dataset.language));
  show(root.lang);

  const hide = () => { tip.hidden = true; };
  const point = (event) => {
    const hit = event.target instanceof Element ? event.target.closest(".hit[data-en]") : null;
    if (!hit) { hide(); return; }
    tip.textContent = hit.dataset[root.lang];
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    const left = Math.min(event.clientX + 14, window.innerWidth - box.width - 8);
    const above = event.clientY - box.height - 12;
    tip.style.left = `${Math.max(left, 8)}px`;
    tip.style.top = `${above > 8 ? above : event.clientY + 18}px`;
  };
  document.addEventListener("pointermove", point);
  document.addEventListener("pointerdown", point);
  document.addEventListener("scroll", hide, { passive: true });

  const toggle = (entry) => {
    const off = entry.classList.toggle("off");
    entry.setAttribute("aria-pressed", String(!off));
    for (const series of entry.closest("svg").querySelectorAll(`.series[data-series="${entry.dataset.series}"]`)) {
      series.style.display = off ? "none" : "";
    }
  };
  for (const entry of document.querySelectorAll(".toggle")) {
    entry.addEventListener("click", () => toggle(entry));
    entry.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); toggle(entry); }
    });
  }

  const open = () => {
    const target = location.hash ? document.getElementById(decodeURIComponent(location.hash.slice(1))) : null;
    const folded = target ? target.closest("details") : null;
    if (folded && !folded.open) { folded.open = true; target.scrollIntoView({ block: "center" }); }
  };
  window.addEventListener("hashchange", open);
  document.addEventListener("click", (event) => {
    if (event.target instanceof Element && event.target.closest('a[href^="#"]')) setTimeout(open, 0);
  });
  open();

  const opened = [];
  window.addEventListener("beforeprint", () => {
    for (const folded of document.querySelectorAll("details:not([open])")) { folded.open = true; opened.push(folded); }
  });
  window.addEventListener("afterprint", () => { for (const folded of opened.splice(0)) folded.open = false; });
})();
