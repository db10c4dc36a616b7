// Every form of the pages: what was typed goes to the API as JSON, under a key that makes a second tap harmless; what the API
// refuses is said beside the field, and nothing typed is lost.
//
//   <form data-api="POST /api/v1/alerts/…/claim" data-then="reload">
//
// data-api      method and path
// data-then     where to go afterwards: "reload", a path ("{id}" is the id of the answer), or nothing: the event "chenlian:done"
// data-id       the body gets an `id` made here
// data-version  If-Match
// data-confirm  a question asked first
// input names   "a.b" nests, "a[]" is a list, "a[0].b" an item; data-type="int|bool|json|null" says what a value is;
//               what is left empty is not sent, unless data-empty="null" or data-empty="text"
(function () {
  "use strict";

  function say(name) { return document.body.dataset["say" + name] || ""; }

  // A sentence of the page with its values: "{count}" is filled by `count`.
  function fill(text, values) {
    return Object.keys(values).reduce(function (said, name) { return said.replace("{" + name + "}", function () { return values[name]; }); }, text);
  }

  function uuid() {
    if (window.crypto.randomUUID) { return crypto.randomUUID(); }
    var bytes = crypto.getRandomValues(new Uint8Array(16));
    bytes[6] = (bytes[6] & 15) | 64; bytes[8] = (bytes[8] & 63) | 128;
    var hex = Array.from(bytes, function (byte) { return byte.toString(16).padStart(2, "0"); }).join("");
    return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
  }

  // ---- What is sent ----

  function valueOf(input) {
    if (input.type === "checkbox" && !input.name.endsWith("[]") && input.dataset.type === "bool") { return input.checked; }
    if ((input.type === "checkbox" || input.type === "radio") && !input.checked) { return undefined; }
    var text = input.value.trim();
    if (input.type === "password") { text = input.value; }
    if (text === "") { return { "null": null, text: "" }[input.dataset.empty]; }
    switch (input.dataset.type) {
      case "int": return /^-?\d+$/.test(text) ? Number(text) : text;
      case "bool": return text === "true";
      // What is not JSON is refused by the API, beside the field.
      case "json": try { return JSON.parse(text); } catch (_) { return text; }
      // A local date and time of this browser, with its offset.
      case "moment": return new Date(text).toISOString();
      default: return text;
    }
  }

  function put(target, path, value) {
    var parts = path.replace(/\[\]$/, ".[]").replace(/\[(\d+)\]/g, ".$1").split(".");
    for (var index = 0; index < parts.length - 1; index += 1) {
      var isList = parts[index + 1] === "[]" || /^\d+$/.test(parts[index + 1]);
      if (target[parts[index]] === undefined) { target[parts[index]] = isList ? [] : {}; }
      target = target[parts[index]];
    }
    var last = parts[parts.length - 1];
    if (last === "[]") { target.push(value); } else { target[last] = value; }
  }

  // A list of which items were left empty has holes; the API wants none.
  function dense(value) {
    if (Array.isArray(value)) { return value.filter(function (item) { return item !== undefined; }).map(dense); }
    if (value && typeof value === "object") { Object.keys(value).forEach(function (key) { value[key] = dense(value[key]); }); }
    return value;
  }

  function bodyOf(form, submitter) {
    var body = {};
    Array.from(form.elements).forEach(function (input) {
      if (!input.name || input.disabled || input.tagName === "BUTTON" || input.type === "file") { return; }
      var value = valueOf(input);
      if (value !== undefined) { put(body, input.name, value); }
      else if (input.name.endsWith("[]") && input.dataset.empty === "list") { put(body, input.name, undefined); }
    });
    if (submitter && submitter.name) { put(body, submitter.name, valueOf(submitter)); }
    return dense(body);
  }

  // ---- What is said ----

  function clear(form) {
    form.querySelectorAll(".field-problem").forEach(function (element) { element.remove(); });
    form.querySelectorAll("[aria-invalid]").forEach(function (element) { element.removeAttribute("aria-invalid"); });
    var place = form.querySelector(".problem");
    if (place) { place.hidden = true; }
  }

  function tell(form, text) {
    var place = form.querySelector(".problem");
    if (!place) {
      place = document.createElement("p");
      place.className = "problem";
      place.setAttribute("role", "alert");
      form.append(place);
    }
    place.textContent = text;
    place.hidden = false;
    place.scrollIntoView({ block: "nearest" });
  }

  function refuse(form, problem) {
    var rest = [];
    // The code of the second factor is asked for only where there is one.
    var code = problem.key === "http.code_needed" && form.querySelector("[data-code]");
    if (code) { code.hidden = false; code.querySelector("input").focus(); }
    (problem.errors || []).forEach(function (error) {
      var input = form.elements[error.field];
      input = input && input.length !== undefined && input.tagName !== "SELECT" ? input[0] : input;
      if (!input || input.type === "hidden") { rest.push(error.detail); return; }
      input.setAttribute("aria-invalid", "true");
      var said = document.createElement("span");
      said.className = "field-problem";
      said.textContent = error.detail;
      (input.closest(".field, .choices") || input.parentElement).append(said);
    });
    tell(form, rest.length ? rest.join(" ") : problem.detail);
    var first = form.querySelector("[aria-invalid='true']");
    if (first) { first.focus(); }
  }

  // ---- A question, and the password once more ----

  function ask(text, withPassword, withCode) {
    return new Promise(function (answer) {
      var dialog = document.createElement("dialog");
      var form = document.createElement("form");
      form.method = "dialog";
      var words = document.createElement("p");
      words.className = "lead";
      words.textContent = text;
      form.append(words);
      var input = null;
      if (withPassword) {
        var label = document.createElement("label");
        label.className = "field";
        label.textContent = say("Password");
        input = document.createElement("input");
        input.type = "password";
        input.autocomplete = "current-password";
        input.required = true;
        label.append(input);
        form.append(label);
      }
      var code = null;
      if (withCode) {
        var place = document.createElement("label");
        place.className = "field";
        place.textContent = say("Code");
        code = document.createElement("input");
        code.inputMode = "numeric";
        code.autocomplete = "one-time-code";
        code.required = true;
        place.append(code);
        form.append(place);
      }
      var actions = document.createElement("div");
      actions.className = "actions";
      var no = document.createElement("button");
      no.type = "button";
      no.textContent = say("No");
      var yes = document.createElement("button");
      yes.className = "primary";
      yes.textContent = say("Yes");
      actions.append(no, yes);
      form.append(actions);
      dialog.append(form);
      document.body.append(dialog);
      function end(value) { dialog.close(); dialog.remove(); answer(value); }
      no.addEventListener("click", function () { end(null); });
      dialog.addEventListener("cancel", function () { end(null); });
      form.addEventListener("submit", function (event) { event.preventDefault(); end(code ? { password: input.value, code: code.value } : input ? input.value : true); });
      dialog.showModal();
    });
  }

  // `given` is a password, or a password and a code; null: the person would rather not.
  function confirmPassword(given) {
    if (given === null) { return null; }
    var typed = typeof given === "string" ? { password: given } : given;
    return call("POST", "/api/v1/sessions/current/confirm", typed, { "Idempotency-Key": uuid() });
  }

  // Resolves to {ok, status, body}; body is the answer or the problem. Rejects only without a network, or when `patience`
  // (milliseconds) was given and has run out.
  async function call(method, path, body, headers, patience) {
    var options = { method: method, headers: Object.assign({ "Accept": "application/json" }, headers), credentials: "same-origin" };
    if (body !== undefined) { options.headers["Content-Type"] = "application/json"; options.body = JSON.stringify(body); }
    var stop = new AbortController();
    var bell = patience && setTimeout(function () { stop.abort(); }, patience);
    options.signal = stop.signal;
    var response, text;
    try {
      response = await fetch(path, options);
      text = await response.text();
    } finally { clearTimeout(bell); }
    var answer = {};
    try { answer = text ? JSON.parse(text) : {}; } catch (_) { answer = { detail: say("Offline") }; }
    if (response.status === 403 && answer.key === "http.recent_sign_in_required") {
      var again = await confirmPassword(await ask(say("Again"), true));
      if (again && !again.ok && again.body.key === "http.code_needed") {
        again = await confirmPassword(await ask(again.body.detail, true, true));
      }
      if (again) { return again.ok ? call(method, path, body, headers) : again; }
    }
    return { ok: response.ok, status: response.status, body: answer };
  }

  async function submit(form, submitter) {
    if (form.getAttribute("aria-busy") === "true") { return; }
    var question = (submitter && submitter.dataset.confirm) || form.dataset.confirm;
    if (question && (await ask(question, false)) === null) { return; }
    clear(form);
    var where = ((submitter && submitter.dataset.api) || form.dataset.api).split(" ");
    var headers = {};
    if (form.dataset.version) { headers["If-Match"] = '"' + form.dataset.version + '"'; }
    // The same key until it is known what became of the request: a second tap is a repeat, not a second act.
    if (where[0] === "POST") { form.dataset.key = form.dataset.key || uuid(); headers["Idempotency-Key"] = form.dataset.key; }
    var body = where[0] === "DELETE" ? undefined : bodyOf(form, submitter);
    if (form.dataset.id !== undefined) { body.id = form.dataset.key; }
    form.setAttribute("aria-busy", "true");
    form.querySelectorAll("button").forEach(function (button) { button.setAttribute("aria-busy", "true"); });
    try {
      var answer = await call(where[0], where[1], body, headers);
      if (answer.ok || answer.status < 500) { delete form.dataset.key; }
      if (answer.status === 401 && answer.body.key === "problem.sign_in_required") {
        location.href = "/sign-in?next=" + encodeURIComponent(location.pathname + location.search);
        return;
      }
      if (!answer.ok) { refuse(form, answer.body); return; }
      done(form, submitter, answer.body);
    } catch (_) {
      tell(form, say("Offline"));
    } finally {
      form.removeAttribute("aria-busy");
      form.querySelectorAll("button").forEach(function (button) { button.removeAttribute("aria-busy"); });
    }
  }

  function done(form, submitter, answer) {
    var then = (submitter && submitter.dataset.then) || form.dataset.then;
    var event = new CustomEvent("chenlian:done", { bubbles: true, cancelable: true, detail: answer });
    if (!form.dispatchEvent(event) || !then) { return; }
    if (then === "reload") { location.reload(); } else { location.assign(fill(then, { id: answer.id || "" })); }
  }

  document.addEventListener("submit", function (event) {
    if (!event.target.dataset.api) { return; }
    event.preventDefault();
    submit(event.target, event.submitter);
  });

  // <button data-opens="id"> opens a dialog, <button data-closes> shuts the one it stands in, <button data-prints> prints.
  document.addEventListener("click", function (event) {
    var opens = event.target.closest("[data-opens]");
    if (opens) { document.getElementById(opens.dataset.opens).showModal(); return; }
    var closes = event.target.closest("[data-closes]");
    if (closes) { closes.closest("dialog").close(); return; }
    if (event.target.closest("[data-prints]")) { window.print(); }
  });

  window.chenlian = { call: call, ask: ask, uuid: uuid, say: say, fill: fill };
})();
