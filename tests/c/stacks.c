/*
 * Each call in a thread of its own with a small stack, and how much of that it took. Arguments: a queue database, where one of its
 * backups is to be restored, and the size of the stacks in bytes.
 */
#include "client.h"

enum { UNTOUCHED = 0xa5, GUARD = 4096 };

static const char *database, *restored;
static qk_queue *queue;

static int open_one(char **text)
{
    qk_queue *other = NULL;
    int code = qk_open(database, &other);
    (void)text;
    return code == OK ? qk_close(other) : code;
}
static int backup(char **text) { return qk_backup(queue, NULL, NULL, NULL, NULL, text); }
static int backup_zstd(char **text)
{
    return qk_backup(queue, NULL, "{\"compression\": \"zstd\", \"verify\": \"full\"}", NULL, NULL, text);
}
static int backup_gzip(char **text)
{
    return qk_backup(queue, NULL, "{\"compression\": \"gzip\", \"type\": \"incremental\", \"verify\": \"full\"}", NULL, NULL, text);
}
static int snapshot(char **text) { return qk_backup(queue, NULL, "{\"type\": \"snapshot\"}", NULL, NULL, text); }
static int verify(char **text) { return qk_verify(queue, "latest", "full", NULL, NULL, NULL, text); }
static int restore(char **text) { return qk_restore(queue, "latest", restored, NULL, NULL, NULL, text); }
static int restore_over(char **text) { return qk_restore(queue, "latest", NULL, NULL, NULL, NULL, text); }
static int backups(char **text) { return qk_backups(queue, NULL, text); }
static int rotation(char **text) { return qk_rotation(queue, "3", NULL, text); }
static int rotate(char **text)
{
    int64_t number;
    (void)text;
    return qk_rotate(queue, "3", NULL, &number);
}
static int delete_one(char **text) { return qk_delete_backup(queue, "latest", NULL, text); }
static int requeue(char **text)
{
    int64_t number;
    (void)text;
    return qk_requeue_stale(queue, 60, &number);
}
static int stale(char **text) { return qk_stale(queue, 60, text); }
static int depth(char **text) { return qk_depth(queue, text); }
static int stats(char **text) { return qk_stats(queue, text); }
static int health(char **text) { return qk_health(queue, text); }
static int checkpoint(char **text) { return qk_checkpoint(queue, "truncate", text); }
static int vacuum(char **text) { return qk_vacuum(queue, NULL, NULL, text); }
static int analyze(char **text) { return qk_analyze(queue, NULL, text); }
static int optimize(char **text) { return qk_optimize(queue, 1, NULL, NULL, text); }
static int integrity(char **text) { return qk_integrity(queue, NULL, QK_DEFAULT, text); }
static int set(char **text) { return qk_set(queue, "cron_daily", "0 3 * * *", text); }
static int settings(char **text) { return qk_settings(queue, text); }
static int run_due(char **text) { return qk_run_due(queue, NULL, text); }
static int run_due_later(char **text) { return qk_run_due(queue, "2036-01-06T12:00:00Z", text); }
static int schedule(char **text) { return qk_schedule(queue, text); }
static int history(char **text) { return qk_history(queue, text); }
static int refused(char **text) { return qk_set(queue, "no such setting", "1", text) == ERROR ? OK : ERROR; }

static const struct {
    const char *name;
    int (*call)(char **text);
} calls[] = {
    {"open", open_one}, {"set", set}, {"backup", backup}, {"backup, zstd", backup_zstd}, {"backup, gzip", backup_gzip},
    {"snapshot", snapshot}, {"verify", verify}, {"backups", backups}, {"rotation", rotation}, {"restore", restore},
    {"stale", stale}, {"requeue", requeue}, {"depth", depth}, {"stats", stats}, {"health", health},
    {"checkpoint", checkpoint}, {"vacuum", vacuum}, {"analyze", analyze}, {"optimize", optimize},
    {"integrity", integrity}, {"settings", settings}, {"run_due", run_due}, {"run_due later", run_due_later},
    {"schedule", schedule}, {"history", history}, {"restore over itself", restore_over}, {"rotate", rotate},
    {"delete", delete_one}, {"an error", refused},
};

static void *in_thread(void *place)
{
    size_t number = *(size_t *)place;
    char *text = NULL;
    CHECK(calls[number].call(&text) == OK);
    qk_free(text);
    return NULL;
}

/* The bytes that the call takes of a stack of that size. */
static size_t taken(size_t number, size_t size)
{
    pthread_attr_t attributes;
    pthread_t thread;
    unsigned char *stack = NULL;
    size_t untouched = 0;
    CHECK(posix_memalign((void **)&stack, GUARD, size) == 0);
    memset(stack, UNTOUCHED, size);
    CHECK(pthread_attr_init(&attributes) == 0);
    CHECK(pthread_attr_setstack(&attributes, stack, size) == 0);
    CHECK(pthread_create(&thread, &attributes, in_thread, &number) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    while (untouched < size && stack[untouched] == UNTOUCHED) {
        untouched++;
    }
    pthread_attr_destroy(&attributes);
    free(stack);
    return size - untouched;
}

int main(int count, char **arguments)
{
    size_t number, size, most = 0;
    if (count != 4) {
        return 2;
    }
    database = arguments[1];
    restored = arguments[2];
    size = strtoul(arguments[3], NULL, 10);
    CHECK(qk_open(database, &queue) == OK);
    for (number = 0; number < sizeof calls / sizeof calls[0]; number++) {
        size_t bytes = taken(number, size);
        CHECK(bytes < size);
        printf("%s: %zu\n", calls[number].name, bytes);
        most = bytes > most ? bytes : most;
    }
    qk_close(queue);
    printf("most: %zu\n", most);
    return tell_failures();
}
