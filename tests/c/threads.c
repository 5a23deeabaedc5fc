/*
 * A dozen threads that do everything at once, through handles that they share, through handles of their own, and through
 * SQLite with the library loaded as an extension; another thread interrupts them at random. Arguments: a queue database in
 * WAL mode, a directory for backups, the library, seconds, and the seed of all random choices.
 */
#include "client.h"

#include <dlfcn.h>
#include <time.h>
#include <unistd.h>

enum { SHARING = 4, OWNING = 4, LOADING = 3, WORKERS = SHARING + OWNING + LOADING, TEXT = 4096 };

struct worker {
    pthread_t thread;
    /* Guards what follows, which the interrupter reads. */
    pthread_mutex_t mutex;
    qk_queue *queue;
    void *db;
    /* The thread's own. */
    int number;
    uint64_t random;
    uint64_t calls;
    uint64_t interrupted;
};

static const char *database, *directory, *library;
static struct worker workers[WORKERS];
static qk_queue *shared;
static int over;

/* SQLite, as the program knows it that has it in its process. */
static struct {
    int (*open)(const char *, void **, int, const char *);
    int (*close)(void *);
    int (*busy_timeout)(void *, int);
    int (*enable)(void *, int);
    int (*load)(void *, const char *, const char *, char **);
    int (*exec)(void *, const char *, int (*)(void *, int, char **, char **), void *, char **);
    void (*interrupt)(void *);
    void (*free)(void *);
} sqlite;

static void find_function(void *from, const char *name, void *place)
{
    void *found = dlsym(from, name);
    CHECK(found != NULL);
    memcpy(place, &found, sizeof found);
}

static void find_sqlite(void)
{
    void *from = dlopen("libsqlite3.so.0", RTLD_NOW | RTLD_GLOBAL);
    if (from == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(2);
    }
    find_function(from, "sqlite3_open_v2", &sqlite.open);
    find_function(from, "sqlite3_close", &sqlite.close);
    find_function(from, "sqlite3_busy_timeout", &sqlite.busy_timeout);
    find_function(from, "sqlite3_enable_load_extension", &sqlite.enable);
    find_function(from, "sqlite3_load_extension", &sqlite.load);
    find_function(from, "sqlite3_exec", &sqlite.exec);
    find_function(from, "sqlite3_interrupt", &sqlite.interrupt);
    find_function(from, "sqlite3_free", &sqlite.free);
}

static unsigned below(uint64_t *random, unsigned limit)
{
    *random = *random * 6364136223846793005ULL + 1442695040888963407ULL;
    return (unsigned)((*random >> 33) % limit);
}

static int go_on(void *context, uint64_t pages_done, uint64_t pages_total)
{
    ++*(uint64_t *)context;
    CHECK(pages_done <= pages_total);
    return 0;
}

/* What may come of a call while others restore, delete, and interrupt; and why not, in words. */
static void judge(struct worker *worker, const char *what, int code, const char *message)
{
    int primary = code & 0xff;
    worker->calls++;
    worker->interrupted += primary == INTERRUPT;
    if (primary == INTERNAL || primary == NOMEM || primary == CORRUPT || primary == NOTADB || primary == MISUSE) {
        fprintf(stderr, "%s: %d, %s\n", what, code, message);
        CHECK(!"an answer that no other thread can be the cause of");
    }
    CHECK(code == OK || strlen(message) > 0);
}

