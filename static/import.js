// The import of the register: the chosen file goes to the server twice, first to be checked and then to be taken. The hash of the
// check goes along, so that only what was checked is taken; one key per check makes a second tap harmless.
(function () {
  "use strict";
  var form = document.getElementById("import");
  var take = document.getElementById("import-take");
  var checked = null;

  function find(id) { return document.getElementById(id); }
  function say(name, count) { return form.dataset["say" + name].replace("%{count}", count); }

  function show(element, text, kind) {
    element.textContent = text;
    if (kind) { element.className = "notice " + kind; }
    element.hidden = false;
  }

  function tell(text) {
    var place = form.querySelector(".problem");
    place.textContent = text;
    place.hidden = !text;
  }

  async function send(path, file, key) {
    var headers = { "Accept": "application/json", "Content-Type": "application/octet-stream" };
    if (key) { headers["Idempotency-Key"] = key; }
    var response = await fetch(path, { method: "POST", body: file, headers: headers, credentials: "same-origin" });
    var answer = await response.json();
    if (response.status === 401) { location.href = "/sign-in?next=" + encodeURIComponent(location.pathname); }
    return { ok: response.ok, body: answer };
  }

  function said(problem) {
    return (problem.errors || []).map(function (error) { return error.detail; }).join(" ") || problem.detail;
  }

  function row(problem) {
    var line = document.createElement("tr");
    [problem.row || say("Whole", 0), problem.column || "", problem.detail].forEach(function (text) {
      var cell = document.createElement("td");
      cell.textContent = text;
      line.append(cell);
    });
    return line;
  }

  function report(answer) {
    var problems = answer.problems;
    find("import-problems").replaceChildren.apply(find("import-problems"), problems.map(row));
    find("import-table").hidden = problems.length === 0;
    find("import-more").hidden = !answer.more;
    find("import-done").hidden = true;
    take.hidden = problems.length > 0;
    if (problems.length > 0) { show(find("import-said"), say("Problems", problems.length), "wait"); return; }
    show(find("import-said"), say("Clean", answer.seniors), "good");
    take.textContent = say("Take", answer.seniors);
  }

  async function busy(button, work) {
    if (button.getAttribute("aria-busy") === "true") { return; }
    button.setAttribute("aria-busy", "true");
    try { await work(); } catch (_) { tell(window.chenlian.say("Offline")); } finally { button.removeAttribute("aria-busy"); }
  }

  form.addEventListener("submit", function (event) {
    event.preventDefault();
    var file = form.elements.file.files[0];
    tell(file ? "" : say("Choose", 0));
    if (!file) { return; }
    busy(form.querySelector("button"), async function () {
      // Its bytes now: a file that is changed on the disk while the page is open cannot be read a second time.
      var bytes = await file.arrayBuffer();
      var answer = await send("/api/v1/imports", bytes, null);
      if (!answer.ok) { tell(said(answer.body)); return; }
      checked = { bytes: bytes, hash: answer.body.hash, key: window.chenlian.uuid() };
      report(answer.body);
    });
  });

  form.elements.file.addEventListener("change", function () { take.hidden = true; });

  take.addEventListener("click", function () {
    busy(take, async function () {
      var answer = await send("/api/v1/imports/commit?hash=" + checked.hash, checked.bytes, checked.key);
      if (!answer.ok) { show(find("import-said"), said(answer.body), "bad"); return; }
      take.hidden = true;
      show(find("import-said"), say("Taken", answer.body.seniors), "good");
      find("import-done").hidden = false;
    });
  });
})();
