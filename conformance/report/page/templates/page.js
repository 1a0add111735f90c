"use strict";
// The rows of the page as a table to filter and sort. Its state is the fragment of the address, so
// that a view can be sent to somebody else; nothing is stored, and nothing is fetched.
(async () => {
  const element = (name, text, attributes = {}) => {
    const made = document.createElement(name);
    made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };

  const select = (node) => {
    const range = document.createRange();
    range.selectNodeContents(node);
    const selection = getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
  };

  // Where the clipboard is forbidden, as in a sandbox, the text is selected: Ctrl-C takes it.
  const copyButton = (text, shown) => {
    const button = element("button", "copy", { type: "button", class: "copy" });
    button.setAttribute("aria-label", `copy the command ${text}`);
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(text);
        button.textContent = "copied";
      } catch {
        select(shown);
        button.textContent = "selected";
      }
      setTimeout(() => { button.textContent = "copy"; }, 2000);
    });
    return button;
  };

  for (const line of document.querySelectorAll(".rerun")) {
    const code = line.querySelector("code");
    line.append(" ", copyButton(code.textContent, code));
  }

  const packed = document.getElementById("packed");
  if (!packed) {
    document.body.dataset.ready = "true";
    return;
  }

  const bytes = Uint8Array.from(atob(packed.textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const document_ = await new Response(stream).json();
  const { columns, filters, command } = document_;
  const data = document_.data.map(({ texts, at, values }) => values ?? at.map((i) => texts[i]));
  const n = data.length ? data[0].length : 0;
  const rows = Array.from({ length: n }, (_, i) => data.map((values) => values[i]));

  const place = document.getElementById("rows");
  place.querySelector(".no-script").remove();

  // --- Filters -----------------------------------------------------------------------------------
  const bar = element("div", "", { class: "filters" });
  const choices = new Map();
  for (const name of filters) {
    const values = [...new Set(data[columns.indexOf(name)] ?? [])].sort();
    if (values.length < 2) continue;
    const choice = element("select", "", { name });
    choice.append(element("option", "all", { value: "" }));
    for (const value of values) choice.append(element("option", value, { value }));
    const label = element("label", name);
    label.append(choice);
    bar.append(label);
    choices.set(name, choice);
    choice.addEventListener("change", () => apply());
  }
  const all = element("button", "show all", { type: "button" });
  all.addEventListener("click", () => { table.search(""); table.order([]); show({}); });
  bar.append(all);
  place.append(bar);

  // --- Table -------------------------------------------------------------------------------------
  const cell = (name) => (node, value) => {
    node.textContent = value === null ? "" : value === -1 && name === "ULP" ? "no number" : value;
    if (name === "class") node.className = `c-${String(value).replace(" ", "-")}`;
    if (name === command && value) {
      const code = element("code", value);
      node.replaceChildren(code, " ", copyButton(value, code));
    }
  };
  const body = element("table", "", { class: "rows", "aria-label": "all rows" });
  const wide = element("div", "", { class: "wide", tabindex: "0", role: "region", "aria-label": "all rows, scrolling" });
  wide.append(body);
  place.append(wide);
  const table = new DataTable(body, {
    data: rows,
    columns: columns.map((name) => ({
      title: name,
      render: { display: () => "", _: (value) => value },
      createdCell: cell(name),
    })),
    autoWidth: false,
    deferRender: true,
    order: [],
    pageLength: 25,
    search: { smart: true },
    language: { search: "search" },
  });

  // --- State -------------------------------------------------------------------------------------
  const state = () => {
    const parameters = new URLSearchParams();
    for (const [name, choice] of choices) if (choice.value) parameters.set(name, choice.value);
    if (table.search()) parameters.set("search", table.search());
    const [order] = table.order();
    if (order) parameters.set("order", `${columns[order[0]]} ${order[1]}`);
    return parameters.toString();
  };
  let isRestoring = false;  // the table tells each part of a change, and half of one is no state
  const keep = () => { if (!isRestoring) history.replaceState(null, "", `#${state()}`); };
  const apply = () => {
    for (const [name, choice] of choices) {
      table.column(columns.indexOf(name)).search(choice.value, { exact: true });
    }
    table.draw();
    keep();
  };
  const show = (wanted) => {
    for (const [name, choice] of choices) choice.value = wanted[name] ?? "";
    apply();
  };
  const restore = () => {
    const wanted = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
    isRestoring = true;
    table.search(wanted.search ?? "");
    const [, column, direction] = /^(.*) (asc|desc)$/.exec(wanted.order ?? "") ?? [];
    if (columns.includes(column)) table.order([columns.indexOf(column), direction]);
    show(wanted);
    isRestoring = false;
  };
  if (location.hash.length > 1) restore();
  addEventListener("hashchange", restore);
  table.on("search.dt order.dt", keep);

  // --- Heatmaps ----------------------------------------------------------------------------------
  for (const heatmap of document.querySelectorAll(".heatmap")) {
    for (const field of heatmap.querySelectorAll("td[data-at]")) {
      const text = field.querySelector("span");
      const button = element("button", text.textContent, { type: "button" });
      const down = field.parentElement.querySelector("th").textContent;
      button.setAttribute("aria-label", `${down}, ${field.dataset.at}: ${text.textContent}; show its rows`);
      text.replaceWith(button);
      button.addEventListener("click", () => {
        show({ [heatmap.dataset.down]: down, [heatmap.dataset.across]: field.dataset.at });
        place.scrollIntoView();
      });
    }
  }
  document.body.dataset.ready = "true";
})();
