"use strict";
// Serves a listener on http://127.0.0.1 until SIGTERM, by two processes.

const cluster = require("node:cluster");
const http = require("node:http");
const path = require("node:path");
const { parseArgs } = require("node:util");
const { sessions } = require("tokencache");

const PROCESSES = 2;

function usage(why) {
  console.error(`${why}\nusage: run --socket PATH --port N [--reveal-captchas]`);
  process.exit(2);
}

function settings() {
  let values;
  try {
    const [text, flag] = [{ type: "string" }, { type: "boolean" }];
    ({ values } = parseArgs({ options: { socket: text, port: text, "reveal-captchas": flag } }));
  } catch (error) {
    usage(error.message);
  }
  const port = /^[0-9]{1,5}$/.test(values.port ?? "") ? Number(values.port) : 0;
  if (!values.socket) usage("--socket takes the path of the daemon's socket");
  if (port < 1 || port > 65_535) usage("--port takes a number from 1 to 65535");
  return { socket: path.resolve(values.socket), port, revealsCaptchas: values["reveal-captchas"] === true };
}

// The first page without the package, for ../../conformance/speed.
function bare(request, response) {
  const page = "<!doctype html><title>Small site</title><p>user: ann</p>";
  response.writeHead(200, { "Content-Type": "text/html; charset=utf-8", "Content-Length": page.length });
  response.end(page);
}

// `listener` makes one of a middleware and of { revealsCaptchas }.
function main(listener) {
  const { socket, port, ...options } = settings();
  if (!cluster.isPrimary) {
    const server = http.createServer(process.env.SITE_IS_BARE ? bare : listener(sessions({ socket, development: true }), options));
    server.on("error", (error) => {
      console.error(error.message);
      process.exit(1);
    });
    server.listen(port, "127.0.0.1");
    process.on("SIGTERM", () => process.exit(0));
    return;
  }
  const endAll = () => Object.values(cluster.workers).forEach((worker) => worker.kill("SIGTERM"));
  let isStopping = false;
  process.on("SIGTERM", () => {
    isStopping = true;
    endAll();
  });
  // A port that is taken, a fault: all of it ends, and the status says so.
  cluster.on("exit", (worker, status) => {
    if (isStopping) return;
    process.exitCode = status || 1;
    endAll();
  });
  for (let i = 0; i < PROCESSES; i += 1) cluster.fork();
}

module.exports = { main };
