/* What the C programs share: checks, every function of the header, and a backup that waits. */
#include "client.h"

int failures = 0;

void check_at(int line, const char *file, int holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "%s:%d: not so: %s (last message: %s)\n", file, line, what, qk_errmsg(NULL));
        __sync_fetch_and_add(&failures, 1);
    }
}

int contains(const char *text, const char *part)
{
    return text != NULL && strstr(text, part) != NULL;
}

int tell_failures(void)
{
    printf("%d failures\n", failures);
    return failures == 0 ? 0 : 1;
}

char untouched_text[] = "untouched";
const int64_t untouched_number = -77;

void every_operation(qk_queue *queue, int code)
{
    char *text = untouched_text;
    int64_t number = untouched_number;
    CHECK(qk_backup(queue, NULL, NULL, NULL, NULL, &text) == code);
    CHECK(qk_restore(queue, "latest", NULL, NULL, NULL, NULL, &text) == code);
    CHECK(qk_verify(queue, "latest", NULL, NULL, NULL, NULL, &text) == code);
    CHECK(qk_delete_backup(queue, "latest", NULL, &text) == code);
    CHECK(qk_backups(queue, NULL, &text) == code);
    CHECK(qk_rotate(queue, "1", NULL, &number) == code);
    CHECK(qk_rotation(queue, "1", NULL, &text) == code);
    CHECK(qk_requeue_stale(queue, 60, &number) == code);
    CHECK(qk_stale(queue, 60, &text) == code);
    CHECK(qk_leases(queue, &text) == code);
    CHECK(qk_requeue(queue, "{\"all\": true}", NULL, &text) == code);
    CHECK(qk_depth(queue, &text) == code);
    CHECK(qk_stats(queue, &text) == code);
    CHECK(qk_health(queue, &text) == code);
    CHECK(qk_checkpoint(queue, NULL, &text) == code);
    CHECK(qk_vacuum(queue, NULL, NULL, &text) == code);
    CHECK(qk_analyze(queue, NULL, &text) == code);
    CHECK(qk_optimize(queue, QK_DEFAULT, NULL, NULL, &text) == code);
    CHECK(qk_integrity(queue, NULL, QK_DEFAULT, &text) == code);
    CHECK(qk_set(queue, "keep", NULL, &text) == code);
    CHECK(qk_settings(queue, &text) == code);
    CHECK(qk_run_due(queue, NULL, &text) == code);
    CHECK(qk_schedule(queue, &text) == code);
    CHECK(qk_history(queue, &text) == code);
    CHECK(qk_record(queue, "job", "step", "ok", NULL, NULL, &number) == code);
    CHECK(text == untouched_text);
    CHECK(number == untouched_number);
    CHECK(contains(qk_errmsg(queue), "qk_"));
}

void every_function(qk_queue *queue, int code)
{
    every_operation(queue, code);
    CHECK(qk_interrupt(queue) == code);
}

static int wait_at_gate(void *context, uint64_t pages_done, uint64_t pages_total)
{
    struct gate *gate = (struct gate *)context;
    int first;
    (void)pages_done;
    (void)pages_total;
    pthread_mutex_lock(&gate->mutex);
    first = !gate->running;
    gate->running = 1;
    pthread_cond_broadcast(&gate->moved);
    while (!gate->open) {
        pthread_cond_wait(&gate->moved, &gate->mutex);
    }
    pthread_mutex_unlock(&gate->mutex);
    if (first && gate->then != NULL) {
        gate->then(gate->context);
    }
    return 0;
}

static void *backup_at_gate(void *context)
{
    struct gate *gate = (struct gate *)context;
    gate->code = qk_backup(gate->queue, NULL, NULL, wait_at_gate, gate, NULL);
    return NULL;
}

void start_at_gate(struct gate *gate, qk_queue *queue, void (*then)(void *context), void *context)
{
    memset(gate, 0, sizeof *gate);
    pthread_mutex_init(&gate->mutex, NULL);
    pthread_cond_init(&gate->moved, NULL);
    gate->queue = queue;
    gate->then = then;
    gate->context = context;
    CHECK(pthread_create(&gate->thread, NULL, backup_at_gate, gate) == 0);
    pthread_mutex_lock(&gate->mutex);
    while (!gate->running) {
        pthread_cond_wait(&gate->moved, &gate->mutex);
    }
    pthread_mutex_unlock(&gate->mutex);
}

void open_gate(struct gate *gate)
{
    pthread_mutex_lock(&gate->mutex);
    gate->open = 1;
    pthread_cond_broadcast(&gate->moved);
    pthread_mutex_unlock(&gate->mutex);
}

int end_of(struct gate *gate)
{
    CHECK(pthread_join(gate->thread, NULL) == 0);
    return gate->code;
}
