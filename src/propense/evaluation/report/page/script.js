"use strict";
(function () {
  var root = document.documentElement;
  var asked = new URLSearchParams(location.search);

  function recall(name) {
    try { return localStorage.getItem("propense-" + name); } catch (refused) { return null; }
  }
  function remember(name, value) {
    try { localStorage.setItem("propense-" + name, value); } catch (refused) { return; }
  }
  function press(name, value) {
    document.querySelectorAll("[data-set='" + name + "']").forEach(function (button) {
      button.setAttribute("aria-pressed", String(button.value === value));
    });
  }
  function setTheme(value) {
    if (value === "light" || value === "dark") { root.dataset.theme = value; }
    else { value = "auto"; delete root.dataset.theme; }
    press("theme", value);
  }
  function setLanguage(value) {
    value = value === "zh" ? "zh" : "en";
    root.dataset.lang = value;
    root.lang = value === "zh" ? "zh-Hans" : "en";
    document.querySelectorAll("[data-zh]").forEach(function (named) {
      if (!named.dataset.en) { named.dataset.en = named.getAttribute("aria-label"); }
      named.setAttribute("aria-label", named.dataset[value]);
    });
    press("lang", value);
  }

  var set = { theme: setTheme, lang: setLanguage };
  var guess = (navigator.language || "").toLowerCase().indexOf("zh") === 0 ? "zh" : "en";
  setTheme(asked.get("theme") || recall("theme") || "auto");
  setLanguage(asked.get("lang") || recall("lang") || guess);
  document.querySelectorAll("[data-set]").forEach(function (button) {
    button.addEventListener("click", function () {
      set[button.dataset.set](button.value);
      remember(button.dataset.set, button.value);
    });
  });
  window.addEventListener("beforeprint", function () {
    document.querySelectorAll("details").forEach(function (folded) { folded.open = true; });
  });
})();
