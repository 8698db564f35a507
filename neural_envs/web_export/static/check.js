/* What this page needs of a browser, in words that every browser reads; then the page itself. */
(function () {
  "use strict";
  var simd = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11];
  var atomics = [0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 5, 4, 1, 3, 1, 1, 10, 11, 1, 9, 0, 65, 0, 254, 16, 2, 0, 26, 11];
  function compiles(bytes) {
    return typeof WebAssembly === "object" && WebAssembly.validate(new Uint8Array(bytes));
  }
  function moduleWorkers() {
    var asked = false;
    try {
      new Worker("http://", { get type() { asked = true; return "module"; } }).terminate();
    } catch (error) { /* there is no such address; what was asked for is known all the same */ }
    return asked;
  }
  var needs = [
    ["WebAssembly", typeof WebAssembly === "object"],
    ["WebAssembly SIMD", compiles(simd)],
    ["WebAssembly threads", compiles(atomics)],
    ["module scripts", "noModule" in document.createElement("script")],
    ["module workers", typeof Worker === "function" && moduleWorkers()],
    ["BigInt", typeof BigInt64Array === "function"],
    ["DecompressionStream", typeof DecompressionStream === "function"],
    ["OffscreenCanvas", typeof OffscreenCanvas === "function"]
  ];
  var lacking = [];
  for (var i = 0; i < needs.length; i++) if (!needs[i][1]) lacking.push(needs[i][0]);
  var wrong = "";
  if (lacking.length) wrong = "This browser cannot dream: it lacks " + lacking.join(", ") +
    ". Chrome and Edge from 103, Firefox from 114 and Safari from 16.4 on have it.";
  else if (location.protocol === "file:") wrong = "Browsers run this page only from a server, as that of: python -m http.server";
  if (wrong) {
    document.getElementById("state").textContent = "cannot play";
    document.getElementById("state").className = "badge off";
    document.getElementById("hint").textContent = wrong;
    return;
  }
  var script = document.createElement("script");
  script.type = "module";
  script.src = "static/site.js";
  document.head.appendChild(script);
})();
