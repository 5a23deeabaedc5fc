/*
 * What an auto-extension leaves on each connection, those that the library opens included: functions, which a database from
 * somebody else names wherever a schema has an expression; an open transaction; a temporary table. Arguments: a queue database, an
 * empty directory, and what to try.
 */
#include "client.h"

#include <sys/stat.h>

/* As <sqlite3.h> has them, which is not on every machine. */
enum { READWRITE = 2, UTF8 = 1, UTF16 = 4, DETERMINISTIC = 0x800, INNOCUOUS = 0x200000 };
struct sqlite3_context;
struct sqlite3_value;
typedef void function(struct sqlite3_context *, int, struct sqlite3_value **);
int sqlite3_open_v2(const char *, struct sqlite3 **, int, const char *);
int sqlite3_close(struct sqlite3 *);
int sqlite3_exec(struct sqlite3 *, const char *, int (*)(void *, int, char **, char **), void *, char **);
int sqlite3_create_function(
    struct sqlite3 *, const char *, int, int, void *, function *, function *, void (*)(struct sqlite3_context *));
void sqlite3_result_int(struct sqlite3_context *, int);
int sqlite3_auto_extension(void (*)(void));
int sqlite3_cancel_auto_extension(void (*)(void));

typedef int entry(struct sqlite3 *, char **, const struct sqlite3_api_routines *);

static const char *database, *directory;
static int calls;

static void count(struct sqlite3_context *context, int arguments, struct sqlite3_value **values)
{
    (void)arguments, (void)values;
    calls++;
    sqlite3_result_int(context, 1);
}

static int register_functions(struct sqlite3 *db, char **message, const struct sqlite3_api_routines *api)
{
    (void)message, (void)api;
    return sqlite3_create_function(db, "theirs", 0, UTF8 | DETERMINISTIC, NULL, count, NULL, NULL)
        || sqlite3_create_function(db, "theirs", -1, UTF16 | DETERMINISTIC, NULL, count, NULL, NULL)
        || sqlite3_create_function(db, "harmless", 0, UTF8 | DETERMINISTIC | INNOCUOUS, NULL, count, NULL, NULL);
}

static int begin(struct sqlite3 *db, char **message, const struct sqlite3_api_routines *api)
{
    (void)message, (void)api;
    return sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);
}

