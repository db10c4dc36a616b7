// The consents of one sheet, one after the other; a key per scope makes a second tap harmless.
(function () {
  "use strict";
  var form = document.getElementById("consents");
  var keys = {};
  var givenAt = new Date().toISOString();

  function show(element, text) { element.textContent = text; element.hidden = !text; }

  form.addEventListener("submit", async function (event) {
    event.preventDefault();
    if (form.getAttribute("aria-busy") === "true") { return; }
    var problem = form.querySelector(".problem");
    var done = document.getElementById("consents-done");
    var scopes = Array.from(form.querySelectorAll("[name=scope]:checked:not(:disabled)"));
    show(problem, ""); show(done, "");
    if (scopes.length === 0) { show(problem, form.dataset.sayNone); return; }
    form.setAttribute("aria-busy", "true");
    try {
      for (var input of scopes) {
        var key = keys[input.value] = keys[input.value] || window.chenlian.uuid();
        var body = { id: key, scope: input.value, given_at: givenAt, given_how: form.querySelector("[name=how]:checked").value };
        if (form.elements.witness.value.trim()) { body.witness = form.elements.witness.value.trim(); }
        var answer = await window.chenlian.call("POST", "/api/v1/seniors/" + form.dataset.senior + "/consents", body, { "Idempotency-Key": key });
        if (!answer.ok) { show(problem, (answer.body.errors || []).map(function (error) { return error.detail; }).join(" ") || answer.body.detail); return; }
        // What is on record is not sent once more.
        input.disabled = true;
      }
      show(done, form.dataset.sayDone);
    } catch (_) {
      show(problem, window.chenlian.say("Offline"));
    } finally {
      form.removeAttribute("aria-busy");
    }
  });
})();
