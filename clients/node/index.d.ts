/** Unix time in seconds, or a number of seconds. */
type Seconds = number;
/** A number with `ms`, `s`, `m`, `h` or `d`, as "30d"; a bare number means seconds. */
export type Duration = string | number;

/** What a client asks by: the daemon's, or the stand-in's. */
export interface Asks {
  /** Sends a command and resolves with its reply: maps as objects, integers as numbers (as bigints beyond 2^53). */
  ask(...words: (string | number | bigint)[]): Promise<any>;
  /** As `ask`, about a token: a reply about another session is refused, and the connection closed. */
  askAbout(command: string, token: string, ...words: (string | number | bigint)[]): Promise<any>;
  /** Gives up the connections; a later call makes a new one. */
  close(): void;
}

export interface ClientOptions {
  /** The absolute path of the daemon's Unix socket; /run/tokencached/tokencached.sock without it. */
  socket?: string;
  /** How long an answer may take, 1 to 60000 (2000). Longer than the daemon's `redis.timeout`. */
  timeoutMs?: number;
}

/**
 * Asks tokencached over its Unix socket. One for a process: it keeps a connection, another for what may take long, and gives
 * each up after any failure.
 */
export class Client implements Asks {
  constructor(options?: ClientOptions);
  ask(...words: (string | number | bigint)[]): Promise<any>;
  askAbout(command: string, token: string, ...words: (string | number | bigint)[]): Promise<any>;
  close(): void;
}

/** In the place of a Client, for tests of sites and machines without the daemon. Not for a site that others use. */
export class MemoryClient implements Asks {
  /** `now` is the clock, in milliseconds. */
  constructor(options?: { now?: () => number });
  ask(...words: (string | number | bigint)[]): Promise<any>;
  askAbout(command: string, token: string, ...words: (string | number | bigint)[]): Promise<any>;
  close(): void;
}

/** Nobody knows the answer: the cookie stays as it is, and the visitor is answered 503. */
export class Unavailable extends Error {
  readonly status: 503;
  readonly statusCode: 503;
  readonly headers: Record<string, string>;
  constructor(message: string, options?: { cause?: unknown });
}

/** The visitor's token ended while the request was served, or was only good for this page: to be tried again. */
export class NotAccepted extends Error {
  readonly status: 409;
  readonly statusCode: 409;
  /** What the daemon calls it: "revoked", "replayed", … */
  readonly tokenStatus: string;
  constructor(tokenStatus: string);
}

/** The daemon refuses the call itself: a fault of the site, or data that is longer than allowed. */
export class CommandError extends Error {
  /** "ERR", "NOPERM", … */
  readonly code: string;
  constructor(message: string);
}

export interface Device {
  sid: string;
  /** Whether this request came from it. */
  current: boolean;
  created: Seconds;
  /** The last access on record. */
  modified: Seconds;
  authTime: Seconds;
  expiresIn: Seconds;
  data: Record<string, string>;
}

export interface Limits {
  /** The session ends this long after its last access. */
  idle?: Duration;
  /** The session ends in any case. */
  absolute?: Duration;
}

export interface LoginOptions extends Limits {
  /** Whether the cookie outlives the browser, whatever the limits; without it, if there are limits. */
  persistent?: boolean;
  /** When the password was proven, if that was not now. */
  authTime?: Seconds;
  /** The most sessions that the user may have, 0 to 1000 (0: any number). */
  max?: number;
  /** Fields to store, as the browser's name for the list of devices. */
  data?: Record<string, string | number>;
  /** false where no form came, but another proof was checked, as a central login's `state`. */
  form?: boolean;
}

export type FormStatus = "passed" | "failed" | "expired" | "outdated";

/** Whoever sent a request. Rejects with `Unavailable` where nobody knows, with `NotAccepted` where the token ended. */
export interface Session {
  /** Who is logged in, or null. A guest is nobody. */
  readonly user: string | null;
  /** The public name of the session, fit for logs. */
  readonly sid: string;
  /** "guest": of whom nothing is stored. */
  readonly kind: "session" | "guest";
  /** When the user last proved who they are; 0 if nobody did. */
  readonly authTime: Seconds;
  /** What the token that came is worth: "valid", "rotated", "none", "revoked", … */
  readonly status: string;
  /** The fields that the middleware brings along (`data`), as this request found them. */
  readonly data: Record<string, string>;
  /** The browser holds a newer token than the one it sent, or is about to: an API says "try again". */
  readonly superseded: boolean;
  /** The browser says that a page of this site made the request, or does not say. */
  readonly isOwn: boolean;
  /** What the form that came is worth; null if none came. */
  readonly form: FormStatus | null;
  /** A form came, and it is genuine. If not, carry nothing out and show the form again. */
  readonly passed: boolean;
  /** A token for the forms of this page; a script sends it as X-CSRF-Token. */
  readonly csrf: string;
  /** The hidden field of a form. */
  csrfField(): string;
  /** Checks the field `csrf` of a body that was not parsed before the middleware. Resolves with `passed`. */
  check(csrf: unknown): Promise<boolean>;

