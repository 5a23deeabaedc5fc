// Drives a SQLite module of Node's or Bun's by JSON lines, as driver.py does:
//
//     node driver.mjs node:sqlite
//     node driver.mjs better-sqlite3 DIRECTORY     where npm has installed it
//     bun driver.mjs bun:sqlite
//
// All these modules work in the thread that calls them and have no interrupt, so requests are carried
// out one after the other as they come.

import fs from "node:fs";
import { createRequire } from "node:module";

const BUSY_TIMEOUT = 5000;

// The result codes that better-sqlite3 gives by name; the others give numbers.
const CODES = {
  ERROR: 1, BUSY: 5, LOCKED: 6, NOMEM: 7, READONLY: 8, INTERRUPT: 9, IOERR: 10, CORRUPT: 11,
  FULL: 13, CANTOPEN: 14, CONSTRAINT: 19, MISMATCH: 20, MISUSE: 21, NOTADB: 26,
};

/** A SQLite value as JSON; integers come as BigInt, so that none loses digits on the way. */
function encode(value) {
  if (typeof value === "bigint") {
    return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  }
  return value instanceof Uint8Array ? { hex: Buffer.from(value).toString("hex") } : value;
}

/** A SQLite value from JSON. A number stays one, as in any program that is not made for SQLite. */
function decode(value) {
  return value !== null && typeof value === "object" ? Buffer.from(value.hex, "hex") : value;
}

function describe(error) {
  const name = /^SQLITE_([A-Z]+)/.exec(error.code ?? "")?.[1];
  const code = error.errcode ?? error.errno ?? CODES[name] ?? null;
  return { message: error.message, code, class: error.constructor.name };
}

/** Node's own module. */
async function nodeSqlite() {
  const { DatabaseSync } = await import("node:sqlite");
  return {
    open(path, readOnly) {
      const db = new DatabaseSync(path, { readOnly, allowExtension: true, timeout: BUSY_TIMEOUT });
      db.enableLoadExtension(true);
      return db;
    },
    run(db, sql, params) {
      const statement = db.prepare(sql);
      statement.setReadBigInts(true);
      statement.setReturnArrays(true);
      const rows = statement.all(...params);
      return { columns: statement.columns().map((column) => column.name), rows };
    },
  };
}

function betterSqlite(directory) {
  const Database = createRequire(`${directory}/`)("better-sqlite3");
  return {
    open(path, readonly) {
      return new Database(path, { readonly, timeout: BUSY_TIMEOUT }).defaultSafeIntegers(true);
    },
    run(db, sql, params) {
      const statement = db.prepare(sql);
      if (!statement.reader) {
        statement.run(...params);
        return { columns: [], rows: [] };
      }
      const columns = statement.columns().map((column) => column.name);
      return { columns, rows: statement.raw().all(...params) };
    },
  };
}

async function bunSqlite() {
  const { Database } = await import("bun:sqlite");
  return {
    open(path, readonly) {
      const access = readonly ? { readonly } : { readwrite: true, create: true };
      const db = new Database(path, { ...access, safeIntegers: true });
      db.run(`PRAGMA busy_timeout=${BUSY_TIMEOUT}`);
      return db;
    },
    run(db, sql, params) {
      const statement = db.prepare(sql);
      const rows = statement.values(...params) ?? [];
      const columns = rows.length > 0 ? statement.columnNames : [];
      statement.finalize();
      return { columns, rows };
    },
  };
}

const modules = { "node:sqlite": nodeSqlite, "better-sqlite3": betterSqlite, "bun:sqlite": bunSqlite };
const host = await modules[process.argv[2]](process.argv[3]);
const connections = {};

const operations = {
  open(request) {
    connections[request.connection ?? "main"] = host.open(request.path, request.readonly ?? false);
    return null;
  },
  load(request) {
    const entry = request.entry ? [request.entry] : [];
    connections[request.connection ?? "main"].loadExtension(request.path, ...entry);
    return null;
  },
  execute(request) {
    const db = connections[request.connection ?? "main"];
    const { columns, rows } = host.run(db, request.sql, request.params.map(decode));
    return { columns, rows: rows.map((row) => row.map(encode)) };
  },
  close(request) {
    const name = request.connection ?? "main";
    connections[name].close();
    delete connections[name];
    return null;
  },
};

function answer(request) {
  const begun = performance.now();
  let reply;
  try {
    reply = { ok: operations[request.op](request) };
  } catch (error) {
    reply = { error: describe(error) };
  }
  return { ...reply, seconds: (performance.now() - begun) / 1000 };
}

/** The lines of standard input, read as they are needed. */
function* lines() {
  const piece = Buffer.alloc(65536);
  let rest = "";
  for (;;) {
    const length = fs.readSync(0, piece, 0, piece.length, null);
    if (length === 0) return;
    // The tests' requests are ASCII: Python's json escapes all else.
    const parts = (rest + piece.toString("ascii", 0, length)).split("\n");
    rest = parts.pop();
    yield* parts;
  }
}

for (const line of lines()) {
  fs.writeSync(1, JSON.stringify(answer(JSON.parse(line))) + "\n");
}
