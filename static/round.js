// The round: a tap is kept at once, can be taken back for ten seconds, and is sent when there is a network.
(function () {
  "use strict";

  var round = document.getElementById("round");
  var queue = window.chenlianQueue;
  var member = round.dataset.member;
  var UNDO_MS = 10000;
  var SEND_EVERY_MS = 15000;
  // A list that is older is said to be: the page came out of the phone's store.
  var FRESH_MS = 120000;
  // So close to the agreed time a tap counts more than the chance to take it back.
  var CLOSE_MS = 60000;
  var opened = Date.now();
  // The clock of the site, which is the one on the page.
  var clock = new Intl.DateTimeFormat("en-GB", { timeZone: round.dataset.zone, hour: "2-digit", minute: "2-digit" });

  function byId(id) { return document.getElementById(id); }
  function stopOf(senior) { return document.querySelector(".stop[data-senior='" + senior + "']"); }

  // ---- Keeping and showing ----

  async function tap(stop, kind) {
    var button = stop.querySelector("[data-kind='" + kind + "']");
    if (button && button.dataset.sure !== undefined) {
      var sure = await chenlian.ask(chenlian.fill(round.dataset.sayHelpSure, { called: stop.dataset.called }), false);
      if (!sure) { return; }
    }
    var at = new Date();
    var left = Date.parse(stop.dataset.deadline) - at.getTime();
    var urgent = (button && button.dataset.sure !== undefined) || (left > 0 && left < CLOSE_MS);
    await queue.add({
      member: member, id: chenlian.uuid(), senior: stop.dataset.senior, kind: kind, at: at.toISOString(),
      holdUntil: urgent ? 0 : at.getTime() + UNDO_MS
    });
    await paint();
    // What to do next must not stand where nobody looks.
    var next = stop.querySelector("[data-next]:not([hidden])");
    if (next) { next.scrollIntoView({ block: "center" }); }
    setTimeout(flush, urgent ? 0 : UNDO_MS + 100);
  }

  async function undo(stop) {
    var waiting = await queue.all("waiting");
    var mine = waiting.filter(function (item) { return item.senior === stop.dataset.senior && item.holdUntil > Date.now(); });
    for (var item of mine) { await queue.remove("waiting", item.no); }
    await paint();
  }

  // The last word of this phone about each senior, waiting or sent, that the page does not show yet.
  async function latest() {
    var known = (await queue.all("sent")).concat(await queue.all("waiting"));
    var found = {};
    known.forEach(function (item) {
      var isToday = Date.parse(item.at) > Date.parse(round.dataset.generated) - 12 * 3600 * 1000;
      if (item.member === member && !item.absence && isToday) { found[item.senior] = item; }
    });
    // What she noted on another phone, or on paper, unless this phone knows something newer.
    document.querySelectorAll(".stop[data-look-mine]").forEach(function (stop) {
      var mine = found[stop.dataset.senior];
      var at = stop.dataset.lookAt;
      if (mine && (mine.no !== undefined && mine.holdUntil > Date.now() || Date.parse(mine.at) >= Date.parse(at))) { return; }
      found[stop.dataset.senior] = { member: member, id: stop.dataset.look, senior: stop.dataset.senior, kind: stop.dataset.lookKind, at: at, holdUntil: 0 };
    });
    return found;
  }

  async function paint() {
    var words = await latest();
    var done = 0;
    document.querySelectorAll(".stop").forEach(function (stop) {
      var item = words[stop.dataset.senior];
      var place = stop.querySelector(".mine");
      var button = item && stop.querySelector("[data-kind='" + item.kind + "']");
      var settled = ["ok", "ok_late", "excused"].includes(stop.dataset.state);
      if (place) { show(stop, place, item, button); advise(stop, item, settled); }
      var tone = button ? button.dataset.tone : "none";
      if (settled || tone === "good") { done += 1; }
    });
    if (byId("done")) { byId("done").textContent = done; byId("bar").value = done; }
    await say();
  }

  function show(stop, place, item, button) {
    stop.classList.toggle("marked", Boolean(button) && button.dataset.tone === "good");
    stop.querySelectorAll("[data-kind]").forEach(function (each) { each.setAttribute("aria-pressed", String(each === button)); });
    place.hidden = !button;
    if (!button) { return; }
    var time = clock.format(new Date(item.at));
    place.querySelector("span").textContent = chenlian.fill(round.dataset.sayRecorded, { what: button.textContent.trim(), time: time });
    var held = item.no !== undefined && item.holdUntil > Date.now();
    place.querySelector("[data-undo]").hidden = !held;
    place.querySelector("[data-correct]").hidden = held;
    if (held) { setTimeout(paint, item.holdUntil - Date.now() + 50); }
  }

  // What to do next: first the phone, then a second look, then up the stairs.
  function advise(stop, item, settled) {
    var kind = settled ? "" : item ? item.kind : stop.dataset.lookKind || "";
    var button = kind && stop.querySelector("[data-kind='" + kind + "']");
    stop.querySelector("[data-next='look']").hidden = !(button && button.dataset.tone === "wait");
    stop.querySelector("[data-next='up']").hidden = kind !== "no_answer";
  }

  async function say() {
    // What may still be taken back is not late.
    var waiting = (await queue.all("waiting")).filter(function (item) { return item.holdUntil <= Date.now(); });
    var mine = waiting.filter(function (item) { return item.member === member; }).length;
    var box = byId("unsent");
    box.hidden = waiting.length === 0;
    var text = mine ? chenlian.fill(round.dataset.sayUnsent, { count: mine }) : chenlian.fill(round.dataset.sayOthers, { count: waiting.length });
    // Said again only when it changes, or a screen reader would never be quiet.
    if (box.querySelector("p").textContent !== text) { box.querySelector("p").textContent = text; }
    byId("send-now").hidden = mine === 0;
    await sayRefused();
  }

  async function sayRefused() {
    var refused = (await queue.all("refused")).filter(function (item) { return item.member === member; });
    var place = byId("refused");
    place.textContent = "";
    refused.forEach(function (item) {
      var stop = stopOf(item.senior);
      var button = stop && stop.querySelector("[data-kind='" + item.kind + "']");
      var line = document.createElement("div");
      line.className = "notice bad";
      var words = document.createElement("p");
      words.textContent = chenlian.fill(round.dataset.sayRefused, {
        called: stop ? stop.dataset.called : "", what: button ? button.textContent.trim() : "", why: item.detail || "" });
      var close = document.createElement("button");
      close.type = "button";
      close.textContent = round.dataset.sayKept;
      close.addEventListener("click", async function () { await queue.remove("refused", item.no); await paint(); });
      line.append(words, close);
      place.append(line);
    });
  }

  // ---- Sending ----

  var sending = false;
  async function flush() {
    if (sending) { return; }
    sending = true;
    try {
      var before = (await queue.all("waiting")).length;
      var outcome = before ? await queue.send(member) : "done";
      var out = byId("said-out");
      out.hidden = outcome !== "signed-out";
      if (outcome === "signed-out") {
        var count = (await queue.all("waiting")).length;
        out.querySelector("p").textContent = chenlian.fill(round.dataset.saySignedOut, { count: count });
      }
      if (before) { await paint(); }
    } finally { sending = false; }
  }

  // ---- Corrections and absences ----

  var correcting = null;
  function openCorrection(stop) {
    correcting = stop.dataset.senior;
    var dialog = byId("correct");
    dialog.querySelector(".who").textContent = stop.dataset.called;
    var kinds = byId("correct-kinds");
    kinds.textContent = "";
    stop.querySelectorAll("[data-kind]").forEach(function (button) {
      var label = document.createElement("label");
      label.className = "choice";
      var input = document.createElement("input");
      input.type = "radio";
      input.name = "kind";
      input.required = true;
      input.value = button.dataset.kind;
      label.append(input, button.textContent.trim());
      kinds.append(label);
    });
    dialog.showModal();
  }

  async function correct(event) {
    event.preventDefault();
    var form = event.target;
    var old = (await latest())[correcting];
    if (!old) { byId("correct").close(); return; }
    if (old.no !== undefined && old.holdUntil > Date.now()) { await undo(stopOf(correcting)); old = null; }
    var item = { member: member, id: chenlian.uuid(), senior: correcting, kind: form.elements.kind.value, holdUntil: 0 };
    // What was seen then was something else: the time of the look stays.
    item.at = old ? old.at : new Date().toISOString();
    if (old) { item.replaces = old.id; item.reason = form.elements.reason.value; }
    await queue.add(item);
    byId("correct").close();
    await paint();
    flush();
  }

  var absent = null;
  function openAbsence(stop) {
    absent = stop.dataset.senior;
    byId("absence").querySelector(".who").textContent = stop.dataset.called;
    byId("absence").showModal();
  }

  async function propose(event) {
    event.preventDefault();
    var fields = event.target.elements;
    var absence = { kind: fields.kind.value, reported_by: fields.reported_by.value, from_date: fields.from_date.value, return_date: fields.return_date.value };
    await queue.add({ member: member, id: chenlian.uuid(), senior: absent, kind: "absence", at: new Date().toISOString(), holdUntil: 0, absence: absence });
    byId("absence").close();
    var stop = stopOf(absent);
    var line = document.createElement("p");
    line.className = "notice good";
    line.setAttribute("role", "status");
    line.textContent = round.dataset.sayAbsenceKept;
    stop.append(line);
    await paint();
    flush();
  }

  // ---- The page itself ----

  round.addEventListener("click", function (event) {
    var stop = event.target.closest(".stop");
    var button = event.target.closest("button");
    if (!stop || !button) { return; }
    if (button.dataset.kind || button.dataset.tap) { tap(stop, button.dataset.kind || button.dataset.tap); }
    else if (button.dataset.undo !== undefined) { undo(stop); }
    else if (button.dataset.correct !== undefined) { openCorrection(stop); }
    else if (button.dataset.absence !== undefined) { openAbsence(stop); }
  });
  byId("correct-form").addEventListener("submit", correct);
  byId("absence-form").addEventListener("submit", propose);
  byId("send-now").addEventListener("click", flush);
  document.addEventListener("chenlian:done", function (event) {
    if (event.target.closest("#leave")) { byId("leave-done").hidden = false; }
  });
  window.addEventListener("online", flush);
  document.addEventListener("visibilitychange", function () {
    if (document.hidden) { return; }
    flush();
    // Others have looked meanwhile.
    if (navigator.onLine && Date.now() - opened > FRESH_MS && !document.querySelector("dialog[open]")) { location.reload(); }
  });
  setInterval(flush, SEND_EVERY_MS);

  if (Date.now() - Date.parse(round.dataset.generated) > FRESH_MS) {
    byId("old-list").textContent = round.dataset.sayOld;
    byId("old-list").hidden = false;
  }

  // The page and its files are kept for the next time without a network.
  async function keep() {
    if (!("serviceWorker" in navigator)) { byId("no-offline").hidden = false; return; }
    try {
      await navigator.serviceWorker.register("/sw.js");
      var ready = await navigator.serviceWorker.ready;
      var files = Array.from(document.querySelectorAll("link[rel='stylesheet'], link[rel='icon'], script[src]"), function (element) { return element.href || element.src; });
      ready.active.postMessage({ keep: [location.pathname + location.search].concat(files) });
      if (navigator.storage && navigator.storage.persist) { navigator.storage.persist(); }
    } catch (_) { byId("no-offline").hidden = false; }
  }

  queue.forgetOld().then(paint).then(flush);
  if (round.dataset.live !== undefined) { keep(); }
})();
