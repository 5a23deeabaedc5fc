/*
 * Auto-extensions: the library as one among others, and others that fork, open handles and use them while a call opens a
 * connection; and a handle that is used from within a statement of the connection that it wraps. Nothing waits for ever, or
 * an alarm ends the program. Arguments: a queue database, an empty directory, and another copy of the library.
 */
#include "client.h"

#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

/* As <sqlite3.h> has them, which is not on every machine. */
enum { READWRITE = 2, EXRESCODE = 0x02000000, UTF8 = 1, ROUNDS = 2000 };
struct sqlite3_context;
struct sqlite3_value;
int sqlite3_open_v2(const char *, struct sqlite3 **, int, const char *);
int sqlite3_close(struct sqlite3 *);
int sqlite3_exec(struct sqlite3 *, const char *, int (*)(void *, int, char **, char **), void *, char **);
int sqlite3_create_function(
    struct sqlite3 *, const char *, int, int, void *, void (*)(struct sqlite3_context *, int, struct sqlite3_value **),
    void (*)(struct sqlite3_context *, int, struct sqlite3_value **), void (*)(struct sqlite3_context *));
int sqlite3_auto_extension(void (*)(void));
int sqlite3_cancel_auto_extension(void (*)(void));

typedef int entry(struct sqlite3 *, char **, const struct sqlite3_api_routines *);

static const char *database, *directory;
static int before, after;

static int come_before(struct sqlite3 *db, char **message, const struct sqlite3_api_routines *api)
{
    (void)db, (void)message, (void)api;
    before++;
    return OK;
}

static int come_after(struct sqlite3 *db, char **message, const struct sqlite3_api_routines *api)
{
    (void)db, (void)message, (void)api;
    after++;
    return OK;
}

static void add(entry *extension)
{
    CHECK(sqlite3_auto_extension((void (*)(void))extension) == OK);
}

static void take_away(entry *extension)
{
    CHECK(sqlite3_cancel_auto_extension((void (*)(void))extension) == 1);
}

/* The code of a statement on a new connection. */
static int on_another(const char *sql, int flags)
{
    struct sqlite3 *db = NULL;
    int code = sqlite3_open_v2(database, &db, READWRITE | flags, NULL);
    CHECK(code == OK);
    code = sqlite3_exec(db, sql, NULL, NULL, NULL);
    CHECK(sqlite3_close(db) == OK);
    return code;
}

static int all_of_them(struct sqlite3 *db, char **message, const struct sqlite3_api_routines *api)
{
    return sqlite3_queuekeeper_init(db, message, (struct sqlite3_api_routines *)(void *)(uintptr_t)api);
}

static int some_of_them(struct sqlite3 *db, char **message, const struct sqlite3_api_routines *api)
{
    return sqlite3_queuekeeperreadonly_init(db, message, (struct sqlite3_api_routines *)(void *)(uintptr_t)api);
}

/* During the first qk_open, which looks for its SQLite by opening a connection, and during each opening later: whether it is the first. */
static int searching = 1;
static qk_queue *calling;

static int in_one_process(struct sqlite3 *db, char **message, const struct sqlite3_api_routines *api)
{
    static int within;
    qk_queue *queue = NULL;
    int status = -1;
    pid_t child;
    (void)db, (void)message, (void)api;
    if (within++ == 0) {
        int code = qk_open(":memory:", &queue);
        CHECK(code == (searching ? MISUSE : OK));
        CHECK(!searching || contains(qk_errmsg(NULL), "auto-extension"));
        CHECK(code != OK || qk_close(queue) == OK);
        if (calling != NULL) {
            every_operation(calling, MISUSE);
            CHECK(qk_close(calling) == MISUSE);
            CHECK(qk_interrupt(calling) == OK);
        }
        child = fork();
        if (child == 0) {
            alarm(20);
            code = qk_open(":memory:", &queue);
            _exit(code == (searching ? MISUSE : OK) ? 0 : 1);
        }
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(status == 0);
        searching = 0;
    }
    within--;
    return OK;
}

static void others_that_call(void)
{
    qk_queue *queue = NULL;
    char *text = NULL;
    add(in_one_process);
    CHECK(qk_open(":memory:", &queue) == OK);
    CHECK(!searching);
    CHECK(qk_close(queue) == OK);
    CHECK(qk_open(database, &queue) == OK);
    calling = queue;
    CHECK(qk_stats(queue, &text) == OK);
    CHECK(contains(text, "page_count"));
    qk_free(text);
    calling = NULL;
    take_away(in_one_process);
    CHECK(qk_close(queue) == OK);
}