static int make_temporary(struct sqlite3 *db, char **message, const struct sqlite3_api_routines *api)
{
    (void)message, (void)api;
    /* There is none of that name in each database. */
    (void)sqlite3_exec(db, "CREATE TEMP TABLE Task_Queue AS SELECT * FROM main.task_queue LIMIT 0", NULL, NULL, NULL);
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

static struct sqlite3 *open_it(void)
{
    struct sqlite3 *db = NULL;
    CHECK(sqlite3_open_v2(database, &db, READWRITE, NULL) == OK);
    return db;
}

static void run(struct sqlite3 *db, const char *sql)
{
    CHECK(sqlite3_exec(db, sql, NULL, NULL, NULL) == OK);
}

static void run_alone(const char *sql)
{
    struct sqlite3 *db = open_it();
    run(db, sql);
    CHECK(sqlite3_close(db) == OK);
}

/* Whatever a restore with `requeue_leases` and a full verification evaluate. */
static const char *const places[] = {
    "CREATE TABLE v(a CHECK(theirs() IS NOT a))",
    "CREATE TABLE v(a CHECK(theirs(a, 2) IS NOT a))",
    "CREATE TABLE v(a, b AS (theirs()) STORED)",
    "CREATE TABLE v(a, b NOT NULL AS (theirs()))",
    "CREATE TABLE v(a); CREATE INDEX vi ON v(theirs(), a)",
    "CREATE TABLE v(a); CREATE INDEX vi ON v(a) WHERE theirs() = 1",
    "CREATE TABLE v(a, b DEFAULT (theirs()))",
    "CREATE TABLE v(a); CREATE TRIGGER vt AFTER INSERT ON v BEGIN SELECT theirs(); END",
    "CREATE TABLE v(a); CREATE VIEW vw AS SELECT theirs() AS b; "
    "CREATE TRIGGER vt AFTER INSERT ON v BEGIN SELECT b FROM vw; END",
    "CREATE TABLE v(a CHECK(harmless() IS NOT a)); CREATE INDEX vi ON v(harmless())",
    "CREATE TABLE v(a, b AS (json_extract(a, '$'))); CREATE INDEX vi ON v(b)",
    "CREATE VIRTUAL TABLE vw USING fts5(a); CREATE TABLE v(a); "
    "CREATE TRIGGER vt AFTER INSERT ON v BEGIN DELETE FROM vw WHERE vw MATCH 'no'; END"
};

static void verify_and_restore(qk_queue *queue, const char *what)
{
    int hostile = contains(what, "theirs"), harmless = contains(what, "harmless");
    char target[1000], options[1000], *text = NULL;
    CHECK(qk_backup(queue, directory, NULL, NULL, NULL, NULL) == OK);
    calls = 0;
    snprintf(options, sizeof options, "{\"dir\": \"%s\"}", directory);
    CHECK(qk_verify(queue, "latest", "full", options, NULL, NULL, &text) == OK);
    if (text != NULL) {
        CHECK(contains(text, "\"status\":\"ok\""));
        CHECK(!contains(text, "not checked") || (hostile && contains(text, "v needs the function theirs")));
        qk_free(text);
    }
    CHECK(harmless || calls == 0);
    snprintf(target, sizeof target, "%s/restored.db", directory);
    snprintf(options, sizeof options, "{\"dir\": \"%s\", \"requeue_leases\": true}", directory);
    CHECK(qk_restore(queue, "latest", target, options, NULL, NULL, &text) == OK);
    CHECK(contains(text, hostile ? "function" : "\"requeued\":8"));
    qk_free(text);
    CHECK(harmless ? calls > 0 : calls == 0);
    if (failures != 0) {
        fprintf(stderr, "%s: %d calls\n", what, calls);
    }
    CHECK(remove(target) == 0);
}

static int has_fts5(void)
{
    struct sqlite3 *db = open_it();
    int code = sqlite3_exec(db, "CREATE VIRTUAL TABLE temp.vw USING fts5(a)", NULL, NULL, NULL);
    CHECK(sqlite3_close(db) == OK);
    return code == OK;
}

static void functions_of_others(void)
{
    char apart[1000];
    qk_queue *queue = NULL;
    size_t i;
    snprintf(apart, sizeof apart, "%s/hostile", directory);
    directory = apart;
    CHECK(mkdir(directory, 0700) == 0);
    add(register_functions);
    CHECK(qk_open(database, &queue) == OK);
    for (i = 0; i < sizeof places / sizeof *places; i++) {
        if (contains(places[i], "fts5") && !has_fts5()) {
            continue;
        }
        run_alone(places[i]);
        run_alone(
            "INSERT INTO v(a) VALUES (7);"
            "CREATE TRIGGER t AFTER UPDATE ON task_queue BEGIN INSERT INTO v(a) VALUES (8); END");
        verify_and_restore(queue, places[i]);
        run_alone("DROP TRIGGER t; DROP TABLE v");
        run_alone(contains(places[i], "VIEW") ? "DROP VIEW vw" : "DROP TABLE IF EXISTS vw");
    }
    CHECK(qk_close(queue) == OK);
    take_away(register_functions);
}

/* As its user does: a schema that the application's connection does not trust, the second one does not either. */
static void trust_as_the_application_has_it(void)
{
    struct sqlite3 *db;
    qk_queue *queue = NULL;
    run_alone("DROP TABLE task_queue; CREATE TABLE task_queue(id INTEGER PRIMARY KEY, status)");
    CHECK(qk_open(database, &queue) == OK);
    CHECK(qk_close(queue) == OK);
    add(register_functions);
    run_alone("CREATE TABLE v(a); INSERT INTO v VALUES (1); CREATE INDEX vi ON v(theirs())");
    db = open_it();
    CHECK(qk_wrap(db, &queue) == OK);
    CHECK(qk_vacuum(queue, NULL, NULL, NULL) == OK);
    run(db, "PRAGMA trusted_schema=OFF");
    CHECK(qk_vacuum(queue, NULL, NULL, NULL) != OK);
    CHECK(contains(qk_errmsg(queue), "unsafe use of"));
    CHECK(qk_close(queue) == OK);
    CHECK(sqlite3_close(db) == OK);
    run_alone("DROP TABLE v");
    take_away(register_functions);
}

static void a_transaction_that_is_left_open(void)
{
    char options[1000];
    qk_queue *queue = NULL, *another = NULL;
    CHECK(qk_open(database, &queue) == OK);
    CHECK(qk_backup(queue, directory, NULL, NULL, NULL, NULL) == OK);
    add(begin);
    CHECK(qk_open(database, &another) == ERROR);
    CHECK(contains(qk_errmsg(NULL), "auto-extension"));
    CHECK(qk_analyze(queue, NULL, NULL) == ERROR);
    CHECK(contains(qk_errmsg(queue), "auto-extension"));
    CHECK(qk_backup(queue, directory, NULL, NULL, NULL, NULL) == ERROR);
    snprintf(options, sizeof options, "{\"dir\": \"%s\"}", directory);
    CHECK(qk_verify(queue, "latest", "full", options, NULL, NULL, NULL) == ERROR);
    CHECK(contains(qk_errmsg(queue), "auto-extension"));
    CHECK(qk_restore(queue, "latest", NULL, options, NULL, NULL, NULL) == ERROR);
    CHECK(contains(qk_errmsg(queue), "auto-extension"));
    take_away(begin);
    CHECK(qk_close(queue) == OK);
}

static int number(void *found, int columns, char **values, char **names)
{
    (void)columns, (void)names;
    *(int *)found = atoi(values[0]);
    return 0;
}

static int indexes(void)
{
    int found = -1;
    struct sqlite3 *db = open_it();
    CHECK(sqlite3_exec(db, "SELECT count(*) FROM main.sqlite_master WHERE type = 'index'", number, &found, NULL) == OK);
    CHECK(sqlite3_close(db) == OK);
    return found;
}

/* VACUUM takes it for the queue, and makes no index of the queue's. */
static void a_temporary_table_of_the_same_name(void)
{
    qk_queue *queue = NULL;
    int before = indexes();
    CHECK(before > 0);
    add(make_temporary);
    CHECK(qk_open(database, &queue) == OK);
    CHECK(qk_vacuum(queue, NULL, NULL, NULL) == ERROR);
    CHECK(contains(qk_errmsg(queue), "Task_Queue"));
    CHECK(qk_backup(queue, directory, "{\"type\": \"snapshot\"}", NULL, NULL, NULL) == ERROR);
    CHECK(contains(qk_errmsg(queue), "Task_Queue"));
    CHECK(qk_close(queue) == OK);
    take_away(make_temporary);
    CHECK(indexes() == before);
}

int main(int arguments, char **argument)
{
    if (arguments != 4) {
        fprintf(stderr, "usage: openings DATABASE DIRECTORY WHAT\n");
        return 2;
    }
    database = argument[1];
    directory = argument[2];
    if (contains(argument[3], "functions")) {
        functions_of_others();
    }
    if (contains(argument[3], "trust")) {
        trust_as_the_application_has_it();
    }
    if (contains(argument[3], "transaction")) {
        a_transaction_that_is_left_open();
    }
    if (contains(argument[3], "temporary")) {
        a_temporary_table_of_the_same_name();
    }
    return tell_failures();
}
