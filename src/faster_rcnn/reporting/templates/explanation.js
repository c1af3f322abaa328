"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const find = (id) => document.getElementById(id);
  const picture = find("picture"), buttons = [...document.querySelectorAll("#list button")];
  const toggles = [...document.querySelectorAll("input[data-kind]")];
  const source = picture.querySelector("image").getAttribute("href");
  let chosen = 0;

  const put = (parent, name, attributes = {}, text = null) => {
    const element = document.createElementNS(parent.namespaceURI, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== null) element.textContent = text;
    parent.append(element);
    return element;
  };
  const rect = (parent, [x1, y1, x2, y2], attributes) =>
    put(parent, "rect", { x: x1, y: y1, width: Math.max(x2 - x1, 0.5), height: Math.max(y2 - y1, 0.5), ...attributes });
  const line = (parent, box, kind) => {
    rect(parent, box, { class: "edge" });
    rect(parent, box, { class: `line ${kind}` });
  };
  const area = ([x1, y1, x2, y2]) => (x2 - x1) * (y2 - y1);
  const shown = (index) => toggles.some((each) => each.checked && each.dataset.kind === data.boxes[index].kind);

  /* The steps of the chosen box, the last one on top. */
  const drawSteps = (parent, box) => {
    if (box.truth) line(parent, box.truth, "truth");
    for (const step of box.steps) line(parent, step.box, step.name);
    if (!box.steps.length) line(parent, box.box, box.kind === "truth" ? "truth" : "output");
  };

  /* A square cut out of the image around some boxes. */
  const zoom = (svg, boxes) => {
    svg.replaceChildren();
    const low = [0, 1].map((axis) => Math.min(...boxes.map((box) => box[axis])));
    const high = [2, 3].map((axis) => Math.max(...boxes.map((box) => box[axis])));
    const side = 1.16 * Math.max(high[0] - low[0], high[1] - low[1], 4);
    const left = (low[0] + high[0] - side) / 2, top = (low[1] + high[1] - side) / 2;
    svg.setAttribute("viewBox", `${left} ${top} ${side} ${side}`);
    put(svg, "image", { href: source, width: data.width, height: data.height, preserveAspectRatio: "none" });
  };

  const drawBoxes = () => {
    const group = find("boxes");
    group.replaceChildren();
    const order = data.boxes.map((_, index) => index).filter(shown);
    order.sort((one, other) => area(data.boxes[other].box) - area(data.boxes[one].box));
    for (const index of order) {
      const box = data.boxes[index], dashes = box.kind === "truth" ? "7 5" : "none";
      rect(group, box.box, { class: "edge" });
      const element = rect(group, box.box, { stroke: box.colour, "stroke-dasharray": dashes });
      put(element, "title", {}, `${box.kind}: ${box.name} ${box.score ?? ""}`);
      element.addEventListener("click", () => choose(index));
    }
  };

  const fillTable = (box) => {
    const body = find("steps-body");
    body.replaceChildren();
    for (const step of box.steps) {
      const row = put(body, "tr"), head = put(row, "th", { scope: "row" });
      put(head, "span", { class: `swatch ${step.name}` });
      head.append(step.name);
      put(row, "td", {}, step.score);
      if (box.truth) put(row, "td", { class: "number" }, step.iou.toFixed(3));
    }
    find("steps-table").hidden = !box.steps.length;
    for (const id of ["truth-key", "iou-head"]) find(id).hidden = !box.truth;
  };

  const drawFalls = (box) => {
    find("occlusion").hidden = !box.falls.length;
    if (!box.falls.length) return;
    const svg = find("falls"), [x1, y1, x2, y2] = box.region, all = box.falls.flat();
    const most = Math.max(...all), scale = Math.max(...all.map(Math.abs), 1e-6), rows = box.falls.length;
    const width = (x2 - x1) / rows, height = (y2 - y1) / rows;
    zoom(svg, [box.region]);
    rect(svg, box.region, { fill: "#fff", "fill-opacity": 0.35 });
    box.falls.forEach((row, down) => row.forEach((fall, across) => {
      const part = [x1 + across * width, y1 + down * height, x1 + (across + 1) * width, y1 + (down + 1) * height];
      const colour = fall > 0 ? "#c2410c" : "#0a67a8";
      const element = rect(svg, part, { fill: colour, "fill-opacity": 0.85 * Math.abs(fall) / scale });
      put(element, "title", {}, `row ${down + 1}, column ${across + 1}: ${fall.toFixed(4)}`);
    }));
    line(svg, box.region, "proposal");
    const place = all.indexOf(most);
    find("falls-text").textContent = most <= 0 ? "No single part lowers the score." :
      `Without the part in row ${Math.floor(place / rows) + 1}, column ${place % rows + 1}, the score falls most: by ` +
      `${most.toFixed(3)}. Orange parts lower the score when they are covered, blue ones raise it.`;
  };

  const choose = (index) => {
    chosen = index;
    const box = data.boxes[index];
    buttons.forEach((button, each) => {
      button.setAttribute("aria-pressed", each === index);
      button.tabIndex = each === index ? 0 : -1;
    });
    buttons[index].scrollIntoView({ block: "nearest" });
    find("chosen").replaceChildren();
    drawSteps(find("chosen"), box);
    picture.classList.add("faded");
    const kind = box.kind[0].toUpperCase() + box.kind.slice(1), score = box.kind === "proposal" ? "objectness" : "score";
    const name = box.kind === "proposal" ? "" : `: ${box.name}`;
    find("life-title").textContent = kind + name + (box.score === null ? "" : `, ${score} ${box.score.toFixed(3)}`);
    find("notes").replaceChildren(...box.notes.map((note) => new Text(`${note} `)));
    fillTable(box);
    zoom(find("zoom"), [box.box, ...box.steps.map((step) => step.box), ...(box.truth ? [box.truth] : [])]);
    drawSteps(find("zoom"), box);
    drawFalls(box);
  };

  const update = () => {
    buttons.forEach((button, index) => { button.parentElement.hidden = !shown(index); });
    drawBoxes();
    const first = buttons.findIndex((_, index) => shown(index));
    if (shown(chosen)) choose(chosen); else if (first >= 0) choose(first);
  };

  find("list").addEventListener("keydown", (event) => {
    const visible = buttons.map((_, index) => index).filter(shown), place = visible.indexOf(chosen);
    const moves = { ArrowDown: place + 1, ArrowRight: place + 1, ArrowUp: place - 1, ArrowLeft: place - 1, Home: 0, End: visible.length - 1 };
    if (!(event.key in moves)) return;
    event.preventDefault();
    const next = visible[Math.min(Math.max(moves[event.key], 0), visible.length - 1)];
    choose(next);
    buttons[next].focus();
  });
  buttons.forEach((button, index) => button.addEventListener("click", () => choose(index)));
  toggles.forEach((toggle) => toggle.addEventListener("change", update));
  if (buttons.length) update();
})();
