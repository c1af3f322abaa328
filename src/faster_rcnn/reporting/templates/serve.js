"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const find = (id) => document.getElementById(id);
  const give = find("give"), image = find("image"), boxes = find("boxes"), threshold = find("threshold");
  const off = new Set(), byId = new Map(data.classes.map((each) => [each.id, each]));
  let found = [], size = { width: 1, height: 1 }, chosen = null, turn = 0, took = 0;
  let file = { name: "photo.jpg", type: "image/jpeg" }, stream = null;

  const put = (parent, name, attributes = {}, text = null) => {
    const element = document.createElementNS(parent.namespaceURI, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== null) element.textContent = text;
    parent.append(element);
    return element;
  };
  const count = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;
  /* A number; or a rule by which each class has its own threshold, until the slider is moved. */
  let conf = typeof data.conf === "number" ? Number(threshold.value) : data.conf;
  const counts = (each) => each.confidence >= (typeof conf === "number" ? conf : byId.get(each.class_id).conf);
  const shown = () => found.filter((each) => counts(each) && !off.has(each.class_id));
  const fail = (text) => {
    find("fault").textContent = text;
    find("fault").hidden = !text;
  };

  /* The image is as wide as the page allows, and no higher than most of the window. */
  const fit = () => {
    const most = 0.78 * window.innerHeight * size.width / size.height;
    find("frame").style.maxWidth = `${Math.max(120, Math.min(most, Math.max(size.width, 640)))}px`;
    find("frame").style.aspectRatio = `${size.width} / ${size.height}`;
  };

  const tag = (parent, each, unit) => {
    const [x1, y1] = each.box, { colour, is_light, name } = byId.get(each.class_id), text = `${name} ${each.confidence.toFixed(2)}`;
    const group = put(parent, "g", each === chosen ? { class: "on" } : {});
    const ground = put(group, "rect", { class: "tag", fill: colour });
    const label = put(group, "text", { fill: is_light ? "#000" : "#fff" }, text);
    label.style.fontSize = `${13 * unit}px`; // an attribute would yield to the style of the page
    const width = label.getComputedTextLength() + 8 * unit, height = 18 * unit;
    const left = Math.max(0, Math.min(x1, size.width - width)), top = y1 >= height ? y1 - height : y1;
    for (const [key, value] of Object.entries({ x: left, y: top, width, height })) ground.setAttribute(key, value);
    ground.style.fill = colour;
    label.setAttribute("x", left + 4 * unit);
    label.setAttribute("y", top + 13.5 * unit);
  };

  const draw = () => {
    boxes.replaceChildren();
    boxes.setAttribute("viewBox", `0 0 ${size.width} ${size.height}`);
    boxes.classList.toggle("chosen", chosen !== null);
    const unit = size.width / Math.max(boxes.clientWidth, 1), order = shown().reverse();
    order.sort((one, other) => other.width * other.height - one.width * one.height);
    for (const each of order) {
      const [x, y] = each.box, place = { x, y, width: each.width, height: each.height };
      const group = put(boxes, "g", { class: each === chosen ? "box on" : "box" });
      put(group, "rect", { class: "edge", ...place });
      const line = put(group, "rect", { class: "line", stroke: byId.get(each.class_id).colour, ...place });
      put(line, "title", {}, `${each.class} ${each.confidence.toFixed(3)}`);
      line.addEventListener("click", () => choose(each));
    }
    const tags = put(boxes, "g", { class: "tags" });
    for (const each of order.length <= 40 ? order : order.filter((one) => one === chosen)) tag(tags, each, unit);
  };

  const list = () => {
    find("list").replaceChildren();
    for (const each of shown()) {
      const button = put(put(find("list"), "li"), "button", { type: "button", "aria-pressed": each === chosen });
      put(button, "span", { class: "swatch" }).style.background = byId.get(each.class_id).colour;
      put(button, "span", {}, each.class);
      put(button, "span", { class: "score" }, each.confidence.toFixed(3));
      button.addEventListener("click", () => choose(each));
    }
  };

  const choose = (each) => {
    chosen = chosen === each ? null : each;
    draw();
    const buttons = [...find("list").querySelectorAll("button")], place = shown().indexOf(chosen);
    buttons.forEach((button, index) => button.setAttribute("aria-pressed", index === place));
    buttons[place]?.scrollIntoView({ block: "nearest" });
  };

  const showClasses = () => {
    find("classes").replaceChildren();
    const numbers = new Map();
    for (const each of found) if (counts(each)) numbers.set(each.class_id, (numbers.get(each.class_id) ?? 0) + 1);
    /* Classes that were found in this image come first: a detector may have hundreds. */
    const has = new Set(found.map((each) => each.class_id));
    const order = [...data.classes].sort((one, other) => has.has(other.id) - has.has(one.id));
    for (const { id, name, colour } of order) {
      const label = put(find("classes"), "label"), box = put(label, "input", { type: "checkbox", "data-class": id });
      box.checked = !off.has(id);
      put(label, "span", { class: "swatch" }).style.background = colour;
      put(label, "span", {}, `${name} (${numbers.get(id) ?? 0})`);
      box.addEventListener("change", () => {
        if (box.checked) off.delete(id); else off.add(id);
        refresh();
      });
    }
  };

  const summary = () => {
    if (!found.length) return `Nothing was found with a score of ${data.lowest} or more`;
    return `${count(shown().length, "detection")} of ${found.length} shown`;
  };

  /* Keeps the focus on the switch of a class that was used, whose elements are made anew. */
  const refresh = () => {
    const focused = document.activeElement?.dataset?.class;
    if (!shown().includes(chosen)) chosen = null;
    find("value").textContent = typeof conf === "number" ? conf.toFixed(2) : conf;
    showClasses();
    draw();
    list();
    if (focused) find("classes").querySelector(`[data-class="${focused}"]`).focus();
    if (took) find("status").textContent = `${summary()}; ${size.width} × ${size.height} pixels, ${took} ms`;
    find("empty").hidden = shown().length > 0;
    showCode();
  };

  const showCode = () => {
    const on = data.classes.filter((each) => !off.has(each.id)).map((each) => each.name);
    const some = off.size && on.length ? `&classes=${encodeURIComponent(on.join(","))}` : "";
    const address = new URL(`predict?conf=${encodeURIComponent(conf)}${some}`, document.baseURI).href;
    const type = file.type || "application/octet-stream", name = file.name || "photo.png";
    const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`;
    const key = data.needs_key ? " -H 'Authorization: Bearer KEY'" : "";
    find("curl").textContent = `curl --data-binary ${shell(`@${name}`)} -H ${shell(`Content-Type: ${type}`)}${key} ${shell(address)}`;
    const headers = JSON.stringify({ "Content-Type": type, ...(data.needs_key ? { Authorization: "Bearer KEY" } : {}) }).replaceAll('":"', '": "').replaceAll('","', '", "');
    find("python").textContent = [
      "import json", "from pathlib import Path", "from urllib.request import Request, urlopen", "",
      `body = Path(${JSON.stringify(name)}).read_bytes()`,
      `request = Request(${JSON.stringify(address)}, body, ${headers})`,
      "with urlopen(request) as answer:", "    predictions = json.load(answer)[\"predictions\"]",
      "for found in predictions:", "    print(found[\"class\"], found[\"confidence\"], found[\"box\"])",
    ].join("\n");
  };

  const detect = async (given) => {
    const own = ++turn, start = performance.now();
    fail("");
    if (given.size > data.megabytes * 2 ** 20) {
      fail(`The image has ${(given.size / 2 ** 20).toFixed(1)} MB; this server reads up to ${data.megabytes} MB.`);
      return;
    }
    find("status").textContent = "Detecting…";
    try {
      const headers = { "Content-Type": given.type || "application/octet-stream" };
      const answer = await fetch(`predict?conf=${data.lowest}`, { method: "POST", headers, body: given });
      const reply = await answer.json();
      if (own !== turn) return;
      if (!answer.ok) throw new Error(reply.error);
      show(given, reply, Math.round(performance.now() - start));
    } catch (error) {
      if (own !== turn) return;
      find("status").textContent = "";
      fail(error instanceof TypeError ? "The server does not answer; is it still running?" : error.message);
    }
  };

  const show = (given, reply, milliseconds) => {
    file = given;
    found = reply.predictions;
    size = reply.image;
    chosen = null;
    took = milliseconds;
    URL.revokeObjectURL(image.src);
    image.src = URL.createObjectURL(given);
    image.alt = given.name || "The image";
    find("result").hidden = false;
    fit();
    refresh();
  };
  image.addEventListener("error", () => fail("This browser cannot show images of this kind; the boxes are those of the server."));

  const take = (files) => {
    const images = [...files];
    if (!images.length) return;
    detect(images[0]);
    if (images.length > 1) fail(`${images.length} files were given; the first one is shown.`);
  };
  find("choose").addEventListener("click", () => find("file").click());
  find("file").addEventListener("change", (event) => { take(event.target.files); event.target.value = ""; });
  document.addEventListener("paste", (event) => take(event.clipboardData.files));
  document.addEventListener("dragover", (event) => { event.preventDefault(); give.classList.add("over"); });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) give.classList.remove("over"); });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    give.classList.remove("over");
    take(event.dataTransfer.files);
  });

  const close = () => {
    stream?.getTracks().forEach((track) => track.stop());
    stream = null;
    find("camera-view").hidden = true;
    find("ask").hidden = false;
    find("camera").focus();
  };
  find("camera").hidden = !navigator.mediaDevices;
  find("camera").addEventListener("click", async () => {
    fail("");
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    } catch (error) {
      fail(`The camera cannot be used: ${error.message}`);
      return;
    }
    find("video").srcObject = stream;
    find("ask").hidden = true;
    find("camera-view").hidden = false;
    await find("video").play();
    find("take").focus();
  });
  find("stop").addEventListener("click", close);
  find("take").addEventListener("click", () => {
    const video = find("video"), canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    canvas.getContext("2d").drawImage(video, 0, 0);
    canvas.toBlob((blob) => detect(new File([blob], "camera.jpg", { type: "image/jpeg" })), "image/jpeg", 0.95);
    close();
  });

  find("all").addEventListener("click", () => { off.clear(); refresh(); });
  find("none").addEventListener("click", () => { data.classes.forEach((each) => off.add(each.id)); refresh(); });
  threshold.addEventListener("input", () => { conf = Number(threshold.value); refresh(); });
  window.addEventListener("resize", () => { fit(); if (took) draw(); });

  /* Browsers give the clipboard to pages of https and of localhost only; elsewhere the text is selected and copied. */
  const copy = async (source) => {
    if (navigator.clipboard) return navigator.clipboard.writeText(source.textContent);
    window.getSelection().selectAllChildren(source);
    document.execCommand("copy");
  };
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", async () => {
      try {
        await copy(find(button.dataset.copy));
        button.textContent = "Copied";
      } catch (error) {
        window.getSelection().selectAllChildren(find(button.dataset.copy));
        button.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }
  refresh();
})();
