// The visit record: what does not fit the answers so far is hidden and not sent, and what follows from them is chosen already.
(function () {
  "use strict";
  var form = document.getElementById("visit");
  if (!form) { return; }
  var loaded = performance.now();

  function value(name) {
    var field = form.querySelector('[name="' + name + '"]:checked, input[type="hidden"][name="' + name + '"]');
    return field ? field.value : "";
  }

  function show(selector, isShown) {
    form.querySelectorAll(selector).forEach(function (part) {
      part.hidden = !isShown;
      part.querySelectorAll("input, select, textarea").forEach(function (input) { input.disabled = !isShown; });
    });
  }

  function choose(name, wanted) {
    var radio = form.querySelector('[name="' + name + '"][value="' + wanted + '"]');
    if (radio && !radio.disabled) { radio.checked = true; }
  }

  function rest() {
    var rest = document.getElementById("rest-ok");
    form.querySelectorAll('input[type="hidden"][name^="safety."]').forEach(function (fine) {
      fine.disabled = rest.disabled || !rest.checked || fine.nextElementSibling.checked;
    });
  }

  function fit() {
    var result = value("result");
    var isDoor = value("method") === "door";
    show("[data-with-contact]", result === "met");
    form.querySelectorAll('[name="contact_with"]').forEach(function (radio) { radio.required = result === "met"; });
    show("[data-met]", result === "met");
    show("[data-inside]", result === "met" && isDoor);
    show("[data-dossier]", result === "met" && value("kind") === "first_visit");
    rest();
  }

  // How one knows follows from how one went and whom one met.
  function prove() {
    var result = value("result");
    var whom = value("contact_with");
    if (result === "hospital") { choose("resolve.contact_proof", "hospital_confirmed"); choose("resolve.outcome", "hospital"); }
    else if (whom === "family") { choose("resolve.contact_proof", "family_with_person"); }
    else if (whom === "senior") { choose("resolve.contact_proof", value("method") === "door" ? "seen_in_person" : "spoke_with_person"); }
    var part = document.getElementById("resolve-part");
    if (part) { part.dispatchEvent(new Event("change")); }
  }

  // Nobody is found well whom nobody met: such a record leaves the alert as it is.
  function close() {
    var part = document.getElementById("resolve-part");
    if (!part) { return; }
    var isOn = document.getElementById("resolve-now").checked;
    var fields = document.getElementById("resolve-fields");
    fields.hidden = !isOn;
    fields.querySelectorAll("input, select, textarea").forEach(function (input) { input.disabled = !isOn; });
    if (isOn) { delete part.dataset.off; part.dispatchEvent(new Event("change")); } else { part.dataset.off = ""; }
  }

  form.addEventListener("change", function (event) {
    if (event.target.id === "resolve-now") { close(); }
    if (event.target.name === "result" && event.target.value === "met" && !value("contact_with")) { fit(); choose("contact_with", "senior"); }
    if (["result", "method", "contact_with", "kind"].indexOf(event.target.name) >= 0) { fit(); prove(); }
    if (event.target.id === "rest-ok" || event.target.name.indexOf("safety.") === 0) { rest(); }
  });

  form.querySelector("[data-all-good]").addEventListener("click", function () {
    form.querySelectorAll('[name^="conditions."][value="good"]').forEach(function (radio) { radio.checked = true; });
  });

  var earlier = document.getElementById("earlier");
  earlier.addEventListener("toggle", function () {
    form.querySelector('input[type="hidden"][name="started_at"]').disabled = earlier.open;
    var chosen = earlier.querySelector("input");
    chosen.disabled = !earlier.open;
    chosen.required = earlier.open;
  });

  // A visit that ends now ended by the server's clock: that of a phone may be wrong.
  form.addEventListener("submit", function () {
    var ended = form.querySelector('[name="ended_at"]');
    ended.disabled = earlier.open;
    ended.value = new Date(Date.parse(form.dataset.now) + performance.now() - loaded).toISOString();
  });

  form.addEventListener("chenlian:done", function (event) {
    var saved = document.getElementById("saved");
    var detail = saved.querySelector("[data-detail]");
    detail.textContent = event.detail.detail || "";
    detail.hidden = !event.detail.detail;
    form.hidden = true;
    saved.hidden = false;
    window.scrollTo(0, 0);
    saved.focus();
  });

  fit();
  close();
  prove();
})();
