import tokencache from "./index.js";

export const { Client, CommandError, MemoryClient, NotAccepted, Session, Unavailable, sessions } = tokencache;
