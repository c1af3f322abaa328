"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const find = (id) => document.getElementById(id);
  const FEW = 24, expanded = new Set();
  const missing = new Set(data.missing), BACKGROUND = 0.1;
  const score = find("score"), iou = find("iou");

  /* COCO's matching: each detection, best first, takes the free truth of its class with the highest IoU. */
  const partner = ([label, , overlaps], truths, taken, least) => {
    const fits = overlaps.filter(([truth, value]) => truths[truth][0] === label && value >= least);
    let best = null;
    for (const [truth, value] of fits) {
      if (truths[truth][1] || taken[truth]) continue;
      if (best === null || value >= best[1]) best = [truth, value];
    }
    return { truth: best === null ? null : best[0], excused: fits.some(([truth]) => truths[truth][1]) };
  };

  /* The kind of a false positive, in the order of TIDE. */
  const kindOf = ([label, , overlaps], truths, least) => {
    const highest = (own) => Math.max(0, ...overlaps
      .filter(([truth]) => !truths[truth][1] && (truths[truth][0] === label) === own).map(([, value]) => value));
    const near = highest(true), cross = highest(false);
    if (near >= BACKGROUND && near < least) return "loose-box";
    if (cross >= least) return "wrong-class";
    if (near >= least) return "duplicate";
    return Math.max(near, cross) <= BACKGROUND ? "background" : "wrong-and-loose";
  };

  /* What is found, missed and false in every image at two thresholds. */
  const judge = (conf, least) => data.images.map(({ t: truths, d: detections }, image) => {
    const taken = truths.map(() => false), kinds = new Map();
    detections.forEach((detection, index) => {
      if (detection[1] < conf) return;
      const { truth, excused } = partner(detection, truths, taken, least);
      if (truth !== null) taken[truth] = true;
      else if (!excused) {
        const kind = kindOf(detection, truths, least);
        kinds.set(index, kind === "background" && missing.has(`${image} ${index}`) ? "missing-label" : kind);
      }
    });
    return { taken, kinds };
  });

  const count = (judged) => {
    const counts = { truths: 0, found: 0, missed: 0, false: 0 };
    for (const row of document.querySelectorAll("[data-count]")) counts[row.dataset.count] ??= 0;
    judged.forEach(({ taken, kinds }, image) => {
      data.images[image].t.forEach(([, ignored], truth) => {
        if (ignored) return;
        counts.truths += 1;
        counts[taken[truth] ? "found" : "missed"] += 1;
      });
      for (const kind of kinds.values()) { counts[kind] += 1; counts.false += 1; }
    });
    for (const cell of document.querySelectorAll("[data-count]")) {
      cell.textContent = counts[cell.dataset.count].toLocaleString("en");
    }
    return counts;
  };

  /* The kind of a crop at these thresholds; null where it is no mistake any more. */
  const kindNow = (figure, judged) => {
    const { image, index, kind, gallery } = figure.dataset;
    if (gallery === "missed") return judged[image].taken[index] ? null : kind;
    return judged[image].kinds.get(Number(index)) ?? null;
  };

  const filter = (gallery, judged, total) => {
    const kind = find(`${gallery}-kind`), label = find(`${gallery}-class`);
    if (!kind) return;
    let shown = 0, able = 0;
    for (const figure of document.querySelectorAll(`figure[data-gallery="${gallery}"]`)) {
      const now = kindNow(figure, judged);
      const fits = [kind.value, ""].includes(kind.value && now) && ["", figure.dataset.label].includes(label.value);
      if (now !== null) { able += 1; figure.querySelector(".kind").textContent = now; }
      if (now !== null && fits) shown += 1;
      figure.hidden = now === null || !fits || (shown > FEW && !expanded.has(gallery));
    }
    const more = find(`${gallery}-more`);
    more.hidden = shown <= FEW || expanded.has(gallery);
    more.textContent = `Show all ${shown}`;
    find(`${gallery}-shown`).textContent = `${shown} fit the filters; ${able} of ${total.toLocaleString("en")} have a crop.`;
  };

  const update = () => {
    const conf = Number(score.value), least = Number(iou.value);
    find("score-value").textContent = conf.toFixed(2);
    find("iou-value").textContent = least.toFixed(2);
    const judged = judge(conf, least), counts = count(judged);
    filter("missed", judged, counts.missed);
    filter("false", judged, counts.false);
  };

  for (const each of document.querySelectorAll("input, select")) each.addEventListener("input", update);
  for (const gallery of ["missed", "false"]) find(`${gallery}-more`)?.addEventListener("click", () => {
    expanded.add(gallery);
    update();
    document.querySelectorAll(`figure[data-gallery="${gallery}"]:not([hidden]) summary`)[FEW]?.focus();
  });
  find("reset").addEventListener("click", () => {
    for (const each of [score, iou]) each.value = each.defaultValue;
    for (const each of document.querySelectorAll("select")) each.value = "";
    update();
  });
  update();
})();
