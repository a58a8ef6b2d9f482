"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const narrow = window.matchMedia("(max-width: 36rem)");
  const plots = [...document.querySelectorAll("[data-figure]")];
  let printing = false;

  // --- figures -------------------------------------------------------------------------------------------
  function traceStyle(trace, colours) {
    const role = trace.meta && trace.meta.role;
    const colour = colours[role];
    if (role === "heatmap") {
      trace.colorbar.tickfont = trace.colorbar.title.font = { color: colours.ink };
      trace.colorbar.thickness = narrow.matches ? 8 : 12;
    } else {
      const symbol = { pareto: "diamond", winner: "star", published: "square", paper: "square", comparator: "square", measured: "circle-open" }[role] || "circle";
      const size = { pareto: 11, winner: 19, published: 16, paper: 17, comparator: 17, others: 8, points: 6 }[role] || 7;
      const opacity = { points: 0.75, measured: 0.7 }[role] || 1;
      trace.marker = { color: colour, symbol, size, opacity, line: { color: role === "measured" ? colour : colours.card, width: 1 } };
      trace.line = { ...trace.line, color: colour, width: { front: 1.5, points: 2 }[role] || 2.5 };
      if (role === "front") trace.line.dash = "dot";
      trace.textfont = { color: colours.card, size: 11 };
    }
    return trace;
  }

  function layoutStyle(layout, colours) {
    const font = { color: colours.ink, family: getComputedStyle(document.body).fontFamily, size: 12 };
    const styled = { ...layout, font, paper_bgcolor: colours.card, plot_bgcolor: colours.card, dragmode: narrow.matches ? false : "zoom" };
    styled.hoverlabel = { bgcolor: colours.page, bordercolor: colours.muted, font: { color: colours.ink } };
    for (const name of Object.keys(layout).filter((key) => /^[xy]axis/.test(key))) {
      const axis = { ...layout[name] };
      axis.gridcolor = axis.linecolor = axis.zerolinecolor = colours.rule;
      axis.tickcolor = colours.muted;
      if (narrow.matches && axis.ticktext) {
        const crowded = layout.showlegend === false ? /^[25]/ : /^2/;
        axis.ticktext = axis.ticktext.map((text) => (crowded.test(text) ? "" : text));
        axis.tickangle = 0;
        axis.tickfont = { size: 10 };
      }
      styled[name] = axis;
    }
    if (layout.shapes) {
      styled.shapes = layout.shapes.map((shape) => ({ ...shape, line: { ...shape.line, color: colours.published } }));
      const own = { font: { color: colours.published, size: 12 }, bgcolor: colours.card, borderpad: 0 };
      styled.annotations = layout.annotations.map((note) => ({ ...note, ...own }));
    }
    return styled;
  }

  function draw(element) {
    const { data: traces, layout } = structuredClone(data.figures[element.dataset.figure]);
    const colours = data.themes[dark.matches && !printing ? "dark" : "light"];
    const options = { responsive: true, displaylogo: false, displayModeBar: !narrow.matches && !printing && "hover" };
    options.modeBarButtons = [["toImage", "zoomIn2d", "zoomOut2d", "resetScale2d"]];
    const styled = layoutStyle(layout, colours);
    if (printing) styled.width = 680;
    return Plotly.react(element, traces.map((trace) => traceStyle(trace, colours)), styled, options);
  }

  function pointed(event) {
    const point = event.points[0];
    return point && typeof point.customdata === "number" && point.customdata >= 0 ? point.customdata : null;
  }

  // Plotly's script stands in the page as gzip in base64.
  async function loadPlotly() {
    const packed = Uint8Array.from(atob(document.getElementById("plotly").textContent), (letter) => letter.charCodeAt(0));
    const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(unpacked).text();
    document.head.append(script);
  }

  async function start() {
    if (plots.length) await loadPlotly();
    for (const element of plots) {
      await draw(element);
      element.on("plotly_hover", (event) => { if (pointed(event) !== null && !pinned) inspect(pointed(event)); });
      element.on("plotly_click", (event) => {
        if (pointed(event) === null) return;
        choose(pointed(event));
        reveal();
      });
    }
    document.documentElement.dataset.ready = "yes";
  }

  function drawAll() { if (window.Plotly) plots.forEach(draw); }
  dark.addEventListener("change", drawAll);
  narrow.addEventListener("change", drawAll);
  window.addEventListener("beforeprint", () => { printing = true; drawAll(); });
  window.addEventListener("afterprint", () => { printing = false; drawAll(); });

  // --- the chosen architecture ---------------------------------------------------------------------------
  const inspector = document.getElementById("inspector");
  const table = document.getElementById("table");
  let pinned = false;

  function made(tag, text, parent) {
    const element = document.createElement(tag);
    element.textContent = text;
    parent.append(element);
    return element;
  }

  function inspect(rank) {
    const chosen = data.architectures[rank];
    inspector.replaceChildren();
    inspector.dataset.rank = rank;
    made("h3", chosen.title, inspector);
    made("p", chosen.figures, inspector);
    if (chosen.normal) {
      const cells = made("div", "", inspector);
      cells.className = "cells";
      for (const cell of ["normal", "upsampling"]) {
        const figure = made("figure", "", cells);
        const title = made("h4", cell === "normal" ? "Normal cell" : "Upsampling cell", figure).textContent;
        const picture = made("div", "", figure);
        picture.className = "scroll";
        picture.tabIndex = 0;
        picture.role = "region";
        picture.ariaLabel = title;
        picture.innerHTML = chosen[cell];  // drawn by hnas report, holds no input
        watchScrolling(picture);
      }
    } else {
      made("pre", chosen.words, inspector);
    }
    const copy = made("button", "Copy genotype", inspector);
    copy.type = "button";
    copy.addEventListener("click", () => copyText(copy, `${JSON.stringify(chosen.genotype, null, 2)}\n`));
    for (const row of table ? table.tBodies[0].rows : []) row.classList.toggle("chosen", Number(row.dataset.rank) === rank);
  }

  function choose(rank) {
    pinned = true;
    inspect(rank);
    const again = made("button", "Follow the pointer again", inspector);
    again.type = "button";
    again.style.marginLeft = ".5rem";
    again.addEventListener("click", () => { pinned = false; again.remove(); });
  }

  // Show the chosen architecture if little of it is in sight, as after a click far above it.
  function reveal() {
    const top = inspector.getBoundingClientRect().top;
    const behavior = window.matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
    if (top < 0 || top > window.innerHeight - 200) inspector.scrollIntoView({ block: "nearest", behavior });
    inspector.tabIndex = -1;
    inspector.focus({ preventScroll: true });
  }

  // --- what is wider than its box --------------------------------------------------------------------------
  const sizes = new ResizeObserver((entries) => entries.forEach((entry) => showWhereMoreIs(entry.target)));

  function watchScrolling(box) {
    sizes.observe(box);
    box.addEventListener("scroll", () => showWhereMoreIs(box), { passive: true });
  }

  function showWhereMoreIs(box) {
    const hidden = box.scrollWidth - box.clientWidth;
    const sides = [box.scrollLeft > 1 && "left", box.scrollLeft < hidden - 1 && "right"];
    if (hidden > 1) box.dataset.more = sides.filter(Boolean).join(" ");
    else delete box.dataset.more;
  }
  document.querySelectorAll(".scroll").forEach(watchScrolling);

  // --- copying -------------------------------------------------------------------------------------------
  async function copyText(button, text) {
    const label = button.dataset.label || (button.dataset.label = button.textContent);
    try {
      await navigator.clipboard.writeText(text);
    } catch {  // no clipboard for files in this browser
      const area = made("textarea", text, document.body);
      area.select();
      document.execCommand("copy");
      area.remove();
      button.focus();
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = label; }, 1500);
  }
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", () => copyText(button, document.getElementById(button.dataset.copy).textContent));
  }

  // --- table ---------------------------------------------------------------------------------------------
  if (table) {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells].filter((head) => head.ariaSort);
    heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
      const numeric = head.classList.contains("number");
      const first = numeric && column > 0 ? "descending" : "ascending";
      const second = first === "ascending" ? "descending" : "ascending";
      const order = head.ariaSort === first ? second : first;
      heads.forEach((other) => { other.ariaSort = other === head ? order : "none"; });
      const sign = order === "ascending" ? 1 : -1;
      const value = (row) => row.cells[column].dataset.value;
      const compare = (one, other) => {
        if (value(one) === "" || value(other) === "") return (value(one) === "") - (value(other) === "");
        return sign * (numeric ? value(one) - value(other) : value(one).localeCompare(value(other), "en", { numeric: true }));
      };
      body.append(...[...body.rows].sort((one, other) => compare(one, other) || one.dataset.rank - other.dataset.rank));
    }));
    const search = document.getElementById("search");
    const position = document.getElementById("at-position");
    // "sep. conv 5x5", "sep_conv_5x5" and "Sep-conv 5x5" are the same words; a number belongs to the word before it.
    const plain = (text) => ` ${text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, " ").trim()} `.replace(/(\p{L}) (\d+) /gu, "$1#$2 ");
    const phrases = new Map([...body.rows].map((row) => [row, row.dataset.phrases.split("|").map(plain)]));
    const known = [...new Set([...phrases.values()].flat())];
    // Words that end in a letter may still be being typed.
    const holds = (phrase, words) => phrase.includes(/\d$/.test(words) ? ` ${words} ` : ` ${words}`);

    // What was typed, as the longest phrases that stand in the table: each has to be in a row.
    function asked() {
      const words = plain(search.value).split(" ").filter(Boolean);
      const found = [];
      while (words.length) {
        let n = words.length;
        while (n > 1 && !known.some((phrase) => holds(phrase, words.slice(0, n).join(" ")))) n -= 1;
        found.push(words.splice(0, n).join(" "));
      }
      return found;
    }

    function filter() {
      const wanted = asked();
      let shown = 0;
      for (const row of body.rows) {
        const there = wanted.every((words) => phrases.get(row).some((phrase) => holds(phrase, words)));
        row.hidden = !there || (position.value && position.value !== row.dataset.position);
        shown += !row.hidden;
      }
      document.getElementById("matches").textContent = `${shown} of ${body.rows.length} architectures`;
    }
    search.addEventListener("input", filter);
    position.addEventListener("change", filter);
    body.addEventListener("click", (event) => {
      const button = event.target.closest("button.show");
      if (!button) return;
      choose(Number(button.closest("tr").dataset.rank));
      reveal();
    });
  }
  if (inspector) inspect(0);
  start();
})();
