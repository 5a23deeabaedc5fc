// Several threads of one Node or Bun, each with its own connection to one queue, all at work at once:
//
//     node workers.mjs MODULE DIRECTORY LIBRARY QUEUE
//
// Prints what each of them got as JSON. The main thread loads the library first, and once more when
// all others have ended, with whatever these took down with them.

import { createRequire } from "node:module";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";

const THREADS = 4;
const ROUNDS = 5;

const [module, directory, library, queue] = isMainThread ? process.argv.slice(2) : workerData;

async function connect() {
  if (module === "node:sqlite") {
    const { DatabaseSync } = await import("node:sqlite");
    return new DatabaseSync(queue, { allowExtension: true, timeout: 30000 });
  }
  if (module === "bun:sqlite") {
    const { Database } = await import("bun:sqlite");
    const db = new Database(queue);
    db.run("PRAGMA busy_timeout=30000");
    return db;
  }
  const Database = createRequire(`${directory}/`)("better-sqlite3");
  return new Database(queue, { timeout: 30000 });
}

/** What a thread does: it opens, loads, works and closes, and again. */
async function work() {
  const made = [];
  for (let round = 0; round < ROUNDS; round++) {
    const db = await connect();
    db.loadExtension(library);
    const answer = db.prepare("SELECT queue_backup() AS made").get().made;
    made.push(JSON.parse(answer).backup_path);
    db.prepare("SELECT queue_requeue_stale(60) AS rescued").get();
    db.close();
  }
  return made;
}

/** The answer of a worker, once its thread has ended. */
function finished(worker) {
  return new Promise((resolve, reject) => {
    let answer;
    worker.on("message", (message) => (answer = message));
    worker.on("error", reject);
    worker.on("exit", () => resolve(answer));
  });
}

if (isMainThread) {
  const before = await work();
  const workers = Array.from({ length: THREADS }, () => {
    return new Worker(new URL(import.meta.url), { workerData: process.argv.slice(2) });
  });
  const during = await Promise.all(workers.map(finished));
  console.log(JSON.stringify([before, ...during, await work()]));
} else {
  parentPort.postMessage(await work());
}
