"use strict";
// The first page of the README, as it stands there but for the socket and the port.

const assert = require("node:assert/strict");
const { spawn } = require("node:child_process");
const { once } = require("node:events");
const fs = require("node:fs");
const path = require("node:path");
const { test } = require("node:test");
const { Browser, hasExpress, serve, startDaemon } = require("./support.js");

test("ten lines are a site with a login", { skip: hasExpress ? false : "Express is not installed" }, async () => {
  const root = path.join(__dirname, "..");
  const [, code] = /```js\n(.*?)```/s.exec(fs.readFileSync(path.join(root, "README.md"), "utf8"));
  const probe = await serve(() => {});
  await probe.end();
  const daemon = await startDaemon();
  const ours = code.replace("/run/tokencached/tokencached.sock", daemon.socket).replace("listen(8000)", `listen(${probe.port}, () => console.log("ready"))`);
  const site = spawn(process.execPath, ["-e", ours], { cwd: root, stdio: ["ignore", "pipe", "inherit"] });
  try {
    await once(site.stdout, "data");
    const browser = new Browser(probe.port);
    assert.match((await browser.get("/")).text, /Hello guest/);
    assert.equal((await browser.post("/login", { user: "ann" })).status, 303);
    assert.match((await browser.get("/")).text, /Hello ann/);
  } finally {
    site.kill();
    await once(site, "exit");
    await daemon.end();
  }
});
