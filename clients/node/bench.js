"use strict";
// What a VISIT costs through the package, beside node-redis over the same socket, rounds by turns; one in flight, and sixteen:
//
//     PROGRAMS=FOLDER NODE_PATH=/usr/share/nodejs node bench.js          FOLDER has tokencached

const { createClient } = require("redis");
const { Client, Session } = require("tokencache");
const { Cookie } = require("./lib/cookie.js");
const { startDaemon } = require("./test/support.js");

const ROUNDS = 20;
const VISITS = 2000;

async function microseconds(way, inFlight) {
  const begin = process.hrtime.bigint();
  const lane = async () => {
    for (let n = 0; n < VISITS / inFlight; n += 1) if ((await way()) !== "ann") throw new Error("not who it was");
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
  return Number(process.hrtime.bigint() - begin) / 1000 / VISITS;
}

function median(values) {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}

async function main() {
  const daemon = await startDaemon("redis.timeout=5s");
  const [client, redis] = [new Client({ socket: daemon.socket }), createClient({ socket: { path: daemon.socket } })];
  try {
    await redis.connect();
    const { sessiontoken: token } = await client.ask("TOKEN.LOGIN", "", "ann");
    const words = ["TOKEN.VISIT", token, "FETCH-SITE", "none", "FETCH-MODE", "navigate", "CSRF", "site"];
    const cookie = new Cookie("tc", false);
    const ways = {
      async bare() {
        const reply = await redis.sendCommand(words);
        return reply[reply.indexOf("subject") + 1];
      },
      async package() {
        const session = await Session.visit(client, {
          token, cookie, formName: "site", bind: {}, fetchSite: "none", fetchMode: "navigate", isPost: false, csrf: null,
          hasBegun: () => false });
        return session.user;
      },
    };
    for (const inFlight of [1, 16]) {
      const taken = { bare: [], package: [] };
      for (let round = 0; round < ROUNDS; round += 1)
        for (const [name, way] of Object.entries(ways)) taken[name].push(await microseconds(way, inFlight));
      const ratio = median(taken.package.map((value, round) => value / taken.bare[round]));
      console.log(`Node ${process.version}, ${inFlight} in flight, medians of ${ROUNDS} rounds of ${VISITS}: node-redis ` +
        `${median(taken.bare).toFixed(1)} µs, Session ${median(taken.package).toFixed(1)} µs, ${ratio.toFixed(2)} times`);
    }
  } finally {
    await redis.disconnect();
    client.close();
    await daemon.end();
  }
}

main();
