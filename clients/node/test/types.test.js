"use strict";

const { execFileSync, spawnSync } = require("node:child_process");
const { test } = require("node:test");

const hasCompiler = spawnSync("tsc", ["--version"]).status === 0;

test("the declarations say what may be written", { skip: hasCompiler ? false : "tsc is not installed" }, () => {
  try {
    execFileSync("tsc", ["--project", __dirname], { stdio: "pipe" });
  } catch (error) {
    throw new Error(`${error.stdout}`);
  }
});
