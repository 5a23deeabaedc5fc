/*
 * A program that knows queuekeeper by its header alone. It runs every function as it should be used; wrong_use.c beside
 * it does what nobody should. Arguments: a queue database with 8 stale leases (more than 60 seconds) in WAL mode, and an
 * empty directory. Exit status 0, or 1 with a line for what was not as expected.
 */
#include "client.h"

#include <inttypes.h>

/* What a progress callback saw last that could be counted. */
struct seen {
    uint64_t calls;
    uint64_t done;
    uint64_t total;
};

static int look(void *context, uint64_t pages_done, uint64_t pages_total)
{
    struct seen *seen = (struct seen *)context;
    seen->calls++;
    if (pages_total > 0) {
        seen->done = pages_done;
        seen->total = pages_total;
    }
    return 0;
}

/* The JSON of one call, freed by the caller. */
#define EXPECT_JSON(call, part)                                                                                       \
    do {                                                                                                              \
        char *result = NULL;                                                                                          \
        CHECK((call) == OK);                                                                                          \
        CHECK(contains(result, part));                                                                                \
        qk_free(result);                                                                                              \
    } while (0)

static void backups(qk_queue *queue, const char *directory)
{
    char file[4096];
    struct seen seen = {0, 0, 0};
    int64_t deleted = -1;

    snprintf(file, sizeof file, "%s/one.db", directory);
    EXPECT_JSON(qk_backup(queue, directory, NULL, NULL, NULL, &result), "\"backup_type\":\"full\"");
    EXPECT_JSON(qk_backup(queue, file, "{\"name\": \"daily\"}", look, &seen, &result), "\"name\":\"daily\"");
    CHECK(seen.calls > 0 && seen.total > 0 && seen.done == seen.total);
    EXPECT_JSON(qk_backups(queue, directory, &result), "\"name\":\"daily\"");
    EXPECT_JSON(qk_rotation(queue, "1", directory, &result), "\"decision\":\"delete\"");
    CHECK(qk_rotate(queue, "1", directory, &deleted) == OK);
    CHECK(deleted == 1);

    memset(&seen, 0, sizeof seen);
    EXPECT_JSON(qk_verify(queue, file, "full", NULL, look, &seen, &result), "\"status\":\"ok\"");
    CHECK(seen.calls > 0 && seen.total > 0 && seen.done == seen.total);
    EXPECT_JSON(qk_verify(queue, file, NULL, NULL, NULL, NULL, &result), "\"level\":\"quick\"");

    memset(&seen, 0, sizeof seen);
    EXPECT_JSON(qk_restore(queue, file, NULL, "{\"requeue_leases\": true}", look, &seen, &result), "\"requeued\":4");
    CHECK(seen.calls > 0 && seen.total > 0 && seen.done == seen.total);
    EXPECT_JSON(qk_delete_backup(queue, file, NULL, &result), "\"deleted\":1");
}

static void queue_itself(qk_queue *queue)
{
    int64_t requeued = -1;
    EXPECT_JSON(qk_depth(queue, &result), "\"status\":\"leased\"");
    EXPECT_JSON(qk_stale(queue, 60, &result), "\"locked_by\":\"worker-1\"");
    EXPECT_JSON(qk_stale(queue, QK_DEFAULT, &result), "\"locked_by\":\"worker-1\"");
    EXPECT_JSON(qk_leases(queue, &result), "\"locked_by\":\"worker-1\"");
    EXPECT_JSON(qk_requeue(queue, "{\"workers\": [\"worker-1\"]}", "{\"dry_run\": true}", &result), "\"requeued\":0");
    CHECK(qk_requeue_stale(queue, 60, &requeued) == OK);
    CHECK(requeued == 8);
    EXPECT_JSON(qk_stale(queue, 60, &result), "[]");
}

static void upkeep(qk_queue *queue)
{
    struct seen seen = {0, 0, 0};
    EXPECT_JSON(qk_stats(queue, &result), "\"wal_mode\":1");
    EXPECT_JSON(qk_health(queue, &result), "\"metric\":\"stale_leases\"");
    EXPECT_JSON(qk_checkpoint(queue, NULL, &result), "\"mode\":\"PASSIVE\"");
    EXPECT_JSON(qk_checkpoint(queue, "TRUNCATE", &result), "\"busy\":0");
    EXPECT_JSON(qk_vacuum(queue, look, &seen, &result), "\"size_after_bytes\"");
    EXPECT_JSON(qk_analyze(queue, NULL, &result), "\"task_queue\"");
    EXPECT_JSON(qk_optimize(queue, 1, look, &seen, &result), "\"vacuumed\"");
    EXPECT_JSON(qk_optimize(queue, QK_DEFAULT, NULL, NULL, &result), "\"stats_after\"");
    EXPECT_JSON(qk_integrity(queue, "quick", QK_DEFAULT, &result), "[{\"message\":\"ok\"}]");
    EXPECT_JSON(qk_set(queue, "keep", "7/4/12", &result), "7/4/12");
    EXPECT_JSON(qk_settings(queue, &result), "\"name\":\"keep\"");
    EXPECT_JSON(qk_set(queue, "keep", NULL, &result), "");
    EXPECT_JSON(qk_schedule(queue, &result), "\"next_due_utc\"");
    EXPECT_JSON(qk_run_due(queue, NULL, &result), "[");
    CHECK(qk_record(queue, "offsite", "push", "ok", "{\"files\":3}", NULL, NULL) == 0);
    EXPECT_JSON(qk_history(queue, &result), "\"step\":\"push\"");
}

int main(int count, char **arguments)
{
    qk_queue *queue = NULL;
    if (count != 3) {
        fprintf(stderr, "usage: client DATABASE DIRECTORY\n");
        return 2;
    }
    CHECK(strlen(qk_version()) >= 5);
    before_anything();
    CHECK(qk_open(arguments[1], &queue) == OK);
    if (queue == NULL) {
        return 1;
    }
    CHECK(strcmp(qk_errmsg(queue), "") == 0);
    CHECK(qk_phase(queue) == NULL);
    wrong_use(queue, arguments[1], arguments[2]);
    queue_itself(queue);
    upkeep(queue);
    backups(queue, arguments[2]);
    CHECK(qk_close(queue) == OK);
    closed(queue);
    return tell_failures();
}
