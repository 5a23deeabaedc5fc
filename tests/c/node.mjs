// A queue from Node: koffi calls the C ABI by the prototypes of the header.
// Arguments: the library, a queue database. Prints what each call returned, as JSON.
import koffi from 'koffi';

const [library, database] = process.argv.slice(2);
const qk = koffi.load(library);

const queue = koffi.pointer('qk_queue', koffi.opaque());
const freed = koffi.disposable('qk_text', 'str', qk.func('void qk_free(void *text)'));
const progress = koffi.proto('int qk_progress(void *context, uint64_t pages_done, uint64_t pages_total)');

const open = qk.func('qk_open', 'int', ['str', koffi.out(koffi.pointer(queue))]);
const close = qk.func('qk_close', 'int', [queue]);
const message = qk.func('qk_errmsg', 'str', [queue]);
const stats = qk.func('qk_stats', 'int', [queue, koffi.out(koffi.pointer(freed))]);
const backup = qk.func('qk_backup', 'int', [
  queue, 'str', 'str', koffi.pointer(progress), 'void *', koffi.out(koffi.pointer(freed)),
]);
const rotate = qk.func('qk_rotate', 'int', [queue, 'str', 'str', koffi.out(koffi.pointer('int64_t'))]);

function check(code, handle) {
  if (code !== 0) {
    throw new Error(`${message(handle)} (${code})`);
  }
}

const place = [null];
check(open(database, place), null);
const handle = place[0];
const said = {};

const text = [null];
check(stats(handle, text), handle);
said.stats = JSON.parse(text[0]);

said.pages = [];
const show = (_context, done, total) => {
  said.pages.push([Number(done), Number(total)]);
  return 0;
};
said.backups = [];
for (const options of ['{"name": "node"}', null, null]) {
  check(backup(handle, null, options, show, null, text), handle);
  said.backups.push(JSON.parse(text[0]));
}

const stop = backup(handle, null, null, () => 1, null, text);
said.stopped = { code: stop, message: message(handle) };

// In a thread of koffi's, while Node goes on.
await new Promise((resolve, reject) => {
  backup.async(handle, null, null, null, null, text, (error, code) => {
    if (error) reject(error);
    said.aside = { code, backup: JSON.parse(text[0]) };
    resolve();
  });
});

const deleted = [0];
check(rotate(handle, '2', null, deleted), handle);
said.deleted = Number(deleted[0]);

said.closed = [close(handle), close(handle)];
console.log(JSON.stringify(said));
