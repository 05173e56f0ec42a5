// node-redis, for clients.py, which says what a line is: probe.js SOCKET
const readline = require("readline");
const { createClient } = require("redis");

function shown(reply) {
    if (reply instanceof Error) return "!" + reply.message;
    if (Array.isArray(reply)) return ["(", ...reply.map(shown), ")"].join("\t");
    if (reply === null) return "_";
    return typeof reply === "number" ? ":" + reply : "$" + reply;
}

const timeout = (promise) => {
    // It knows no time-out for an answer.
    let timer;
    const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error("no answer in time")), 2000)));
    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
};

async function main([path]) {
    console.log(require("redis/package.json").version);
    let client = null;
    const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
    for (let line = await lines.next(); !line.done; line = await lines.next()) {
        const [word, ...words] = line.value.split("\t");
        const commands = [];
        for (let left = word === "call" ? 0 : Number(words[0]); left > 0; left--) commands.push((await lines.next()).value.split("\t"));
        let replies;
        try {
            if (!client) {
                client = createClient({ socket: { path, connectTimeout: 2000, reconnectStrategy: () => new Error("no") }, disableOfflineQueue: true });
                client.on("error", () => {});
                await timeout(client.connect());
            }
            // What is sent in one turn goes out at once.
            replies = commands.length
                ? (await timeout(Promise.allSettled(commands.map((command) => client.sendCommand(command))))).map((r) => r.value ?? r.reason)
                : [await timeout(client.sendCommand(words))];
        } catch (error) {
            replies = [error];
            const old = client;
            client = null;
            if (old) await old.disconnect().catch(() => {});
        }
        for (const reply of replies) console.log(shown(reply).replaceAll("\n", " "));
    }
    process.exit(0);
}

main(process.argv.slice(2));
