// Sensors: what a new one must be given is shown once, and while one is paired its last message is looked for every two seconds.
(function () {
  "use strict";
  function find(id) { return document.getElementById(id); }
  var EVERY_MS = 2000;
  // Somebody who left the page open does not ask all night.
  var ASKS_MAX = 900;

  document.addEventListener("chenlian:done", function (event) {
    if (event.target.id !== "device-new") { return; }
    var given = event.detail.credentials;
    find("device-next").href = "/admin/devices/" + event.detail.id;
    if (!given) { location.assign(find("device-next").href); return; }
    find("device-user").textContent = given.mqtt_user;
    find("device-password").textContent = given.mqtt_password;
    find("device-key").textContent = given.key_hex || "";
    if (given.qr) { find("device-qr").src = given.qr; } else { find("device-qr").hidden = true; }
    event.target.hidden = true;
    find("device-secret").hidden = false;
    find("device-next").focus();
  });

  // One of those that spoke without being entered: the form is filled, and a person looks at it.
  document.querySelectorAll("[data-pick]").forEach(function (button) {
    button.addEventListener("click", function () {
      var form = find("device-new");
      form.elements.name.value = button.dataset.name;
      form.elements.ecosystem.value = button.dataset.ecosystem;
      form.elements.gateway_id.value = button.dataset.gateway;
      form.elements.component.value = button.dataset.component;
      if (button.dataset.role) { form.elements.role.value = button.dataset.role; }
      var announced = JSON.parse(button.dataset.settings || "{}");
      ["on", "open_position", "device_class"].forEach(function (name) {
        form.elements["settings." + name].value = announced[name] === undefined ? "" : announced[name];
      });
      find("device-more").open = Boolean(button.dataset.component) || Object.keys(announced).length > 0;
      form.scrollIntoView({ block: "start" });
      form.elements.role.focus({ preventScroll: true });
    });
  });

  // Which press is the one for help: its name on the device.
  document.querySelectorAll("[data-press]").forEach(function (input) {
    input.addEventListener("input", function () {
      var name = input.value.trim(), press = {};
      press[name] = input.dataset.press;
      input.form.elements["settings.actions"].value = name ? JSON.stringify(press) : "";
    });
  });

  var last = find("device-last");
  if (!last) { return; }

  // The two clicks: what is read while the curtain is shut, and what while it is open.
  var calibration = find("device-calibrate");
  var level = null;
  function read(now) {
    if (!calibration) { return; }
    if (now !== level) { complain(""); }
    level = now;
    var reading = find("device-reading");
    var text = now ? reading.dataset["say" + now.charAt(0).toUpperCase() + now.slice(1)] : calibration.dataset.sayNone;
    if (reading.textContent !== text) { reading.textContent = text; }
  }
  function complain(text) {
    var place = calibration.querySelector(".problem");
    place.textContent = text;
    place.hidden = !text;
  }
  if (calibration) {
    calibration.addEventListener("click", function (event) {
      var step = event.target.dataset.reading;
      if (!step) { return; }
      if (!level) { complain(calibration.dataset.sayNone); return; }
      if (step === "while_open" && level === calibration.elements.while_closed.value) { complain(calibration.dataset.saySame); return; }
      complain("");
      calibration.elements[step].value = level;
      var next = calibration.querySelector("[data-reading='while_open']");
      if (step === "while_closed") { next.disabled = false; next.focus(); } else { calibration.requestSubmit(); }
    });
  }

  var asked = 0;
  async function look() {
    asked += 1;
    if (!document.hidden) {
      try {
        var answer = await window.chenlian.call("GET", "/api/v1/devices/" + last.dataset.device);
        if (answer.ok) { read(answer.body.level); }
        if (answer.ok && answer.body.last_seen_at) {
          var time = new Intl.DateTimeFormat(document.documentElement.lang, { timeZone: last.dataset.zone, timeStyle: "medium" });
          var text = last.dataset.sayHeard.replace("%{time}", time.format(new Date(answer.body.last_seen_at)));
          if (last.textContent !== text) { last.textContent = text; }
        }
      } catch (_) { /* the next look may find it */ }
    }
    if (asked < ASKS_MAX) { setTimeout(look, EVERY_MS); }
  }
  setTimeout(look, EVERY_MS);
})();
