import tokencache from "./index.js";

export const { Client, CommandError, MemoryClient, Session, Unavailable, sessions } = tokencache;
