"use strict";
// Servers and browsers of the tests. Each test file starts what it needs in a folder of its own and ends it.

const { spawn } = require("node:child_process");
const { once } = require("node:events");
const fs = require("node:fs");
const http = require("node:http");
const net = require("node:net");
const os = require("node:os");
const path = require("node:path");
const { Client } = require("tokencache");

const PROGRAMS = process.env.PROGRAMS ?? path.resolve(__dirname, "../../../.build/release");

// Where there is no Express the rest is tested; `make test-node` has it.
let hasExpress = true;
try {
  require.resolve("express");
} catch {
  hasExpress = false;
}

// A daemon on an embedded Redis: { socket, stop(), start() }. `stop` and `start` again keep its data.
async function startDaemon(...settings) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "tokencache-node-"));
  const socket = path.join(folder, "d.sock");
  const log = fs.openSync(path.join(folder, "log"), "a");
  let process;
  const daemon = {
    folder,
    socket,
    async start() {
      process = spawn(
        path.join(PROGRAMS, "tokencached"),
        // Patience with a busy machine, within the client's two seconds.
        ["--socket", socket, "--state-dir", path.join(folder, "state"),
          ...["redis.timeout=1500ms", ...settings].flatMap((setting) => ["--set", setting])],
        { stdio: ["ignore", log, log] });
      process.on("error", () => {});
      const client = new Client({ socket });
      for (let tries = 0; ; tries += 1) {
        // Guests need the key ring, the rest needs Redis.
        const isReady = await client.ask("TOKEN.COUNT", "nobody").then(() => client.ask("TOKEN.VISIT", "")).then(() => true, () => false);
        if (isReady) break;
        if (tries === 400 || process.exitCode !== null || process.pid === undefined)
          throw new Error(`the daemon did not start: ${fs.readFileSync(path.join(folder, "log"))}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      client.close();
    },
    async stop() {
      if (process.exitCode !== null) return;
      process.kill("SIGTERM");
      await once(process, "exit");
    },
    async end() {
      if (process.pid !== undefined) await daemon.stop();
      fs.rmSync(folder, { recursive: true, force: true });
    },
  };
  fs.mkdirSync(path.join(folder, "state"), { mode: 0o700 });
  try {
    await daemon.start();
  } catch (error) {
    await daemon.end();
    throw error;
  }
  return daemon;
}

// A daemon's socket that answers what the test says: `answer(words, connection)` for each command but HELLO.
async function startScripted(answer) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "tokencache-node-"));
  const socket = path.join(folder, "d.sock");
  let connections = 0;
  const open = new Set();
  const server = net.createServer((connection) => {
    connections += 1;
    open.add(connection);
    connection.on("close", () => open.delete(connection)).on("error", () => {});
    let text = "";
    connection.setEncoding("utf8").on("data", (bytes) => {
      text += bytes;
      for (let command; (command = wordsIn(text)) !== null; ) {
        text = text.slice(command.length);
        if (command.words[0] === "HELLO") connection.write("%1\r\n$5\r\nproto\r\n:3\r\n");
        else answer(command.words, connection);
      }
    });
  });
  server.listen(socket);
  await once(server, "listening");
  return {
    socket,
    connections: () => connections,
    async end() {
      for (const connection of open) connection.destroy();
      server.close();
      await once(server, "close");
      fs.rmSync(folder, { recursive: true, force: true });
    },
  };
}

// The first whole command of a text, or null.
function wordsIn(text) {
  const head = /^\*(\d+)\r\n/.exec(text);
  if (head === null) return null;
  const words = [];
  let at = head[0].length;
  for (let i = 0; i < Number(head[1]); i += 1) {
    const length = /^\$(\d+)\r\n/.exec(text.slice(at));
    if (length === null || text.length < at + length[0].length + Number(length[1]) + 2) return null;
    at += length[0].length;
    words.push(text.slice(at, at + Number(length[1])));
    at += Number(length[1]) + 2;
  }
  return { words, length: at };
}

// RESP3 of a reply.
function resp(value) {
  if (typeof value === "number") return `:${value}\r\n`;
  if (typeof value === "string") return `$${Buffer.byteLength(value)}\r\n${value}\r\n`;
  if (Array.isArray(value)) return `*${value.length}\r\n${value.map(resp).join("")}`;
  const pairs = Object.entries(value);
  return `%${pairs.length}\r\n${pairs.map(([name, field]) => resp(name) + resp(field)).join("")}`;
}

// Serves a listener on a free port of the loopback.
async function serve(listener) {
  const server = http.createServer(listener);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: server.address().port,
    async end() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

// A browser with a jar of one cookie and the form of the page that it shows.
class Browser {
  cookie = "";
  csrf = "";

  constructor(port) {
    this.port = port;
  }

  // { status, headers, cookies, text }; what the response sets is in the jar, and the form of its page is `csrf`.
  async send(method, path, { form, headers = {}, cookie = this.cookie, mode = "navigate", site = "same-origin" } = {}) {
    const body = form ? new URLSearchParams(form).toString() : undefined;
    const request = http.request({
      host: "127.0.0.1", port: this.port, method, path, agent: false,
      headers: {
        ...(cookie ? { Cookie: cookie } : {}), "Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode,
        ...(body === undefined ? {} : { "Content-Type": "application/x-www-form-urlencoded", "Content-Length": Buffer.byteLength(body) }),
        ...headers } });
    request.end(body);
    const [response] = await once(request, "response");
    let text = "";
    for await (const chunk of response.setEncoding("utf8")) text += chunk;
    const cookies = response.headers["set-cookie"] ?? [];
    for (const line of cookies) {
      const [pair] = line.split(";");
      if (/^(?:__Host-)?tc=/.test(pair)) this.cookie = pair.endsWith("=") ? "" : pair;
    }
    this.csrf = /name="csrf" value="([^"]*)"/.exec(text)?.[1] ?? this.csrf;
    return { status: response.statusCode, headers: response.headers, cookies, text };
  }

  get(path, options) {
    return this.send("GET", path, options);
  }

  // Sends the form of the page that is shown.
  post(path, form = {}, options = {}) {
    return this.send("POST", path, { form: { csrf: this.csrf, ...form }, ...options });
  }
}

module.exports = { Browser, PROGRAMS, hasExpress, resp, serve, startDaemon, startScripted };
