"use strict";
// RESP3 without I/O: words become bytes, and bytes, however they are cut, become replies.

// Beyond these a peer is not tokencached.
const MOST_LINE = 65_536;
const MOST_BULK = 16 * 1024 * 1024;
const MOST_ITEMS = 1_000_000;
const MOST_DEPTH = 8;

const CR = 13;
const LF = 10;
const INTEGER = /^-?(?:0|[1-9][0-9]*)$/;

function encode(words) {
  const parts = [`*${words.length}\r\n`];
  for (const word of words) {
    const text = String(word);
    parts.push(`$${Buffer.byteLength(text)}\r\n${text}\r\n`);
  }
  return Buffer.from(parts.join(""));
}

// An error reply, as a value among the others.
class ReplyError {
  constructor(text) {
    this.text = text;
  }
}

class Parser {
  #chunks = [];
  #length = 0;
  // Bytes without which it is of no use to look again.
  #wanted = 1;
  // Where the search for the end of a line goes on.
  #searched = 0;
  // Of the text that is being read, or -1.
  #bulk = -1;
  // Arrays and maps that are not complete yet, the outermost first.
  #open = [];

  // Takes bytes and returns the replies that are complete with them. Throws where they are no RESP3; such a parser is
  // of no further use.
  feed(chunk) {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    const replies = [];
    if (this.#length < this.#wanted) return replies;
    const bytes = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks, this.#length);
    let at = 0;
    for (;;) {
      let value;
      if (this.#bulk >= 0) {
        const end = at + this.#bulk;
        if (bytes.length < end + 2) {
          this.#wanted = this.#bulk + 2;
          break;
        }
        if (bytes[end] !== CR || bytes[end + 1] !== LF) throw new Error("a text does not end where its length says");
        value = bytes.toString("utf8", at, end);
        at = end + 2;
        this.#bulk = -1;
      } else {
        const end = bytes.indexOf("\r\n", at + this.#searched);
        if (end < 0) {
          if (bytes.length - at > MOST_LINE) throw new Error(`a line has more than ${MOST_LINE} bytes`);
          // The last byte may be the first of the two.
          this.#searched = Math.max(0, bytes.length - at - 1);
          this.#wanted = bytes.length - at + 1;
          break;
        }
        this.#searched = 0;
        const kind = String.fromCharCode(bytes[at]);
        const rest = bytes.toString("utf8", at + 1, end);
        at = end + 2;
        value = this.#begin(kind, rest);
        if (value === undefined) continue;
      }
      this.#add(value, replies);
    }
    const rest = bytes.subarray(at);
    this.#chunks = rest.length > 0 ? [rest] : [];
    this.#length = rest.length;
    return replies;
  }

  // The value of a line, or undefined where it begins something longer.
  #begin(kind, rest) {
    switch (kind) {
      case "+": return rest;
      case "-": return new ReplyError(rest);
      case "_": return null;
      case ":": {
        if (!INTEGER.test(rest)) throw new Error("an integer is none");
        const value = Number(rest);
        // INCR counts in 64 bits.
        return Number.isSafeInteger(value) ? value : BigInt(rest);
      }
      case "$":
        this.#bulk = count(rest, MOST_BULK);
        return undefined;
      case "*":
      case "%": {
        if (this.#open.length === MOST_DEPTH) throw new Error("a reply is nested too deeply");
        const left = count(rest, MOST_ITEMS) * (kind === "%" ? 2 : 1);
        if (left === 0) return kind === "%" ? {} : [];
        this.#open.push({ kind, left, items: [] });
        return undefined;
      }
      default: throw new Error("a reply of an unknown kind");
    }
  }

  // Puts a complete value where it belongs: into the innermost open array or map, which may be complete with it.
  #add(value, replies) {
    while (this.#open.length > 0) {
      const { kind, items } = this.#open.at(-1);
      items.push(value);
      if (--this.#open.at(-1).left > 0) return;
      this.#open.pop();
      value = kind === "*" ? items : mapOf(items);
    }
    replies.push(value);
    this.#wanted = 1;
  }
}

function count(text, most) {
  const value = INTEGER.test(text) ? Number(text) : NaN;
  if (!(value >= 0 && value <= most)) throw new Error(`a length is none from 0 to ${most}`);
  return value;
}

// An object of its own properties, whatever a field is called: `__proto__` is a name like any other.
function mapOf(items) {
  const map = {};
  for (let i = 0; i < items.length; i += 2) {
    const value = items[i + 1];
    if (items[i] === "__proto__")
      Object.defineProperty(map, "__proto__", { value, writable: true, enumerable: true, configurable: true });
    else map[items[i]] = value;
  }
  return map;
}

module.exports = { Parser, ReplyError, encode };
