// Subscribes to sessions with node-redis: subscriber.js SOCKET SID…; ends when all of them were told.
const { createClient } = require("redis");

async function main([path, ...sids]) {
    const client = createClient({ socket: { path } });
    await client.connect();
    let left = sids.length;
    let end;
    const over = new Promise((resolve) => (end = resolve));
    const told = (message, channel) => {
        console.log(channel.replace("session:", ""), message);
        if (--left === 0) end();
    };
    await client.subscribe(sids.map((sid) => `session:${sid}`), told);
    console.log("subscribed", sids.length);
    await over;
    await client.unsubscribe();
    // It can be used for others again.
    await client.ping();
    await client.quit();
}

main(process.argv.slice(2)).catch((error) => {
    console.error(error);
    process.exit(1);
});