static void one_among_others(void)
{
    qk_queue *queue = NULL;
    add(come_before);
    add(all_of_them);
    add(come_after);
    CHECK(on_another("SELECT queue_version(), count(*) FROM queue_settings()", 0) == OK);
    CHECK(before == 1 && after == 1);
    CHECK(on_another("SELECT queue_backup()", EXRESCODE) == OK);
    CHECK(before == after);
    CHECK(qk_open(database, &queue) == OK);
    CHECK(qk_backup(queue, directory, NULL, NULL, NULL, NULL) == OK);
    CHECK(qk_verify(queue, "latest", "full", NULL, NULL, NULL, NULL) == OK);
    CHECK(qk_close(queue) == OK);
    take_away(all_of_them);
    take_away(come_after);
    add(some_of_them);
    add(come_after);
    after = 0;
    CHECK(on_another("SELECT count(*) FROM queue_depth()", EXRESCODE) == OK);
    CHECK(after == 1);
    CHECK(on_another("SELECT queue_backup()", 0) == ERROR);
    take_away(some_of_them);
    take_away(come_after);
    take_away(come_before);
}

/* A copy that was unloaded stays, once a connection has used it. */
static void one_that_is_unloaded(const char *copy)
{
    entry *init;
    void *loaded = dlopen(copy, RTLD_NOW | RTLD_LOCAL);
    void *found = loaded == NULL ? NULL : dlsym(loaded, "sqlite3_queuekeeper_init");
    CHECK(found != NULL);
    if (found != NULL) {
        memcpy(&init, &found, sizeof found);
        add(init);
        CHECK(on_another("SELECT queue_version()", 0) == OK);
        CHECK(dlclose(loaded) == 0);
        CHECK(on_another("SELECT queue_version(), count(*) FROM queue_stats()", EXRESCODE) == OK);
        take_away(init);
    }
}

static void ask(struct sqlite3_context *context, int count, struct sqlite3_value **values)
{
    (void)context, (void)count, (void)values;
    CHECK(qk_depth(calling, NULL) == OK);
}

static void *from_within(void *db)
{
    int round;
    for (round = 0; round < ROUNDS; round++) {
        CHECK(sqlite3_exec((struct sqlite3 *)db, "SELECT ask()", NULL, NULL, NULL) == OK);
    }
    return NULL;
}

static void *from_outside(void *queue)
{
    int round;
    for (round = 0; round < ROUNDS; round++) {
        CHECK(qk_depth((qk_queue *)queue, NULL) == OK);
    }
    return NULL;
}

/* One thread has the connection and wants the handle, the other has the handle and wants the connection. */
static void a_wrapped_connection(void)
{
    struct sqlite3 *db = NULL;
    pthread_t first, second;
    CHECK(sqlite3_open_v2(database, &db, READWRITE, NULL) == OK);
    CHECK(sqlite3_create_function(db, "ask", 0, UTF8, NULL, ask, NULL, NULL) == OK);
    CHECK(qk_wrap(db, &calling) == OK);
    CHECK(pthread_create(&first, NULL, from_within, db) == 0);
    CHECK(pthread_create(&second, NULL, from_outside, calling) == 0);
    CHECK(pthread_join(first, NULL) == 0);
    CHECK(pthread_join(second, NULL) == 0);
    CHECK(qk_close(calling) == OK);
    CHECK(sqlite3_close(db) == OK);
}

int main(int count, char **arguments)
{
    if (count != 5) {
        fprintf(stderr, "usage: automatic DATABASE DIRECTORY COPY WHAT\n");
        return 2;
    }
    database = arguments[1];
    directory = arguments[2];
    alarm(60);
    if (contains(arguments[4], "others")) {
        others_that_call();
    }
    if (contains(arguments[4], "among")) {
        one_among_others();
        one_that_is_unloaded(arguments[3]);
    }
    if (contains(arguments[4], "wrapped")) {
        qk_queue *queue = NULL;
        CHECK(qk_open(database, &queue) == OK);
        CHECK(qk_close(queue) == OK);
        a_wrapped_connection();
    }
    return tell_failures();
}
