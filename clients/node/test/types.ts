// Compiled by types.test.js, never run.
import { Client, MemoryClient, Session, Unavailable, sessions } from "tokencache";

interface Incoming { method?: string; url?: string; headers: Record<string, string | undefined> }
interface Outgoing { end(text: string): void }

const session = sessions<Incoming, Outgoing>({ client: new MemoryClient(), bind: ({ headers }) => ({ ua: headers["user-agent"] }) });

export const listener = session.handler(async ({ session }, response) => {
  const name: string = session.user ?? "guest";
  // @ts-expect-error A guest is nobody: null has to be thought of.
  const user: string = session.user;
  await session.login(name, { idle: "30d", absolute: "90d", data: { browser: "Firefox" } });
  const { conflict } = await session.set({ cart: "pear" }, { if: { cart: "" } });
  // @ts-expect-error There is nothing to take.
  await session.take();
  // @ts-expect-error It is a promise.
  if ((session.solved("", "")) === true) response.end(user);
  response.end(conflict?.cart ?? (session as Session).sid);
});

// @ts-expect-error The time-out is a number.
export const client = new Client({ timeoutMs: "2s" });
export const status: 503 = new Unavailable("why").status;