#define EXPECT(call, part)                                                                                            \
    do {                                                                                                              \
        char *result = NULL;                                                                                          \
        int code = (call);                                                                                            \
        judge(worker, #call, code, qk_errmsg(NULL));                                                                  \
        CHECK(code == OK ? contains(result, part) : result == NULL);                                                  \
        qk_free(result);                                                                                              \
    } while (0)

#define EXPECT_NUMBER(call)                                                                                           \
    do {                                                                                                              \
        int code = (call);                                                                                            \
        judge(worker, #call, code, qk_errmsg(NULL));                                                                  \
        CHECK(number >= 0);                                                                                           \
    } while (0)

/* The message is the one of this thread's call, whatever others fail with meanwhile. */
static void fail(struct worker *worker, qk_queue *queue)
{
    char name[TEXT];
    int code;
    snprintf(name, sizeof name, "nothing of worker %d, %u", worker->number, below(&worker->random, 1000000));
    code = qk_verify(queue, name, NULL, NULL, NULL, NULL, NULL);
    judge(worker, "qk_verify", code, qk_errmsg(NULL));
    CHECK(code != OK);
    CHECK((code & 0xff) == INTERRUPT || (code & 0xff) == BUSY || contains(qk_errmsg(NULL), name));
}

static void back_up(struct worker *worker, qk_queue *queue)
{
    static const char *const options[] = {
        NULL, "{\"type\": \"incremental\"}", "{\"type\": \"snapshot\"}", "{\"compression\": \"zstd\"}",
        "{\"type\": \"incremental\", \"compression\": \"gzip\", \"verify\": \"quick\"}",
    };
    uint64_t heard = 0;
    EXPECT(qk_backup(queue, directory, options[below(&worker->random, 5)], go_on, &heard, &result), "\"checksum\"");
}

static void restore(struct worker *worker, qk_queue *queue)
{
    char aside[TEXT], options[TEXT];
    uint64_t heard = 0;
    snprintf(aside, sizeof aside, "%s/aside-%d.db", directory, worker->number);
    snprintf(options, sizeof options, "{\"dir\": \"%s\", \"overwrite\": true}", directory);
    if (below(&worker->random, 3) == 0) {
        EXPECT(qk_restore(queue, "latest", NULL, options, go_on, &heard, &result), "\"safety_backup\"");
    } else {
        EXPECT(qk_restore(queue, "latest", aside, options, go_on, &heard, &result), "\"target_path\"");
    }
}

static void verify(struct worker *worker, qk_queue *queue)
{
    static const char *const levels[] = {"checksum", "quick", "full"};
    char options[TEXT];
    uint64_t heard = 0;
    const char *level = levels[below(&worker->random, 3)];
    snprintf(options, sizeof options, "{\"dir\": \"%s\"}", directory);
    EXPECT(qk_verify(queue, "latest", level, options, go_on, &heard, &result), "\"status\":\"ok\"");
}

static void look(struct worker *worker, qk_queue *queue)
{
    switch (below(&worker->random, 9)) {
    case 0: EXPECT(qk_stats(queue, &result), "\"page_count\""); break;
    case 1: EXPECT(qk_depth(queue, &result), "\"queued\""); break;
    case 2: EXPECT(qk_health(queue, &result), "\"metric\""); break;
    case 3: EXPECT(qk_backups(queue, directory, &result), "["); break;
    case 4: EXPECT(qk_rotation(queue, "2", directory, &result), "["); break;
    case 5: EXPECT(qk_settings(queue, &result), "\"keep\""); break;
    case 6: EXPECT(qk_schedule(queue, &result), "\"daily\""); break;
    case 7: EXPECT(qk_history(queue, &result), "["); break;
    default: EXPECT(qk_integrity(queue, "quick", QK_DEFAULT, &result), "[{\"message\":\"ok\"}]"); break;
    }
}

static void change(struct worker *worker, qk_queue *queue)
{
    int64_t number = 0;
    uint64_t heard = 0;
    switch (below(&worker->random, 8)) {
    case 0: EXPECT_NUMBER(qk_requeue_stale(queue, 60, &number)); break;
    case 1: EXPECT_NUMBER(qk_rotate(queue, "5", directory, &number)); break;
    case 2: EXPECT(qk_checkpoint(queue, "TRUNCATE", &result), "\"mode\""); break;
    case 3: EXPECT(qk_analyze(queue, NULL, &result), "\"analyzed\""); break;
    case 4: EXPECT(qk_vacuum(queue, go_on, &heard, &result), "\"reclaimed_bytes\""); break;
    case 5: EXPECT(qk_set(queue, "stale_secs", "77", &result), "77"); break;
    case 6: EXPECT(qk_run_due(queue, "2036-05-04 12:00:00", &result), "["); break;
    default: EXPECT_NUMBER(qk_record(queue, "a", "b", "ok", NULL, NULL, &number)); break;
    }
}

static void act(struct worker *worker, qk_queue *queue)
{
    switch (below(&worker->random, 8)) {
    case 0:
    case 1: back_up(worker, queue); break;
    case 2: restore(worker, queue); break;
    case 3: verify(worker, queue); break;
    case 4: fail(worker, queue); break;
    case 5: change(worker, queue); break;
    default: look(worker, queue); break;
    }
}

static void publish(struct worker *worker, qk_queue *queue, void *db)
{
    pthread_mutex_lock(&worker->mutex);
    worker->queue = queue;
    worker->db = db;
    pthread_mutex_unlock(&worker->mutex);
}

static void *share(void *context)
{
    struct worker *worker = (struct worker *)context;
    publish(worker, shared, NULL);
    while (!__sync_fetch_and_add(&over, 0)) {
        act(worker, shared);
    }
    return NULL;
}

static void *own(void *context)
{
    struct worker *worker = (struct worker *)context;
    while (!__sync_fetch_and_add(&over, 0)) {
        qk_queue *queue = NULL;
        int left = 1 + (int)below(&worker->random, 10);
        int code = qk_open(database, &queue);
        judge(worker, "qk_open", code, qk_errmsg(NULL));
        publish(worker, queue, NULL);
        while (queue != NULL && left-- > 0) {
            act(worker, queue);
        }
        /* The interrupter may still have it: to the library, a closed handle is none. */
        CHECK(qk_close(queue) == OK);
    }
    return NULL;
}

static const char *statement(struct worker *worker, char *place, size_t size)
{
    static const char *const fixed[] = {
        "SELECT queue_stats()", "SELECT * FROM queue_health()", "SELECT queue_requeue_stale(60)",
        "SELECT queue_checkpoint()", "BEGIN IMMEDIATE; UPDATE task_queue SET priority = priority + 1; COMMIT",
        "SELECT queue_set('stale_secs', 78)", "SELECT count(*) FROM task_queue JOIN queue_depth() USING(status)",
    };
    switch (below(&worker->random, 4)) {
    case 0: snprintf(place, size, "SELECT queue_backup('%s/')", directory); return place;
    case 1: snprintf(place, size, "SELECT queue_verify('latest', 'full', '{\"dir\": \"%s\"}')", directory); return place;
    default: return fixed[below(&worker->random, sizeof fixed / sizeof *fixed)];
    }
}

/* Opens a connection, loads the library into it, runs some statements and closes it. */
static void *load(void *context)
{
    struct worker *worker = (struct worker *)context;
    const int read_write = 2;
    while (!__sync_fetch_and_add(&over, 0)) {
        void *db = NULL;
        char *message = NULL, text[TEXT];
        int left = 1 + (int)below(&worker->random, 10);
        CHECK(sqlite.open(database, &db, read_write, NULL) == OK);
        sqlite.busy_timeout(db, 5000);
        sqlite.enable(db, 1);
        if (sqlite.load(db, library, NULL, &message) != OK) {
            fprintf(stderr, "%s\n", message);
            CHECK(!"loaded");
            sqlite.free(message);
        }
        publish(worker, NULL, db);
        while (left-- > 0) {
            const char *sql = statement(worker, text, sizeof text);
            int code;
            message = NULL;
            code = sqlite.exec(db, sql, NULL, NULL, &message);
            judge(worker, sql, code, message == NULL ? "" : message);
            if (code != OK) {
                sqlite.exec(db, "ROLLBACK", NULL, NULL, NULL);
            }
            sqlite.free(message);
        }
        publish(worker, NULL, NULL);
        CHECK(sqlite.close(db) == OK);
    }
    return NULL;
}

static void interrupt_at_random(double seconds, uint64_t random)
{
    struct timespec now, moment = {0, 0};
    double end;
    clock_gettime(CLOCK_MONOTONIC, &now);
    end = (double)now.tv_sec + (double)now.tv_nsec / 1e9 + seconds;
    do {
        struct worker *worker = &workers[below(&random, WORKERS)];
        pthread_mutex_lock(&worker->mutex);
        if (worker->db != NULL) {
            sqlite.interrupt(worker->db);
        } else if (worker->queue != NULL) {
            int code = qk_interrupt(worker->queue);
            CHECK(code == OK || code == MISUSE);
        }
        pthread_mutex_unlock(&worker->mutex);
        moment.tv_nsec = 1000000L * (1 + (long)below(&random, 40));
        nanosleep(&moment, NULL);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((double)now.tv_sec + (double)now.tv_nsec / 1e9 < end);
    __sync_fetch_and_add(&over, 1);
}

int main(int count, char **arguments)
{
    uint64_t calls = 0, interrupted = 0, seed;
    int number;
    if (count != 6) {
        fprintf(stderr, "usage: threads DATABASE DIRECTORY LIBRARY SECONDS SEED\n");
        return 2;
    }
    database = arguments[1];
    directory = arguments[2];
    library = arguments[3];
    seed = strtoull(arguments[5], NULL, 10);
    find_sqlite();
    CHECK(qk_open(database, &shared) == OK);
    CHECK(qk_backup(shared, directory, NULL, NULL, NULL, NULL) == OK);
    for (number = 0; number < WORKERS; number++) {
        struct worker *worker = &workers[number];
        worker->number = number;
        worker->random = seed * 1000 + (uint64_t)number;
        pthread_mutex_init(&worker->mutex, NULL);
        CHECK(pthread_create(&worker->thread, NULL,
                             number < SHARING ? share : number < SHARING + OWNING ? own : load, worker) == 0);
    }
    interrupt_at_random(strtod(arguments[4], NULL), seed);
    for (number = 0; number < WORKERS; number++) {
        CHECK(pthread_join(workers[number].thread, NULL) == 0);
        calls += workers[number].calls;
        interrupted += workers[number].interrupted;
    }
    CHECK(qk_close(shared) == OK);
    printf("%llu calls, %llu interrupted, ", (unsigned long long)calls, (unsigned long long)interrupted);
    return tell_failures();
}