  /** Logs a user of 1 to 256 bytes in whose password was checked. false: the user has as many sessions as allowed. */
  login(user: string, options?: LoginOptions): Promise<boolean>;
  /** Ends this session. Resolves with whether there was one. */
  logout(): Promise<boolean>;
  /** Ends all sessions of the user. Resolves with how many there were. */
  logoutEverywhere(): Promise<number>;
  /** Ends all sessions of the user but this one. */
  logoutElsewhere(): Promise<number>;
  /** The sessions of the user, the newest first, at most 100; with these fields of their data. */
  devices(...fields: string[]): Promise<Device[]>;
  /** Ends one of the user's sessions, by the sid that a form brings. Resolves with whether there was one. */
  endDevice(sid: unknown): Promise<boolean>;
  /** Whether the user proved who they are within a duration; if not, ask for the password and call login. */
  isFresh(within: Duration): Promise<boolean>;
  /** A new token at once, after any other change of privilege. */
  rotate(options?: Limits): Promise<void>;
  /** New limits for this session. */
  expire(options: Limits): Promise<void>;

  /** Fields of this visitor's data, all of them if none is named. Those that are not there are left out. */
  get(...fields: string[]): Promise<Record<string, string>>;
  /** Stores fields; an empty text removes one. With `if`: only where these fields are as said, else `conflict` has them. */
  set(data: Record<string, string | number>, options?: Limits & { if?: Record<string, string | number> }):
    Promise<{ changed: number; conflict: Record<string, string> | null }>;
  /** Adds to a field, atomically over all hosts. A bigint beyond 2^53. `Unavailable` means once or not at all. */
  increment(field: string, by?: number | bigint): Promise<number | bigint>;
  /** Takes fields out: of any number of takers at most one gets them. */
  take(...fields: [string, ...string[]]): Promise<Record<string, string>>;

  /** A captcha of this visitor's, for a hidden field and for the address of the picture. Its solution is sealed in it. */
  captcha(options?: { length?: number; solution?: string; lifetime?: Duration }): Promise<string>;
  /** For the request that draws the picture, and nothing else; null if it is none, or too old. */
  captchaSolution(captcha: unknown): Promise<string | null>;
  /** Whether the answer is right. The first attempt spends the captcha; where the form did not pass nothing is asked. */
  solved(captcha: unknown, answer: unknown): Promise<boolean>;
}

export const Session: { readonly prototype: Session };

/** What the middleware needs of a request: those of http, http2 and Express have it. */
export interface SessionRequest {
  method?: string;
  url?: string;
  headers: Record<string, string | string[] | undefined>;
}

export interface SessionsOptions<Request = any> extends ClientOptions {
  /** A client to use in place of `socket`, as a MemoryClient in tests. */
  client?: Asks;
  /** The cookie's name, "tc": __Host-tc on HTTPS. */
  cookie?: string;
  /** true on http://localhost, and nowhere else: the cookie has the plain name and no Secure. */
  development?: boolean;
  /** The name that the forms of the site have in the daemon, "site". */
  form?: string;
  /** The signals that tokens are bound to, where the daemon's `binding.ip` or `binding.ua` is on. */
  bind?: (request: Request) => { ip?: string; ua?: string };
  /** The fields that each request needs: they come with the one question that is asked anyway, into `session.data`. */
  data?: string[];
}

export interface Sessions<Request = any, Response = any> {
  (request: Request, response: Response, next: (error?: any) => void): void;
  /**
   * A listener for plain http; a rejection is answered, 503 where nobody knows. As a handler of Express it hands rejections
   * on, which Express 4 does not by itself.
   */
  handler(handle: (request: Request & { session: Session }, response: Response, next?: any) => unknown):
    (request: Request, response: Response, next?: (error?: any) => void) => Promise<void>;
  readonly client: Asks;
}

/** A middleware: each request gets its `session`, and the response its cookie. */
export function sessions<Request = any, Response = any>(options?: SessionsOptions<Request>): Sessions<Request, Response>;

declare global {
  namespace Express {
    interface Request {
      session: Session;
    }
  }
}
