// Setting up the second factor: password, picture, first code, spare codes. Nothing of it is kept in the page's address or storage.
(function () {
  "use strict";
  function find(id) { return document.getElementById(id); }
  document.addEventListener("chenlian:done", function (event) {
    if (event.target.id === "factor-begin") {
      find("factor-qr").src = event.detail.qr;
      find("factor-text").textContent = event.detail.secret.replace(/(.{4})/g, "$1 ");
      event.target.hidden = true;
      find("factor-secret").hidden = false;
      find("factor-confirm").elements.code.focus();
    }
    if (event.target.id === "factor-confirm") {
      event.detail.codes.forEach(function (code) {
        var item = document.createElement("li");
        item.textContent = code;
        find("factor-list").append(item);
      });
      find("factor-secret").hidden = true;
      find("factor-codes").hidden = false;
    }
  });
})();
