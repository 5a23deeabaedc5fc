/*
** Is the queue healthy?
**
******************************************************************************
**
** USAGE
**
**     sqlite3 queue.db < sql/health.sql
**
** with SQLite's own shell, 3.37 or newer. It finds the library where the system
** finds libraries (/usr/local/lib after ldconfig, or a directory in LD_LIBRARY_PATH;
** on Windows in PATH, copied as libqueuekeeper.dll). Anywhere else, name it:
**
**     sqlite3 -cmd ".load ./target/release/libqueuekeeper" queue.db < sql/health.sql
**
** Reads only: nothing is changed, requeued or deleted. Shows whether the database is
** sound (by quick_check), every metric with its thresholds (settings, see
** queue_settings()) and what to do, how deep the queue is, and the steps of the
** schedule that failed within the last day.
**
** The exit status is 0, or 1 if the database is damaged or any metric is critical, so
** that a monitor can run it. A warning alone is 0.
*/

.bail on
.timeout 10000

-- The library, unless it is loaded already.
SELECT NULL
 WHERE CASE WHEN EXISTS (SELECT 1 FROM pragma_function_list WHERE name = 'queue_version')
            THEN NULL ELSE load_extension('libqueuekeeper') END IS NOT NULL;

.headers on

CREATE TEMP TABLE verdict(
  critical INTEGER CONSTRAINT "the queue is in a critical state, see above" CHECK (critical = 0)
);

CREATE TEMP TABLE finding AS SELECT message FROM queue_integrity('quick');

.mode line
SELECT message AS integrity FROM temp.finding;

.mode column

CREATE TEMP TABLE health AS SELECT * FROM queue_health();

SELECT level, metric, value, unit, warning, critical FROM temp.health;

SELECT * FROM queue_depth();

-- What to do.
.headers off
.mode list
SELECT level || ': ' || metric || ': ' || action FROM temp.health WHERE level <> 'ok';

SELECT 'failed: ' || job || ': ' || step || ' at ' || started_utc || ' UTC: ' || detail
  FROM queue_history()
 WHERE status = 'failed' AND started_utc > datetime('now', '-1 day');

INSERT INTO temp.verdict
SELECT (SELECT count(*) FROM temp.finding WHERE message <> 'ok' AND message NOT LIKE 'not checked%')
     + (SELECT count(*) FROM temp.health WHERE level = 'critical');
