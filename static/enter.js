// A sheet of paper typed in: everybody was as agreed, except where it is marked otherwise. What is marked is kept in this tab (ids and
// kinds, no names) until the server has it, so that neither a reload nor a lost sign-in costs it.
(function () {
  "use strict";

  var form = document.getElementById("enter");
  if (!form) { return; }
  var end = form.querySelector(".problem");
  var draft = "chenlian-sheet " + form.dataset.member + location.search;
  // The same until it is known what became of the sheet: a second tap is a repeat, not a second sheet.
  var key = null;

  function entries() { return Array.from(form.querySelectorAll(".entry")); }
  function chosen(entry) { return entry.querySelector("input:checked"); }

  function count() {
    var counts = { good: 0, shut: 0, blind: 0, skipped: 0 };
    entries().forEach(function (entry) {
      var input = chosen(entry);
      counts[input.dataset.count] += 1;
      entry.classList.toggle("excepted", input.dataset.usual === undefined);
    });
    return chenlian.fill(form.dataset.sayCounts, counts);
  }

  function body() {
    var except = [];
    entries().forEach(function (entry) {
      var input = chosen(entry);
      if (input.dataset.usual !== undefined) { return; }
      var one = { senior_id: entry.dataset.senior };
      if (input.value) { one.kind = input.value; }
      except.push(one);
    });
    var time = form.elements.looked_at.value;
    var sheet = { slot: form.dataset.slot, looked_at: form.dataset.date + "T" + time.slice(0, 5) + ":00" + form.dataset.offset, except: except };
    if (form.dataset.place) { sheet.place_id = form.dataset.place; }
    if (form.elements.observed_by) { sheet.observed_by = form.elements.observed_by.value; }
    return sheet;
  }

  // ---- What is kept in this tab ----

  function keep() {
    var marks = {};
    entries().forEach(function (entry) { var input = chosen(entry); if (input.dataset.usual === undefined) { marks[entry.dataset.senior] = input.value; } });
    var by = form.elements.observed_by;
    try { sessionStorage.setItem(draft, JSON.stringify({ at: form.elements.looked_at.value, by: by ? by.value : "", marks: marks, key: key })); } catch (_) { /* A browser that keeps nothing. */ }
  }

  function restore() {
    var kept = null;
    try { kept = JSON.parse(sessionStorage.getItem(draft) || "null"); } catch (_) { return; }
    if (!kept) { return; }
    form.elements.looked_at.value = kept.at;
    if (form.elements.observed_by && kept.by) { form.elements.observed_by.value = kept.by; }
    key = kept.key;
    entries().forEach(function (entry) {
      var mark = kept.marks[entry.dataset.senior];
      if (mark === undefined) { return; }
      entry.querySelectorAll("input").forEach(function (input) { if (input.value === mark) { input.checked = true; } });
    });
  }

  function forget() { try { sessionStorage.removeItem(draft); } catch (_) { /* The same. */ } }

  function change() { document.getElementById("counts").textContent = count(); keep(); }

  // ---- What is said ----

  function clear() {
    end.hidden = true;
    document.getElementById("enter-out").hidden = true;
    form.querySelectorAll(".field-problem").forEach(function (element) { element.remove(); });
    form.querySelectorAll("[aria-invalid]").forEach(function (element) { element.removeAttribute("aria-invalid"); });
  }

  function tell(text) { end.textContent = text; end.hidden = false; }

  function refuse(problem) {
    var rest = [];
    (problem.errors || []).forEach(function (error) {
      var input = form.elements[error.field];
      if (!input) { rest.push(error.detail); return; }
      input.setAttribute("aria-invalid", "true");
      var said = document.createElement("span");
      said.className = "field-problem";
      said.textContent = error.detail;
      input.closest(".field").append(said);
      input.focus();
    });
    tell(rest.length ? rest.join(" ") : problem.detail || chenlian.say("Offline"));
  }

  function done(answer) {
    forget();
    form.hidden = true;
    var place = document.getElementById("entered");
    place.hidden = false;
    var refused = answer.results.filter(function (result) { return result.status !== "stored" && result.status !== "known"; });
    place.querySelector("p").textContent = chenlian.fill(form.dataset.sayDone, { count: answer.results.length - refused.length }) + " " + count();
    refused.forEach(function (result) {
      var entry = form.querySelector(".entry[data-senior='" + result.senior_id + "']");
      var line = document.createElement("p");
      line.className = "notice bad";
      line.textContent = chenlian.fill(form.dataset.sayRefused, {
        called: entry ? entry.dataset.called : "", what: entry ? chosen(entry).parentElement.textContent.trim() : "", why: result.detail || "" });
      document.getElementById("entered-refused").append(line);
    });
    place.focus();
  }

  async function submit(event) {
    event.preventDefault();
    if (form.getAttribute("aria-busy") === "true") { return; }
    clear();
    key = key || chenlian.uuid();
    keep();
    form.setAttribute("aria-busy", "true");
    try {
      var answer = await chenlian.call("POST", "/api/v1/signals/sheet", Object.assign({ id: key }, body()), { "Idempotency-Key": key });
      if (answer.status === 401) {
        var out = document.getElementById("enter-out");
        out.querySelector("span").textContent = form.dataset.sayOut;
        out.hidden = false;
        return;
      }
      if (answer.ok) { done(answer.body); return; }
      // Refused as a whole: nothing of it is kept there, and the mended one is a new sheet.
      if (answer.status < 500) { key = null; keep(); }
      refuse(answer.body);
    } catch (_) {
      tell(chenlian.say("Offline"));
    } finally { form.removeAttribute("aria-busy"); }
  }

  restore();
  change();
  form.addEventListener("change", change);
  form.addEventListener("submit", submit);
})();
